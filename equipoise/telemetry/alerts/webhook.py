"""Notices posted to an address that the operator named, signed so that its owner can tell them from forgeries."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from equipoise.core.alerting import Notice, Severity
from equipoise.http import HTTPError, Pool, PoolLimits, Timeouts
from equipoise.telemetry.alerts.forms import as_json, as_slack
from equipoise.telemetry.alerts.outbox import Undelivered

Form = Literal["json", "slack"]
SIGNATURE, DELIVERY = b"x-equipoise-signature", b"x-equipoise-delivery"
AGAIN = frozenset({408, 425, 429})
LONGEST_REPLY = 65_536


class Webhook:
    """One receiver. Only this address is asked: redirections are refusals, never followed.

    `rules` limits it to some rules, `secret` signs: `t=<Unix seconds>,v1=<hex>`, where hex is the HMAC-SHA256 of the
    seconds, a dot and the body. Raises ValueError for what is no http(s) address.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        form: Form = "json",
        secret: str | None = None,
        least: Severity = Severity.WARNING,
        rules: frozenset[str] | None = None,
        runbooks: str = "",
        seconds: float = 10.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"{name}: must be an http(s) address without user and password")
        self.name, self._least, self._rules, self._runbooks = name, least, rules, runbooks
        self._form, self._secret, self._wall = form, secret, wall
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._pool = Pool(f"{parts.scheme}://{parts.netloc}", limits=PoolLimits(connections=2))
        self._timeouts = Timeouts(connect=seconds, first_byte=seconds, between_bytes=seconds)

    def wants(self, notice: Notice) -> bool:
        """Is it one of its rules, and bad enough?"""
        chosen = self._rules is None or notice.alert.rule in self._rules
        return chosen and notice.alert.severity.rank >= self._least.rank

    async def send(self, notice: Notice, delivery: str) -> None:
        """Post it. Raises Undelivered: for good where the receiver refuses it, for now where it may be had later."""
        written = (as_slack if self._form == "slack" else as_json)(notice, self._runbooks)
        if self._form == "json":
            written["delivery"] = delivery
        body = msgspec.json.encode(written)
        try:
            response = await self._pool.request(
                "POST", self._path, headers=self._headers(body, delivery), body=body, timeouts=self._timeouts
            )
            await response.read(LONGEST_REPLY)
        except HTTPError as error:
            raise Undelivered(str(error)) from error
        self._judge(response.status, response.headers.get(b"retry-after", b""))

    async def close(self) -> None:
        """Close its connections."""
        await self._pool.close()

    def _headers(self, body: bytes, delivery: str) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", b"application/json"),
            (b"user-agent", b"equipoise-alerts"),
            (DELIVERY, delivery.encode()),
        ]
        return [*headers, (SIGNATURE, signature(self._secret, body, int(self._wall())))] if self._secret else headers

    def _judge(self, status: int, retry_after: bytes) -> None:
        if 200 <= status < 300:
            return
        seconds = float(retry_after) if retry_after.isdigit() and len(retry_after) < 6 else None
        final = status < 500 and status not in AGAIN
        raise Undelivered(f"the receiver answered {status}", final=final, retry_after=seconds)


def signature(secret: str, body: bytes, wall: int) -> bytes:
    """What the header `x-equipoise-signature` holds."""
    told = hmac.new(secret.encode(), b"%d." % wall + body, hashlib.sha256).hexdigest()
    return f"t={wall},v1={told}".encode()

"""Speaking to a running gateway."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from equipoise.cli.exits import PROBLEMS, UNREACHABLE, USAGE, Failure
from equipoise.cli.output import detail
from equipoise.http import ClientResponse, HTTPError, Pool, Timeouts

GATEWAY = "http://127.0.0.1:4000"
ADMIN = "http://127.0.0.1:4001"
LONGEST_ERROR = 65_536


class Remote:
    """One gateway, by its address; shows EQUIPOISE_API_KEY (EQUIPOISE_ADMIN_KEY to its admin
    listener) where that is set. Raises Failure (3) when none answers."""

    def __init__(self, url: str, *, seconds: float = 10.0) -> None:
        parts = urlsplit(url)
        self.url, self._path = url.rstrip("/"), parts.path.rstrip("/").removesuffix("/v1")
        self._timeouts = Timeouts(connect=seconds, first_byte=seconds, between_bytes=seconds)
        try:
            self._pool = Pool(f"{parts.scheme}://{parts.netloc}")
        except ValueError as error:
            raise Failure(f"{url} is not the address of a gateway", USAGE, f"for example {GATEWAY}") from error

    async def __aenter__(self) -> Remote:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pool.close()

    async def get(self, path: str) -> Any:
        """The JSON document at a path."""
        response = await self.request("GET", path)
        return json.loads(await self._reading(response))

    async def post(self, path: str, document: Any) -> Any:
        """The JSON document that comes back for one."""
        response = await self.request("POST", path, json.dumps(document).encode())
        return json.loads(await self._reading(response))

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> ClientResponse:
        """A response whose status is good; the gateway's own words otherwise."""
        detail(f"{method} {self.url}{path}")
        try:
            response = await self._pool.request(
                method, self._path + path, headers=[*_headers(path), *headers], body=body, timeouts=self._timeouts
            )
        except HTTPError as error:
            raise self.unreachable(error) from error
        if response.status >= 400:
            raise refused(response.status, await self._reading(response, LONGEST_ERROR), path)
        return response

    async def _reading(self, response: ClientResponse, limit: int | None = None) -> bytes:
        try:
            return await response.read(limit)
        except HTTPError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: HTTPError) -> Failure:
        """No gateway answers there."""
        return Failure(f"no gateway answers at {self.url}: {error}", UNREACHABLE, "`equipoise serve` starts one")


def _headers(path: str) -> list[tuple[bytes, bytes]]:
    key = os.environ.get(_variable(path))
    plain = [(b"accept", b"*/*"), (b"content-type", b"application/json")]
    if path.startswith("/admin/"):
        plain.append((b"x-equipoise-who", _myself().encode("ascii", "replace")))
    return [*plain, (b"authorization", b"Bearer " + key.encode())] if key else plain


def _myself() -> str:
    """What the audit journal says of who was at the terminal, beside whose key it was."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "nobody"


def _variable(path: str) -> str:
    """Where the key for a path is: operators and clients have different ones."""
    return "EQUIPOISE_ADMIN_KEY" if path.startswith("/admin/") else "EQUIPOISE_API_KEY"


def refused(status: int, body: bytes, path: str = "") -> Failure:
    """The gateway answered with an error; its message is passed on."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"the gateway answered {status}"
    hint = f"set {_variable(path)}" if status == 401 else None
    return Failure(str(message), PROBLEMS, hint)

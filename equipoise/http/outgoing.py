"""Requests as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from equipoise.http.dial import Route
from equipoise.http.writer import IN_REQUESTS, field_lines

TARGET: Final = re.compile(r"/[\x21-\x7e]*+|\*")
METHOD: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
KNOWN_STARTS: Final = 256


class RequestWriter:
    """Writes requests for one origin; the start of each is kept, as a gateway asks for few targets very often."""

    __slots__ = ("_authorization", "_host", "_prefix", "_starts")

    def __init__(self, origin: str, host: str, route: Route) -> None:
        plain_proxy = route.proxy is not None and route.tls is None
        self._prefix = origin if plain_proxy else ""  # a proxy wants the absolute form (RFC 9112, 3.2.2)
        self._authorization = route.proxy_authorization if plain_proxy else b""
        self._host = host.encode("ascii")
        self._starts: dict[tuple[str, str], bytes] = {}

    def message(self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
        """A whole request. Raises ValueError for a target, method or field that would break the framing."""
        start = self._starts.get((method, target)) or self._start(method, target)
        if body or method in WITH_BODY:
            return b"".join((start, field_lines(headers, IN_REQUESTS), b"content-length: %d\r\n\r\n" % len(body), body))
        return b"".join((start, field_lines(headers, IN_REQUESTS), b"\r\n"))

    def _start(self, method: str, target: str) -> bytes:
        if METHOD.fullmatch(method) is None or TARGET.fullmatch(target) is None:
            raise ValueError("the method or target of a request is malformed")
        line = f"{method} {self._prefix}{target} HTTP/1.1\r\n".encode("ascii")
        start = line + b"host: " + self._host + b"\r\n" + self._authorization
        if len(self._starts) >= KNOWN_STARTS:
            self._starts.clear()
        self._starts[(method, target)] = start
        return start

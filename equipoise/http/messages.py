"""What crosses the border between the HTTP data plane and its user: requests, responses, limits, files of keys."""

from __future__ import annotations

import http
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

Headers: TypeAlias = dict[bytes, bytes]
"""Lower-case names; the values of a repeated field are joined with `, ` (RFC 9110, 5.2)."""


class Request(msgspec.Struct):
    """One request whose head has been checked and whose body is whole and within the limit.

    `admitted` is what an admission found out by the head and leaves for the handler; nothing of it comes from the wire.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes = b""
    client: str = ""
    scheme: str = "http"
    admitted: tuple[object, Any] | None = None


class Response(msgspec.Struct):
    """An answer: whole bytes with a length, or an iterator whose every item is sent at once.

    The server sets `Content-Length`, `Transfer-Encoding`, `Date` and `Connection`; fields of these names are dropped.
    """

    status: int
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes | AsyncIterator[bytes] = b""


T = TypeVar("T")
Sink: TypeAlias = Callable[[T], Awaitable[None] | None]
"""Takes a piece at once; what it returns, if anything, is to be awaited before it is given the next."""


def pour(source: object, sink: Sink[Any]) -> None:
    """Have a source of pieces that can (it has `pour_into`) hand on what comes while somebody waits for its next piece.

    A piece that is asked for wakes a task and every coroutine on the way to it; one that is handed on is a few calls.
    What is asked for comes after all that was handed on; whoever cannot hand on is asked for everything.
    """
    pour_into = getattr(source, "pour_into", None)  # `isinstance` of a protocol costs 90 µs on Python 3.11
    if pour_into is not None:
        pour_into(sink)


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
Admission: TypeAlias = Callable[[Request], Response | None]
Refused: TypeAlias = Callable[[int, str, str], "Response | None"]


class Abort(Exception):
    """Raised by a handler or a body: close the connection at once and answer nothing more."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("the connection is to be closed without an answer")
        self.reset = reset


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may ask of the server; sizes in bytes, times in seconds."""

    request_line: int = 8_190
    header_count: int = 100
    header_bytes: int = 65_536
    body_bytes: int = 16 * 1024 * 1024
    connections: int = 10_000
    header_timeout: float = 15.0
    """From the first byte of a head to its last."""
    idle_timeout: float = 75.0
    """Between two requests, and before the first one."""
    body_timeout: float = 20.0
    """Head start for a body; after that it must keep up `body_rate`."""
    body_rate: int = 1_024
    """Bytes a second below which a body counts as a slow-client attack."""
    write_timeout: float = 180.0
    """How long a client may take nothing of what waits for it (TCP shows a slow reader's progress only every 64 KB)."""
    write_buffer: int = 65_536
    """What may wait for a slow client before its upstream is paused."""
    pipelined_bytes: int = 65_536
    """What may wait behind a running request before reading stops."""


class TLSFiles(msgspec.Struct, frozen=True):
    """Paths of PEM files: the server's certificate chain and key, and the authorities of client certificates, if asked."""

    certificate: str
    key: str
    ca: str | None = None


class BadRequest(Exception):
    """A request that must not reach a handler; the connection is closed after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


REASONS: dict[int, bytes] = {status.value: status.phrase.encode() for status in http.HTTPStatus}


def plain(status: int, text: str) -> Response:
    """A short answer for people, as plain text."""
    return Response(status, ((b"content-type", b"text/plain; charset=utf-8"),), text.encode() + b"\n")

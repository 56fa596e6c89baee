"""Heads and chunks as bytes: what the server and the client write."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from typing import Final

from equipoise.http.messages import REASONS

LAST_CHUNK: Final = b"0\r\n\r\n"
FRAMING: Final = frozenset(
    {
        b"content-length",
        b"transfer-encoding",
        b"date",
        b"connection",
        b"keep-alive",
        b"upgrade",
        b"proxy-connection",
        b"trailer",
    }
)
TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
REMEMBERED: Final = 512
LONGEST_REMEMBERED: Final = 64
NO_BODY: Final = frozenset({204, 304})


class FieldNames(dict[bytes, bytes]):
    """From a field's name to the start of its line; empty if the name is not the caller's to set.

    Each name is checked once; cleared when full, so that names from outside cannot make it grow.
    """

    def __init__(self, dropped: frozenset[bytes]) -> None:
        super().__init__()
        self._dropped = dropped

    def __missing__(self, name: bytes) -> bytes:
        if TOKEN.fullmatch(name) is None:
            raise ValueError("a header field has a name that is no token")
        start = b"" if name.lower() in self._dropped else name + b": "
        if len(self) >= REMEMBERED:
            self.clear()
        if len(name) <= LONGEST_REMEMBERED:
            self[name] = start
        return start


IN_RESPONSES: Final = FieldNames(FRAMING)
IN_REQUESTS: Final = FieldNames(FRAMING | {b"host", b"te", b"expect"})


def field_lines(headers: Iterable[tuple[bytes, bytes]], names: FieldNames) -> bytes:
    """Header fields as lines, without those that frame the message.

    Raises ValueError for a field that would smuggle in another line: three scans in C, for the whole head at once
    (`find`, as `in` raises and swallows an exception first, and `count` is slow).
    """
    lines = [start + value for name, value in headers if (start := names[name])]
    fields = b"".join(lines)
    if fields.find(b"\n") >= 0 or fields.find(b"\r") >= 0 or fields.find(b"\0") >= 0:
        raise ValueError("a header field contains a line break or NUL")
    lines.append(b"")
    return b"\r\n".join(lines)


class StatusLines:
    """Status line and Date of every status, made anew once a second."""

    __slots__ = ("_lines", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._lines: dict[int, bytes] = {}

    def get(self, status: int) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second, self._lines = now, {}
        line = self._lines.get(status)
        return self._make(status) if line is None else line

    def _make(self, status: int) -> bytes:
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is not the status of a final response")
        reason, date = REASONS.get(status, b""), formatdate(self._second, usegmt=True).encode()
        self._lines[status] = line = b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (status, reason, date)
        return line


STATUS_LINES: Final = StatusLines()


def whole_response(
    status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, connection: bytes, *, head_only: bool
) -> bytes:
    """A response with a length; `connection` is empty or a whole Connection line."""
    start = STATUS_LINES.get(status) + field_lines(headers, IN_RESPONSES) + connection
    if status in NO_BODY:
        return start + b"\r\n"
    return b"".join((start, b"content-length: %d\r\n\r\n" % len(body), b"" if head_only else body))


def stream_head(status: int, headers: Sequence[tuple[bytes, bytes]], connection: bytes, *, chunked: bool) -> bytes:
    """The head of a response whose length is not known yet."""
    coding = b"transfer-encoding: chunked\r\n\r\n" if chunked else b"\r\n"
    return STATUS_LINES.get(status) + field_lines(headers, IN_RESPONSES) + connection + coding

"""Bytes in, whole requests out: the sans-IO half of the server."""

from __future__ import annotations

from typing import Final

from equipoise.http import grammar
from equipoise.http.chunked import ChunkedBody
from equipoise.http.messages import Request, ServerLimits

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestReader:
    """Reads one request at a time from what `feed` was given; what is behind it waits.

    `head()` gives the next request without its body, `body()` the whole body once it is there; both give None while
    bytes are missing and raise BadRequest, after which nothing more may be read.
    """

    __slots__ = (
        "_chunks",
        "_length",
        "_limits",
        "_partial",
        "_searched",
        "_waiting",
        "chunks_answers",
        "expects_continue",
        "keep_alive",
        "received",
    )

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._waiting: bytes = b""
        self._searched = 0
        self._partial = bytearray()
        self._chunks: ChunkedBody | None = None
        self._length = 0
        self.received = 0
        self.expects_continue = False
        self.keep_alive = True
        self.chunks_answers = True

    def feed(self, data: bytes) -> None:
        """Take what the socket gave."""
        self._waiting = self._waiting + data if self._waiting else data

    @property
    def waiting(self) -> int:
        """Bytes that no request has claimed yet."""
        return len(self._waiting)

    def head(self) -> Request | None:
        """The next request, its body not read."""
        buffer = self._waiting
        match = grammar.HEAD.match(buffer) if self._may_be_whole(buffer) else None
        if match is None:
            self._refuse_or_wait(buffer)
            return None
        line, minor_version, fields = match.groups()
        limits = self._limits
        grammar.check_fields(line, fields, limits)
        headers = grammar.split_fields(fields)
        host = headers.get(b"host")
        if host not in grammar.GOOD_HOSTS:
            grammar.check_host(host, minor_version)
        method, path, query = grammar.KNOWN_TARGETS.get(line) or grammar.read_target(line, headers)
        self._length = grammar.body_length(headers, minor_version, limits)
        self._settle_connection(headers, minor_version)
        self._waiting, self._searched = buffer[match.end() :], 0
        return Request(method, path, query, headers)

    def _settle_connection(self, headers: dict[bytes, bytes], minor_version: bytes) -> None:
        self.received = 0
        self.chunks_answers = minor_version == b"1"
        self._chunks = ChunkedBody(self._limits.body_bytes) if self._length == grammar.CHUNKED else None
        wish = headers.get(b"connection")
        if wish is None:
            self.keep_alive = minor_version == b"1"
        else:
            options = {option.strip() for option in wish.lower().split(b",")}
            self.keep_alive = b"close" not in options and (minor_version == b"1" or b"keep-alive" in options)
        waits = grammar.check_expectation(headers.get(b"expect"))
        self.expects_continue = waits and self._length != 0 and minor_version == b"1"

    def _may_be_whole(self, buffer: bytes) -> bool:
        """A head that came in one piece is matched at once; one that drips in only when its end has come."""
        return self._searched == 0 or buffer.find(b"\r\n\r\n", max(0, self._searched - 3)) >= 0

    def _refuse_or_wait(self, buffer: bytes) -> None:
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        grammar.refuse_fragment(buffer[: end + 4] if end >= 0 else buffer, self._searched, self._limits)
        if end >= 0:
            raise grammar.refuse_head(buffer)
        self._searched = len(buffer)

    def body(self) -> bytes | None:
        """The whole body of the request that `head` gave, or None while it is not complete."""
        if self._length == 0:
            return b""
        if self._chunks is not None:
            return self._chunked_body(self._chunks)
        return self._counted_body()

    def _counted_body(self) -> bytes | None:
        buffer, missing = self._waiting, self._length - self.received
        piece = buffer[:missing]
        self.received += len(piece)
        self._waiting = buffer[missing:]
        if self.received == self._length and not self._partial:
            return piece
        self._partial += piece
        return self._take_partial() if self.received == self._length else None

    def _take_partial(self) -> bytes:
        body, self._partial = bytes(self._partial), bytearray()
        return body

    def _chunked_body(self, chunks: ChunkedBody) -> bytes | None:
        buffer, self._waiting = self._waiting, b""
        self.received += len(buffer)
        rest = chunks.feed(buffer)
        if not chunks.complete:
            return None
        self._waiting, self._chunks, self._length = rest, None, 0
        return bytes(chunks.body)

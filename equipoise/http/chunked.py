"""The chunked transfer coding of RFC 9112, 7.1, read strictly and without IO."""

from __future__ import annotations

import re
from typing import Final

from equipoise.http.messages import BadRequest

# Extensions are checked and skipped; blanks, signs and 0x around the size are refused. Possessive: linear time.
WORD: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
QUOTED: Final = rb'"[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]*+"'
SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15}+)(?:;" + WORD + rb"(?:=(?:" + WORD + rb"|" + QUOTED + rb"))?+)*+\r\n"
)
TRAILER: Final = re.compile(rb"(" + WORD + rb"):[\t\x20-\x7e\x80-\xff]*+\r\n")
# RFC 9110, 6.5.1: what frames or routes a message may not come behind its body.
NOT_IN_TRAILERS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"host", b"upgrade"})
LONGEST_LINE: Final = 4_096
# Sizes and extensions may outweigh the data, but not without end: a client that sends single-byte chunks pays for it.
OVERHEAD_START: Final = 16_384
OVERHEAD_PER_BYTE: Final = 8
TRAILER_COUNT: Final = 64


class ChunkedBody:
    """Takes bytes as they come, keeps the decoded body, and says what was left behind it.

    Raises BadRequest: 400 for broken framing, 413 beyond `limit` bytes.
    """

    __slots__ = ("_buffer", "_left", "_overhead", "_trailers", "body", "complete", "limit")

    def __init__(self, limit: int) -> None:
        self.limit, self.complete = limit, False
        self.body = bytearray()  # not a list of pieces: those of two bytes would take twenty times their size
        self._buffer = b""
        self._left = 0  # of the current chunk, its CR LF included; 0: a size line comes; -1: trailers come
        self._overhead = 0
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        """Decode; returns what follows the body once it is complete, else nothing."""
        buffer = self._buffer + data if self._buffer else data
        position = 0
        while not self.complete:
            taken = self._step(buffer, position)
            if taken == 0:
                break
            position += taken
        self._buffer = b"" if self.complete else buffer[position:]
        return buffer[position:] if self.complete else b""

    def _step(self, buffer: bytes, position: int) -> int:
        if self._left > 0:
            return self._take_data(buffer, position)
        if self._left < 0:
            return self._take_trailer(buffer, position)
        return self._take_size(buffer, position)

    def _take_size(self, buffer: bytes, position: int) -> int:
        match = SIZE_LINE.match(buffer, position)
        if match is None:
            return self._incomplete_line(buffer, position)
        taken = self._count_overhead(match.end() - position)
        size = int(match[1], 16)
        if len(self.body) + size > self.limit:
            raise BadRequest(413, f"The body may have at most {self.limit} bytes.")
        self._left = size + 2 if size else -1
        return taken

    def _take_data(self, buffer: bytes, position: int) -> int:
        piece = buffer[position : position + self._left]
        data_left = self._left - 2
        if data_left > 0:
            piece = piece[:data_left]
            self.body += piece
        elif len(piece) < 2:  # CR LF is taken whole
            if piece not in {b"", b"\r"}:
                raise BadRequest(400, "A chunk is longer than its size.")
            return 0
        elif piece != b"\r\n":
            raise BadRequest(400, "A chunk is longer than its size.")
        self._left -= len(piece)
        return len(piece)

    def _take_trailer(self, buffer: bytes, position: int) -> int:
        if buffer.startswith(b"\r\n", position):
            self.complete = True
            return 2
        match = TRAILER.match(buffer, position)
        if match is None:
            return self._incomplete_line(buffer, position)
        self._trailers += 1
        if match[1].lower() in NOT_IN_TRAILERS:
            raise BadRequest(400, "A trailer field tries to frame the message.")
        if self._trailers > TRAILER_COUNT:
            raise BadRequest(431, "There are too many trailer fields.")
        return self._count_overhead(match.end() - position)

    def _count_overhead(self, taken: int) -> int:
        self._overhead += taken
        if self._overhead > OVERHEAD_START + OVERHEAD_PER_BYTE * len(self.body):
            raise BadRequest(400, "The chunks carry more framing than data.")
        return taken

    @staticmethod
    def _incomplete_line(buffer: bytes, position: int) -> int:
        if buffer.find(b"\n", position) >= 0 or len(buffer) - position > LONGEST_LINE:
            raise BadRequest(400, "The chunked framing is malformed.")
        return 0

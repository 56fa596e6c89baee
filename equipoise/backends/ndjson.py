"""Newline-delimited JSON, cut into lines as its bytes arrive, in bounded memory."""

from __future__ import annotations

from equipoise.backends.sse import EVENT_LIMIT, STREAM_LIMIT, EventTooLarge, Received


class LineDecoder:
    """Turns pieces of a stream, cut anywhere, into lines without their ends; blank lines are dropped.

    Raises EventTooLarge when one line exceeds `limit` bytes, or all together `most`.
    """

    def __init__(self, limit: int = EVENT_LIMIT, most: int = STREAM_LIMIT) -> None:
        self._limit, self._received = limit, Received(most)
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next bytes; return the lines they complete."""
        self._received.add(len(piece))
        *ended, rest = piece.split(b"\n")
        lines = [line for part in ended if (line := self._completed(part))]
        if rest:
            self._parts.append(rest)
            self._held += len(rest)
            if self._held > self._limit:
                raise EventTooLarge(f"a line of more than {self._limit} bytes")
        return lines

    def finish(self) -> list[bytes]:
        """Tell that the stream ended; return the last line if it had no end."""
        last = self._completed(b"")
        return [last] if last else []

    def _completed(self, end: bytes) -> bytes:
        line = b"".join((*self._parts, end)).strip()
        self._parts.clear()
        self._held = 0
        return line

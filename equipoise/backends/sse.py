"""Server-sent events, decoded as their bytes arrive (WHATWG HTML, 9.2.6), in bounded memory."""

from __future__ import annotations

import re
from typing import Final

import msgspec

EVENT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one event; Perplexity's last event repeats the whole answer with every search result."""

STREAM_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one stream in all: 200,000 tokens in events of 300 bytes. What never ends must not fill the memory."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class EventTooLarge(ValueError):
    """An event, a line or a whole stream that exceeds what we are willing to take."""


class Received:
    """Counts the bytes of one stream; raises EventTooLarge beyond `most`."""

    __slots__ = ("_most", "_seen")

    def __init__(self, most: int) -> None:
        self._most, self._seen = most, 0

    def add(self, size: int) -> None:
        """So many more came."""
        self._seen += size
        if self._seen > self._most:
            raise EventTooLarge(f"more than {self._most} bytes in all")


class Event(msgspec.Struct, frozen=True):
    """One event: its name (`message` unless the stream gave one) and its data lines joined with a newline."""

    data: bytes
    name: str = "message"


class SSEDecoder:
    """Turns pieces of a stream, cut anywhere, into events; comments and unknown fields are dropped.

    Raises EventTooLarge when one event exceeds `limit` bytes, or all together `most`.
    """

    def __init__(self, limit: int = EVENT_LIMIT, most: int = STREAM_LIMIT) -> None:
        self._limit, self._received = limit, Received(most)
        self._parts: list[bytes] = []  # of the line that has not ended
        self._data: list[bytes] = []
        self._name = ""
        self._held = 0  # bytes in _parts and _data
        self._after_return = False
        self._first_line = True

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes; return the events they complete."""
        self._received.add(len(piece))
        if self._after_return and piece:
            piece, self._after_return = piece.removeprefix(b"\n"), False
        self._after_return |= piece.endswith(b"\r")
        *ended, rest = _LINE_END.split(piece)
        events = [event for line in ended if (event := self._line(self._completed(line))) is not None]
        self._keep(rest)
        return events

    def finish(self) -> list[Event]:
        """Tell that the stream ended; return what a sloppy upstream left without its blank line."""
        last = self._line(self._completed(b"")) if self._parts else None
        return [event for event in (last, self._dispatch()) if event is not None]

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._parts.append(rest)
            self._grow(len(rest))

    def _grow(self, size: int) -> None:
        self._held += size
        if self._held > self._limit:
            raise EventTooLarge(f"an event of more than {self._limit} bytes")

    def _completed(self, end: bytes) -> bytes:
        """The line that `end` completes, without the byte order mark a stream may begin with."""
        if self._parts:
            end = b"".join((*self._parts, end))
            self._held -= sum(map(len, self._parts))
            self._parts.clear()
        if self._first_line:
            end, self._first_line = end.removeprefix(BYTE_ORDER_MARK), False
        return end

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._grow(len(value) + 1)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name = [], ""
        self._held = 0
        return Event(b"\n".join(data), name or "message") if data else None


class EventSplitter:
    """Cuts a stream behind its last whole event without looking into events: for passing them on as they are."""

    def __init__(self, limit: int = EVENT_LIMIT, most: int = STREAM_LIMIT) -> None:
        self._limit, self._received = limit, Received(most)
        self._rest = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes; return all whole events so far, empty when none ended."""
        self._received.add(len(piece))
        if piece[-2:] == b"\n\n" and not self._rest:
            return piece
        searched = max(0, len(self._rest) - 3)
        self._rest += piece
        cut = last_boundary(self._rest, searched)
        if cut < 0 and len(self._rest) > self._limit:
            raise EventTooLarge(f"an event of more than {self._limit} bytes")
        if cut < 0:
            return b""
        whole = bytes(self._rest[:cut])
        del self._rest[:cut]
        return whole

    def finish(self) -> bytes:
        """What is left when the stream ends."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


def last_boundary(data: bytes | bytearray, start: int = 0) -> int:
    """Where the last whole event at or after `start` ends; -1 when none does. Lines may end in LF or CRLF."""
    cut = data.rfind(b"\n\n", start)
    found = cut + 2 if cut >= 0 else -1
    # With CRLF the blank line is "\n\r\n", whatever ended the line before it.
    cut = data.rfind(b"\n\r\n", start) if data.find(b"\r", start) >= 0 else -1
    return max(found, cut + 3) if cut >= 0 else found


def split_events(block: bytes) -> list[bytes]:
    """Cut a block of whole events into single ones, each with its blank line; their bytes add up to the block."""
    ends = [match.end() for match in _BLANK_LINE.finditer(block)]
    if not ends or ends[-1] != len(block):
        ends.append(len(block))
    return [block[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


_BLANK_LINE = re.compile(rb"\n\r?\n")


def event_data(event: bytes) -> bytes:
    """The data of one whole event as it was sent, comments and other fields left out; empty when it has none."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.find(b"\n") == len(event) - 2:
        return event[6:-2].removesuffix(b"\r")
    decoder = SSEDecoder(max(len(event) + 1, 1) * 2)
    return b"\n".join(found.data for found in (*decoder.feed(event), *decoder.finish()))

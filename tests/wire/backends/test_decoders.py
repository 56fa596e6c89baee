"""Decoders give the same whatever pieces the bytes come in, and never hold more than they may."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends.ndjson import LineDecoder
from equipoise.backends.sse import Event, EventSplitter, EventTooLarge, SSEDecoder, event_data, split_events
from tests.wire.backends.scripted import recorded

TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=20)
NAMES = st.sampled_from(["", "error", "response.created"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """A stream as a server might write it, and the events in it."""
    end, wire, events = draw(ENDS), b"", []
    for name, lines in draw(st.lists(st.tuples(NAMES, st.lists(TEXT, min_size=1, max_size=3)), max_size=4)):
        data = [line.encode() for line in lines]
        fields = [b"event: " + name.encode()] if name else []
        fields += [b": keep-alive", b"id: 1", *(b"data: " + line for line in data)]
        wire += end.join([*fields, b"", b""])
        events.append(Event(b"\n".join(data), name or "message"))
    return wire, events


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=8))
def test_events_do_not_depend_on_how_the_bytes_are_cut(stream: tuple[bytes, list[Event]], places: list[int]) -> None:
    """Any line end, any cut: the events that were written come out."""
    wire, events = stream
    decoder = SSEDecoder()
    found = [event for piece in cut(wire, places) for event in decoder.feed(piece)]
    assert found + decoder.finish() == events


@pytest.mark.parametrize("name", ["perplexity_agent.sse", "perplexity_chat.sse", "local_chat_crlf.sse"])
def test_a_recorded_stream_is_the_same_cut_at_every_byte(name: str) -> None:
    """Two pieces, cut at each place, give the events of the whole."""
    wire = recorded(name)
    whole = SSEDecoder().feed(wire)
    assert whole
    for place in range(len(wire)):
        decoder = SSEDecoder()
        assert decoder.feed(wire[:place]) + decoder.feed(wire[place:]) == whole


def test_a_byte_order_mark_and_a_missing_last_blank_line_do_no_harm() -> None:
    """The mark is no part of the first field, and the last event counts although its blank line is missing."""
    decoder = SSEDecoder()
    assert decoder.feed(b"\xef\xbb\xbfdata: a\n\ndata:b\ndata") == [Event(b"a")]
    assert decoder.finish() == [Event(b"b\n")]


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=40))
def test_an_endless_event_is_refused_before_it_fills_the_memory(pieces: list[bytes]) -> None:
    """What a decoder holds never exceeds its limit by more than one piece."""
    for decoder in (SSEDecoder(limit=50), LineDecoder(limit=50), EventSplitter(limit=50)):
        with pytest.raises(EventTooLarge):
            for piece in [b"data: ", *pieces, b"x" * 51]:
                decoder.feed(piece.translate(None, b"\r\n"))


@given(st.lists(TEXT.filter(str.strip), max_size=6), st.lists(st.integers(0, 10_000), max_size=8), st.booleans())
def test_lines_do_not_depend_on_how_the_bytes_are_cut(lines: list[str], places: list[int], ended: bool) -> None:
    """Lines come out as they were written, the last one with or without its end."""
    written = [line.encode().strip() for line in lines]
    wire = b"\n".join(written) + (b"\n" if ended else b"")
    decoder = LineDecoder()
    found = [line for piece in cut(wire, places) for line in decoder.feed(piece)]
    assert found + decoder.finish() == [line for line in written if line]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=8))
def test_relayed_blocks_lose_no_byte_and_end_between_events(
    stream: tuple[bytes, list[Event]], places: list[int]
) -> None:
    """The blocks add up to the stream, and each holds whole events only."""
    wire = stream[0].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    splitter = EventSplitter()
    blocks = [splitter.feed(piece) for piece in cut(wire, places)]
    assert b"".join(blocks) + splitter.finish() == wire
    assert all(block.endswith(b"\n\n") for block in blocks if block)


@given(streams())
def test_split_events_are_the_events_of_the_block(stream: tuple[bytes, list[Event]]) -> None:
    """Cutting a block into single events keeps every byte and every event's data."""
    wire = stream[0].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events = split_events(wire)
    assert b"".join(events) == wire
    assert [event_data(event) for event in events] == [event.data for event in stream[1]]


def test_crlf_events_are_cut_where_they_end() -> None:
    """A blank line of CRLF ends an event even when it is split between pieces."""
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == b""
    assert splitter.feed(b"\ndata: b\r\n") == b"data: a\r\n\r\n"
    assert splitter.feed(b"\r\n") == b"data: b\r\n\r\n"
    assert event_data(b"data: b\r\n\r\n") == b"b"

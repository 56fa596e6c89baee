"""Faults are changes of a script: what they keep, cut, break or refuse to be told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.sandbox.faults import Faults, spoil
from equipoise.sandbox.script import EVENTS, NDJSON, Ending, Script

pieces = st.lists(st.tuples(st.floats(0, 2), st.binary(min_size=1, max_size=40)), min_size=1, max_size=8).map(tuple)
scripts = st.builds(Script, pieces=pieces, content_type=st.sampled_from([EVENTS, NDJSON]), streamed=st.just(True))


@given(scripts)
def test_without_faults_nothing_changes(script: Script) -> None:
    """The defaults are no fault."""
    assert spoil(script, Faults()) == script


@given(scripts, st.integers(0, 200))
def test_a_cut_after_bytes_sends_exactly_those_bytes(script: Script, count: int) -> None:
    """A prefix of the body, then a reset."""
    spoilt = spoil(script, Faults(cut_after_bytes=count))
    assert spoilt.body == script.body[:count]
    assert spoilt.ending is Ending.RESET


@given(scripts, st.integers(0, 10))
def test_a_cut_or_stall_after_chunks_keeps_those_before(script: Script, count: int) -> None:
    """The same pieces, another ending; a stall wins because it comes to no end."""
    cut, stalled = spoil(script, Faults(cut_after_chunks=count)), spoil(script, Faults(stall_after_chunks=count))
    assert cut.pieces == stalled.pieces == script.pieces[:count]
    assert (cut.ending, stalled.ending) == (Ending.RESET, Ending.STALL)
    assert spoil(script, Faults(cut_after_chunks=count), cut=False) == script


@given(scripts, st.floats(1, 1000))
def test_a_drip_loses_no_byte_and_keeps_its_rate(script: Script, rate: float) -> None:
    """The same body, in at least the time the rate allows."""
    spoilt = spoil(script, Faults(drip=rate))
    assert spoilt.body == script.body
    assert spoilt.pause >= script.pause + len(script.body) / rate - 1e-6


@given(scripts, st.floats(0, 5), st.floats(0, 5))
def test_latency_is_factor_and_addition(script: Script, factor: float, added: float) -> None:
    """The factor holds for every pause, the addition once."""
    spoilt = spoil(script, Faults(latency_factor=factor, added_latency=added))
    assert spoilt.pause == pytest.approx(script.pause * factor + added)
    assert spoilt.body == script.body


@given(scripts)
def test_garbage_is_as_long_and_no_text(script: Script) -> None:
    """No byte of it is ASCII, so no parser takes it for anything."""
    spoilt = spoil(script, Faults(garbage=True))
    assert [len(data) for _, data in spoilt.pieces] == [len(data) for _, data in script.pieces]
    assert all(byte >= 0x80 for byte in spoilt.body)


def test_an_unterminated_stream_lacks_its_last_event_or_line_end() -> None:
    """Server-sent events lose the terminator, lines half of the last one."""
    sent = ((0.0, b"data: 1\n\n"), (0.0, b"data: [DONE]\n\n"))
    events = Script(pieces=sent, content_type=EVENTS, streamed=True)
    assert spoil(events, Faults(unterminated=True)).body == b"data: 1\n\n"
    lines = Script(pieces=((0.0, b'{"a":1}\n'), (0.0, b'{"b":2}\n')), content_type=NDJSON, streamed=True)
    assert spoil(lines, Faults(unterminated=True)).body == b'{"a":1}\n{"b"'


def test_a_patch_changes_what_it_names_and_null_resets_it() -> None:
    """JSON merge patch, as RFC 7396 has it."""
    faults = Faults().merged({"error_rate": 0.5, "drip": 100})
    assert (faults.error_rate, faults.drip, faults.throttle_rate) == (0.5, 100, 0.0)
    assert faults.merged({"error_rate": None}) == Faults(drip=100)


@pytest.mark.parametrize(
    "patch", [{"eror_rate": 1}, {"error_rate": 2}, {"drip": 0}, {"error_status": 200}, {"garbage": 1}]
)
def test_a_senseless_patch_is_refused(patch: dict[str, object]) -> None:
    """Unknown names, wrong types and impossible numbers."""
    with pytest.raises(msgspec.ValidationError):
        Faults().merged(patch)

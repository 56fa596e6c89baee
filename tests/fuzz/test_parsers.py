"""Any bytes, in any pieces: the parsers neither crash, nor hang, nor read one request as two."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import SEEDS, WORDS
from tests.fuzz.targets import TARGETS, check_chunks, check_requests, check_responses, decode, read_requests

POTPOURRI = st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=20).map(b"".join)
SEED = st.integers(0, 1_000)


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_split_at_every_byte(target: str) -> None:
    """The known hard cases, cut in two at each of their bytes and into single ones."""
    for data in SEEDS[target]:
        for seed in range(min(len(data), 400) * 4 + 4):
            TARGETS[target](data, seed)


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_with_random_damage(target: str) -> None:
    """A bounded run of the mutations that `python -m tests.fuzz.run` makes without end."""
    chance = random.Random(7)
    for round_ in range(6_000):
        data = mutate(chance.choice(SEEDS[target]), chance)
        TARGETS[target](data, round_)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few bytes dropped, replaced, doubled, or a word put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(changed))
        end = min(len(changed), at + chance.randint(0, 6))
        changed[at:end] = chance.choice((b"", chance.choice(WORDS), bytes(changed[at:end]) * 2, chance.randbytes(2)))
    return bytes(changed)


@settings(max_examples=300, deadline=None)
@given(POTPOURRI, SEED)
def test_no_mixture_of_words_breaks_the_request_parser(data: bytes, seed: int) -> None:
    """llhttp, which is more lenient, agrees with all that is accepted."""
    check_requests(data, seed)


@settings(max_examples=300, deadline=None)
@given(POTPOURRI, SEED)
def test_no_mixture_of_words_breaks_the_response_parser(data: bytes, seed: int) -> None:
    """A connection that saw anything odd is not used again."""
    check_responses(data, seed)


@settings(max_examples=300, deadline=None)
@given(POTPOURRI, SEED)
def test_no_mixture_of_words_breaks_the_chunk_decoder(data: bytes, seed: int) -> None:
    """The same bytes give the same body, however they arrive."""
    check_chunks(data, seed)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.binary(max_size=20), SEED)
def test_what_is_written_in_chunks_is_read_back(pieces: list[bytes], behind: bytes, seed: int) -> None:
    """Body and rest are found exactly."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert decode([wire + behind]) == (b"".join(pieces), behind, "done")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5), st.booleans())
def test_pipelined_requests_are_counted_exactly(bodies: list[bytes], chunked: bool) -> None:
    """As many as were sent, each with its own body, whatever the bodies contain."""
    wire = b""
    for body in bodies:
        if chunked and body:
            frame = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            frame = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        wire += b"POST / HTTP/1.1\r\nHost: a\r\n" + frame
    found, end = read_requests([wire])
    assert ([asked[3] for asked in found], end) == (bodies, "more")

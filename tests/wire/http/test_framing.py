"""Requests that two servers might read differently are refused, and never read as two."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from equipoise.http import Request, Response
from tests.wire.http.framing_cases import BAD, CASES, GOOD, SMUGGLED, verdict, verdicts
from tests.wire.http.harness import KINDS, own_server, serving, talk

TABLE = Path(__file__).parents[3] / "docs" / "http-server.md"


class Witness:
    """A handler that remembers the paths it was asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, request: Request) -> Response:
        self.paths.append(request.path)
        return Response(200)


async def test_our_server_refuses_every_ambiguous_request() -> None:
    """And accepts what only looks odd."""
    async with own_server(Witness()) as server:
        said = await verdicts(server.port)
    assert {case: said[case] for case in GOOD} == dict.fromkeys(GOOD, "accept")
    assert {case: said[case] for case in BAD} == dict.fromkeys(BAD, "refuse")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_request_is_read_as_two(kind: str) -> None:
    """What hides in the tail of a refused message reaches no handler."""
    witness = Witness()
    async with serving(kind, witness) as port:
        await verdicts(port, patience=0.3)
    assert "/smuggled" not in witness.paths


async def test_a_refused_request_ends_its_connection() -> None:
    """400, `Connection: close`, and nothing that follows is looked at."""
    async with own_server(Witness()) as server:
        answer = await talk(server.port, BAD["length and chunked"])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not answer.endswith((b"<open>", b"<reset>"))


def documented_differences() -> dict[str, tuple[str, str]]:
    """Case, our verdict and uvicorn's, from the table in the documentation."""
    rows = re.findall(
        r"^\| ([^|]+) \| (accept|refuse|wait) \| (accept|refuse|wait) \|", TABLE.read_text(), re.MULTILINE
    )
    return {case.strip(): (own, other) for case, own, other in rows}


async def test_the_documented_differences_to_uvicorn_are_all_there_are() -> None:
    """The table in docs/http-server.md names every request that the two servers judge differently, and no other."""
    async with own_server(Witness()) as server, serving("uvicorn", Witness()) as port:
        ours, theirs = await verdicts(server.port, 0.5), await verdicts(port, 0.5)
    different = {case: (ours[case], theirs[case]) for case in CASES if ours[case] != theirs[case]}
    assert different == documented_differences()


async def test_the_verdict_does_not_depend_on_how_the_bytes_arrive() -> None:
    """A sample of every family, one byte at a time."""
    sample = ["a chunk extension", "a trailer field", "length and chunked", "a folded field", "an empty chunk size"]
    async with own_server(Witness()) as server:
        for case in sample:
            pieces = [bytes([byte]) for byte in CASES[case].removesuffix(SMUGGLED)]
            answer = await talk(server.port, *pieces)
            whole = await verdict(server.port, CASES[case])
            assert answer.startswith(b"HTTP/1.1 2") == (whole == "accept"), case

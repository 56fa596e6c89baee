"""Everything that can go wrong with one backend, against the shipped gateway: answered by another, or told in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.chaos import envoy
from tests.end_to_end.faults.estate import KINDS, SANDBOX, Estate
from tests.end_to_end.faults.hearing import DIALECTS, Heard, ask
from tests.end_to_end.faults.sick import EARLY, LATE
from tests.end_to_end.install import PLACE

AT_ONCE = 24
LATE_FAULTS = {*LATE, "garbage", "malformed", "unterminated", "envoy: one kilobyte a second", "envoy: stream cut"}
"""Those that may hit an answer whose first words are out already."""
COOLING = {"status 429", "status 529", "throttled", "error 529"}
"""Those after which a backend is left alone for a while, so that others are asked at once."""


def harmless(fault: str, kind: str) -> bool:
    """May the sick backend's answer be whole? Its own sign of the end came before the cut, or the fault spares some.

    LightRAG's lines have no such sign: for it only the end of the HTTP body is one. OpenAI's is the finish reason.
    """
    if fault in ("envoy: abort half", "envoy: one kilobyte a second"):
        return True
    return (fault == "cut at 100%" and kind != "lightrag") or (fault == "unterminated" and kind == "openai")


@pytest.fixture
async def estate(tmp_path: Path) -> AsyncIterator[Estate]:
    program = envoy.installed(PLACE / "envoy")
    if program is None:
        pytest.skip("Envoy is not installed: python -m tests.end_to_end.install")
    async with Estate(tmp_path, str(program)) as found:
        yield found


def misheard(fault: str, kind: str, dialect: str, heard: Heard, healthy: str, good: str) -> str | None:
    """What is wrong with a client's experience, or None: an answer of one backend, whole, or an explicit error."""
    if not heard.ended:
        return "the stream just stopped"
    if heard.error is not None:
        if fault not in LATE_FAULTS or dialect == "chat, whole" or heard.status != 200:
            return f"not answered: {heard.status} {heard.error}"
        return None if good.startswith(heard.text) else f"the words are nobody's: {heard.text[-80:]!r}"
    if heard.text == healthy and (heard.fallback_from is not None or fault in COOLING):
        return None
    if heard.text == good and heard.fallback_from is None:
        return None if harmless(fault, kind) else "a sick backend's answer passed for whole"
    return f"neither answer, or spliced: {heard.text[:40]!r}...{heard.text[-40:]!r}"


async def test_every_fault_ends_in_an_answer_or_in_an_explicit_error(estate: Estate) -> None:
    """Faults x kinds of backend x whole and streamed, in three dialects: nothing is lost, nothing is spliced, no
    cut answer passes for a whole one, nobody is left in flight, and what clients were told is what the ledger holds."""
    told = 0
    words: dict[tuple[str, str], str] = {}
    for name in ("healthy", *(f"good-{kind}" for kind in KINDS)):
        for dialect in DIALECTS:
            heard = await ask(estate.pool, dialect, name)
            words[name, dialect], told = heard.text, told + heard.cost
    turn = asyncio.Semaphore(AT_ONCE)

    async def cell(route: str, dialect: str) -> Heard:
        async with turn:
            return await ask(estate.pool, dialect, route)

    cells = [(route, dialect) for route in estate.cells for dialect in DIALECTS]
    found = await asyncio.gather(*(cell(*each) for each in cells))
    wrong = {}
    for (route, dialect), heard in zip(cells, found, strict=True):
        fault, kind = estate.cells[route]
        if why := misheard(fault, kind, dialect, heard, words["healthy", dialect], words[f"good-{kind}", dialect]):
            wrong[route, dialect] = why
    assert not wrong, "\n".join(f"{route}, {dialect}: {why}" for (route, dialect), why in wrong.items())
    assert len(cells) == (len(EARLY) + len(LATE) + len(SANDBOX) + 2 + 6) * len(KINDS) * len(DIALECTS)
    assert await estate.in_flight() == 0
    assert told + sum(heard.cost for heard in found) == await estate.billed()

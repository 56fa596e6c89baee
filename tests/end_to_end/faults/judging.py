"""Every cell of the fault matrix, asked at once, and what is wrong with what was heard."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tests.end_to_end.faults.estate import DATA_CLASS, KINDS, Estate
from tests.end_to_end.faults.hearing import DIALECTS, Heard, ask
from tests.end_to_end.faults.sick import LATE

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


class Cell(NamedTuple):
    """One fault of one kind of backend, asked in one way: what was heard, and what is wrong with it, if anything."""

    fault: str
    kind: str
    dialect: str
    heard: Heard
    wrong: str | None


async def every_cell(estate: Estate) -> tuple[list[Cell], int]:
    """All of them, and the nano-dollars that clients were told in all."""
    told, words = 0, dict[tuple[str, str], str]()
    for name in ("healthy", *(f"good-{kind}" for kind in KINDS)):
        for dialect in DIALECTS:
            heard = await ask(estate.pool, dialect, name, DATA_CLASS)
            words[name, dialect], told = heard.text, told + heard.cost
    turn = asyncio.Semaphore(AT_ONCE)

    async def cell(route: str, dialect: str) -> Cell:
        fault, kind = estate.cells[route]
        async with turn:
            heard = await ask(estate.pool, dialect, route, DATA_CLASS)
        wrong = misheard(fault, kind, dialect, heard, words["healthy", dialect], words[f"good-{kind}", dialect])
        return Cell(fault, kind, dialect, heard, wrong)

    cells = await asyncio.gather(*(cell(route, dialect) for route in estate.cells for dialect in DIALECTS))
    return list(cells), told + sum(each.heard.cost for each in cells)


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

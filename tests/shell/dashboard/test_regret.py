"""Regret as the dashboard tells it: from records of the ledger, or with the reason why not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from equipoise.core.callers import Caller, Role
from equipoise.core.events import AnswerScored
from equipoise.dashboard.facts import Facts
from equipoise.dashboard.filters import Filters
from equipoise.dashboard.pages import learning
from equipoise.dashboard.recorder import Recorder
from equipoise.dashboard.sources import SOURCES
from equipoise.dashboard.sources.regret import UNSCORED
from equipoise.dashboard.table import Table
from equipoise.dashboard.view import View
from equipoise.stores import Ledger
from equipoise.stores.quality import QualityRecords
from tests.shell.dashboard.test_markup import read
from tests.shell.stores.attempts import DECISION, attempt

BEGIN = 1_800_000_000.0
WORTH = {"web": 0.5, "graph": 0.9}


async def recorded(folder: Path, *, share: float, scored: int, count: int = 1_500) -> Ledger:
    """Decisions of a learner that asks the worse one with this share; one answer of so many is scored, with 0 none."""
    path, chance = folder / "ledger.sqlite3", random.Random(5)
    ledger = Ledger(path, batch_seconds=0.01, wall=lambda: BEGIN + count)
    records = QualityRecords(path, batch_seconds=0.01, wall=lambda: BEGIN + count)
    chances = {"web": share, "graph": 1.0 - share}
    decision = msgspec.structs.replace(DECISION, strategy="adaptive_learning", probabilities=chances)
    for number in range(count):
        name, wall = chance.choices(list(chances), list(chances.values()))[0], BEGIN + number
        made = msgspec.structs.replace(decision, backend_id=name, probability=chances[name])
        ledger.record(attempt(f"r{number}", backend_id=name, decision=made, wall=wall))
        if scored and number % scored == 0:
            records.observe(
                AnswerScored(
                    request_id=f"r{number}", attempt=1, backend_id=name, route="auto", tenant="default", kind="general",
                    role="answer", source="automated", quality=WORTH[name], variance=0.01, wall=wall,
                )
            )  # fmt: skip
    await ledger.flush()
    await records.close()
    return ledger


async def told(ledger: Ledger | None, *names: str) -> dict[str, Table]:
    """These tables, half an hour after the first decision."""

    async def nothing(request_id: str) -> None:
        return None

    story: Callable[[str], Awaitable[Any]] = nothing
    facts = Facts(
        status=dict, ledger=ledger, story=story, recorder=Recorder(dict, lambda: BEGIN), wall=lambda: BEGIN + 1_800.0
    )
    return {name: await SOURCES[name](facts, Filters(range="1h")) for name in names}


async def test_what_the_worse_choice_cost_is_drawn(tmp_path: Path) -> None:
    """Seven of ten asked of the worse one: 0.28 an answer against always asking the other, summed up, in the picture too."""
    ledger = await recorded(tmp_path, share=0.7, scored=3)
    tables = await told(ledger, "alone", "regret")
    await asyncio.to_thread(ledger.close)
    best, other = tables["alone"].rows
    assert (best["backend_id"], other["backend_id"]) == ("graph", "web")
    assert best["regret_low"] < 0.28 < best["regret_high"]
    assert abs(best["quality"] - 0.9) < 0.02
    rows = tables["regret"].rows
    assert sum(row["scored"] for row in rows) == 500
    assert abs(rows[-1]["regret"] - 500 * 0.28) < 15
    view = View(filters=Filters(range="1h"), person=Caller(key="ann", role=Role.VIEW), proof="", now=BEGIN + 1_800.0)
    page = read(str(learning._regret(tables, view)))
    assert "always graph" in page.text


async def test_without_scores_without_exploring_and_without_a_ledger_it_says_why_there_is_none(tmp_path: Path) -> None:
    """In words, with no numbers; who is asked always is a measure of himself only."""
    for name, of in (("unscored", {"share": 0.5, "scored": 0}), ("fixed", {"share": 1.0, "scored": 1})):
        (tmp_path / name).mkdir()
        ledger = await recorded(tmp_path / name, count=300, **of)  # type: ignore[arg-type]
        tables = await told(ledger, "alone", "regret")
        await asyncio.to_thread(ledger.close)
        if name == "unscored":
            assert (tables["regret"].rows, tables["alone"].rows) == ([], [])
        else:
            assert [row["quality"] for row in tables["alone"].rows] == [0.5, None]
            assert "could be asked in 0 of 300 decisions" in tables["alone"].rows[1]["refusal"]
    nothing = await told(None, "regret")
    assert "No ledger is kept" in nothing["regret"].empty
    assert UNSCORED.startswith("No decision")

"""Quality per dollar with honest error bars."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest

from equipoise.cli.exits import Failure
from equipoise.cli.quality import hours_of
from equipoise.core.events import AnswerScored
from equipoise.scoring.report import Line, lines, rows
from equipoise.stores.quality import QualityRecords

DOLLAR = 1_000_000_000


def opinions(backend: str, kind: str, values: list[float], variance: float = 0.0) -> dict[str, Any]:
    return {
        "backend_id": backend,
        "kind": kind,
        "scored": len(values),
        "quality": sum(values),
        "squared": sum(value * value for value in values),
        "variance": variance * len(values),
        "judged": 0,
        "rated": 0,
    }


def spent(
    backend: str, kind: str, costs: list[int], *, answers: int | None = None, unpriced: int = 0
) -> dict[str, Any]:
    answered = len(costs) if answers is None else answers
    return {
        "backend_id": backend,
        "kind": kind,
        "attempts": len(costs),
        "answers": answered,
        "no_answers": len(costs) - answered,
        "cost": sum(costs),
        "squared": float(sum(cost * cost for cost in costs)),
        "unpriced": unpriced,
    }


def only(found: list[Line], kind: str = "general") -> Line:
    return next(line for line in found if line.kind == kind)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Nineteen of twenty, over three hundred reports of answers whose quality and cost vary."""
    chance, hits = random.Random(4), 0
    truth = 0.6 / 0.002
    for _ in range(300):
        values = [min(1.0, max(0.0, chance.gauss(0.6, 0.15))) for _ in range(80)]
        costs = [round(chance.gauss(0.002, 0.0005) * DOLLAR) for _ in range(400)]
        ratio = only(lines([opinions("a", "general", values)], [spent("a", "general", costs)])).per_dollar
        assert ratio is not None
        hits += ratio.low <= truth <= ratio.high
    assert 0.92 <= hits / 300 <= 0.98


def test_the_doubt_of_each_score_widens_the_interval() -> None:
    """Rules alone say less than people."""
    values = [0.5, 0.7] * 30
    sure, unsure = (only(lines([opinions("a", "general", values, variance)], [])).quality for variance in (0.0, 0.0625))
    assert sure is not None
    assert unsure is not None
    width = (unsure.high - unsure.low) / 2
    spread = 60 * 0.01 / 59
    assert width == pytest.approx(1.96 * math.sqrt((spread + 0.0625) / 60), rel=1e-3)
    assert sure.high - sure.low < unsure.high - unsure.low


def test_too_little_data_is_said_aloud() -> None:
    """And no number is given for it."""
    line = only(lines([opinions("a", "general", [0.9] * 29)], [spent("a", "general", [1000] * 500)]))
    assert (line.quality, line.per_dollar) == (None, None)
    assert line.note == "not enough data: 29 scored of 500 attempts, 30 of each are needed"


def test_free_and_unpriced_are_not_a_ratio() -> None:
    """Neither infinite nor zero."""
    scored = [opinions("a", "general", [0.9] * 40), opinions("b", "general", [0.9] * 40)]
    found = lines(scored, [spent("a", "general", [0] * 40), spent("b", "general", [5] * 40, unpriced=1)])
    notes = {line.backend: line.note for line in found if line.kind == "general"}
    assert notes == {"a": "free", "b": "price unknown"}
    assert all(line.per_dollar is None for line in found)


def test_replies_that_answer_nothing_cost_and_count() -> None:
    """Their money is in the price of an answer."""
    line = only(lines([opinions("a", "general", [0.8] * 40)], [spent("a", "general", [1_000_000] * 100, answers=50)]))
    assert line.answered == 0.5
    assert line.usd_per_answer is not None
    assert line.usd_per_answer.mean == pytest.approx(0.002)


def test_each_backends_whole_comes_first() -> None:
    """Sums over its kinds."""
    scored = [opinions("a", "review", [0.5] * 20), opinions("a", "general", [0.9] * 20)]
    found = lines(scored, [spent("a", "review", [1000] * 40), spent("a", "general", [1000] * 40)])
    assert [line.kind for line in found] == ["all", "general", "review"]
    assert found[0].quality is not None
    assert found[0].quality.mean == pytest.approx(0.7)
    assert len(rows(found)[0]) == 9


def test_spans_of_time() -> None:
    """As people write them."""
    assert [hours_of(span) for span in ("90m", "24h", "7d", "1w")] == [1.5, 24.0, 168.0, 168.0]
    with pytest.raises(Failure):
        hours_of("tomorrow")


def event(request_id: str, by: str, quality: float, **fields: Any) -> AnswerScored:
    source = by if by in ("proxy", "judge") else "feedback"
    defaults: dict[str, Any] = {"backend_id": "a", "route": "auto", "tenant": "t", "kind": "general", "role": "answer"}
    defaults |= {"attempt": 1, "variance": 0.01, "wall": 100.0}
    return AnswerScored(request_id=request_id, quality=quality, source=source, by=by, **(defaults | fields))


async def test_the_record_keeps_the_latest_of_each_voice_and_counts_the_weightiest(tmp_path: Path) -> None:
    """Restarted, it still does; other tenants' are left out where one is named."""
    records = QualityRecords(tmp_path / "ledger.sqlite3", wall=lambda: 200.0)
    for given in (event("r1", "proxy", 0.9, score=0.8), event("r1", "rating", 0.2), event("r1", "rating", 0.4)):
        records.observe(given)
    records.observe(event("r2", "judge", 0.6, tenant="u"))
    assert [(of["voice"], of["quality"]) for of in await records.of("r1")] == [("proxy", 0.9), ("rating", 0.4)]
    await records.close()
    again = QualityRecords(tmp_path / "ledger.sqlite3", wall=lambda: 200.0)
    (row,), _ = await again.sums()
    assert (row["scored"], row["quality"], row["judged"], row["rated"]) == (2, pytest.approx(1.0), 1, 1)
    (own,), _ = await again.sums(tenant="u")
    assert own["scored"] == 1
    assert await again.sums(since=101.0) == ([], [])
    await again.close()


async def test_old_opinions_go(tmp_path: Path) -> None:
    """After their time."""
    now = 200.0
    records = QualityRecords(tmp_path / "ledger.sqlite3", max_age=50.0, wall=lambda: now)
    records.observe(event("r1", "proxy", 0.9))
    await records.of("r1")
    now = 100_000.0
    records.observe(event("r2", "proxy", 0.9, wall=now))
    await records.of("r2")
    await records.close()
    again = QualityRecords(tmp_path / "ledger.sqlite3", wall=lambda: now)
    assert await again.of("r1") == []
    assert len(await again.of("r2")) == 1
    await again.close()

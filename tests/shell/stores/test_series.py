"""What pictures are drawn from says the same as counting by hand."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator

import pytest

from equipoise.core.events import AnswerScored
from equipoise.core.model import Attempt, Verdict
from equipoise.stores import Ledger, StoreError, series
from equipoise.stores.quality import QualityRecords
from equipoise.stores.reports import Wanted
from tests.shell.stores.attempts import attempt
from tests.shell.stores.conftest import Engine

BEGIN = 1_800_000_000.0
STEP = 60.0


def some() -> Iterator[Attempt]:
    """Three hundred attempts of three backends in ten minutes; every tenth fails, every third is unlike the others."""
    for n in range(300):
        backend = ("web", "graph", "llm")[n % 3]
        verdict = Verdict.FAILURE if n % 10 == 0 else Verdict.SUCCESS
        yield attempt(
            f"r{n}", cost=1000 + n, backend_id=backend, wall=BEGIN + 2 * n, duration=((n * 37) % 101) / 100,
            verdict=verdict, tenant="a" if n % 2 else "b", error="boom" if n % 10 == 0 else None,
        )  # fmt: skip


ATTEMPTS = list(some())


@pytest.fixture
async def ledger(engine: Engine) -> Ledger:
    it = Ledger(engine.ledger, wall=lambda: BEGIN + 600)
    for one in ATTEMPTS:
        it.record(one)
    await it.flush()
    return it


def wanted(**where: str) -> Wanted:
    return Wanted(since=BEGIN, where=where)


async def test_traffic_adds_up_by_step_and_backend(ledger: Ledger) -> None:
    """Attempts, answers, failures and money; filters hold."""
    rows = await ledger.query(series.asked(series.traffic, wanted(tenant="a"), STEP))
    mine = [one for one in ATTEMPTS if one.tenant == "a"]
    by: dict[tuple[float, str], list[Attempt]] = defaultdict(list)
    for one in mine:
        by[one.wall // STEP * STEP, one.backend_id].append(one)
    assert {(row["moment"], row["backend_id"]): (row["attempts"], row["failures"], row["cost"]) for row in rows} == {
        key: (len(own), sum(o.outcome.verdict is Verdict.FAILURE for o in own), sum(o.outcome.cost for o in own)) for key, own in by.items()
    }  # fmt: skip


@pytest.mark.parametrize("step", [STEP, None])
async def test_percentiles_are_ranks_of_answers(ledger: Ledger, step: float | None) -> None:
    """The smallest that at least that share did not exceed, by hand; failures do not count."""
    rows = await ledger.query(series.asked(series.latency, wanted(), step))
    by: dict[tuple[float | None, str], list[float]] = defaultdict(list)
    for one in ATTEMPTS:
        if one.outcome.verdict is Verdict.SUCCESS:
            by[None if step is None else one.wall // step * step, one.backend_id].append(one.outcome.duration)
    assert len(rows) == len(by)
    for row in rows:
        own = sorted(by[row.get("moment"), row["backend_id"]])
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            assert row[name] == next(value for rank, value in enumerate(own, 1) if rank >= share * len(own) - 1e-9)
        assert row["answers"] == len(own)
        assert row["first_token_p95"] == 0.25


async def test_errors_are_counted_by_class(ledger: Ledger) -> None:
    """By code, else by verdict."""
    rows = await ledger.query(series.asked(series.errors, wanted(), STEP))
    assert sum(row["count"] for row in rows) == 30
    assert {row["class"] for row in rows} == {"failure"}


async def test_the_newest_come_first_with_their_decisions(ledger: Ledger) -> None:
    """And no more than were asked for."""
    rows = await ledger.query(series.asked(series.newest, wanted(), 5))
    assert [row["request_id"] for row in rows] == [f"r{n}" for n in range(299, 294, -1)]
    assert rows[0]["decision"]["candidates"]
    assert rows[0]["quality"] is None


async def test_quality_counts_the_weightiest_opinion_once(ledger: Ledger) -> None:
    """An answer that a judge and a person looked at counts once, as the person said; costs are those of all attempts."""
    records = QualityRecords(ledger.database, wall=lambda: BEGIN + 600)
    for source, by, worth in (("judge", "judge", 0.1), ("feedback", "expert", 0.9)):
        records.observe(
            AnswerScored(
                request_id="r1", attempt=1, backend_id="graph", route="auto", tenant="a", kind="general", role="answer",
                quality=worth, variance=0.01, source=source, by=by, wall=BEGIN + 2,
            )
        )  # fmt: skip
    await records.close()
    (row,) = await ledger.query(series.asked(series.quality, wanted(), STEP))
    assert (row["backend_id"], row["quality"], row["scored"]) == ("graph", pytest.approx(0.9), 1)
    rows = {row["backend_id"]: row for row in await ledger.query(series.asked(series.efficiency, wanted()))}
    assert rows["graph"]["quality"] == pytest.approx(0.9)
    assert rows["graph"]["cost"] == sum(one.outcome.cost for one in ATTEMPTS if one.backend_id == "graph")
    assert rows["web"]["quality"] is None
    assert sum(row["cost"] for row in await ledger.query(series.asked(series.spent, wanted(), STEP))) == sum(
        one.outcome.cost for one in ATTEMPTS
    )


async def test_a_question_that_takes_too_long_is_given_up(ledger: Ledger) -> None:
    """As a StoreError, not as a page that never comes."""

    def endless(connection: sqlite3.Connection) -> int:
        sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n"
        return int(connection.execute(sql).fetchone()[0])

    with pytest.raises(StoreError, match=r"interrupted|timeout"):
        await ledger.query(series.patiently(endless, 0.05))

"""Both engines are asked everything that anybody asks of a ledger, and say the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from equipoise.core.callers import Caller
from equipoise.core.events import AnswerReused, AnswerScored
from equipoise.core.model import Verdict
from equipoise.core.pricing import Price
from equipoise.gateway.usage import told as used
from equipoise.stores import Ledger, queries, reports, reuses, savings, series
from equipoise.stores.database import Connection, Database
from equipoise.stores.decisions import newest_decisions, stored_decisions
from equipoise.stores.measured import measured_answers
from equipoise.stores.quality import QualityRecords
from equipoise.stores.reports import FILTERS, GROUPS, Wanted
from equipoise.stores.reuses import Reuses
from equipoise.stores.savings import BY, Alternative
from tests.shell.stores.attempts import attempt
from tests.shell.stores.conftest import Engine, PostgresEngine

BEGIN = 1_800_000_000.0
DAY = 86_400.0
BACKENDS = ("web", "Web", "ärzte", "graph-1", "_x")
"""Sorted by their bytes, whatever language a server speaks."""
TAGS = ((), ("team:bio",), ("a", "b\N{SNOWMAN}", 'odd "tag"'), ("a\\u0000b", "back\\slash"))


async def fill(database: Database) -> None:
    """Six hundred attempts of three days, with what goes with them."""
    chance = random.Random(3)
    ledger = Ledger(database, batch_seconds=0.01, wall=lambda: BEGIN + 3 * DAY, max_age=2.5 * DAY)
    records = QualityRecords(database, batch_seconds=0.01, wall=lambda: BEGIN + 3 * DAY)
    again = Reuses(database, batch_seconds=0.01, wall=lambda: BEGIN + 3 * DAY)
    for number in range(600):
        ledger.record(made(number, chance))
        wall = BEGIN + number * 400
        if number % 3 == 0:
            records.observe(
                AnswerScored(
                    request_id=f"r{number}", attempt=1, backend_id=chance.choice(BACKENDS), route="auto", tenant="ann",
                    kind="general", role="answer", source=chance.choice(("judge", "feedback", "automated")),
                    quality=chance.random(), variance=0.01, score=chance.choice((None, 0.5)), dimensions={"x": 0.5},
                    wall=wall, by=chance.choice((None, "expert", "rating")),
                )
            )  # fmt: skip
        if number % 5 == 0:
            again.observe(
                AnswerReused(
                    request_id=f"u{number % 50}", wall=wall, tenant="ann", key="k", route="auto", result="hit",
                    backend_id=chance.choice(BACKENDS), source=f"r{number}", age=2.5, saved=number,
                )
            )  # fmt: skip
    await ledger.flush()
    while ledger.health().retired == 0 or ledger.health().queued:
        await asyncio.sleep(0.02)
    await asyncio.to_thread(ledger.close)
    await records.close()
    await asyncio.to_thread(again.close)


def made(number: int, chance: random.Random) -> Any:
    """An attempt with everything a column can hold, nothing included."""
    verdict = chance.choice((Verdict.SUCCESS, Verdict.SUCCESS, Verdict.FAILURE, Verdict.NO_ANSWER, Verdict.IGNORED))
    return attempt(
        f"r{number % 550}", 1 + number % 2, cost=chance.randrange(10**12), wall=BEGIN + number * 400 + chance.random(),
        backend_id=chance.choice(BACKENDS), verdict=verdict, duration=round(chance.random(), 3),
        tenant=chance.choice(("ann", "bob")), key=chance.choice(("", "k")), tags=chance.choice(TAGS),
        session=chance.choice((None, "s")), error=chance.choice((None, "boom", "nul\0here")),
        question_tokens=chance.randrange(2000), parent=chance.choice((None, None, f"r{number // 2}")),
        role=chance.choice(("answer", "answer", "judge")),
    )  # fmt: skip


def questions() -> dict[str, Callable[[Connection], Any]]:
    """Every query there is, by name, with each thing it can be grouped by and filtered by."""
    alternatives = {
        "web": Alternative(price=Price(input=10**9, output=10**9)),
        "graph-1": Alternative(price=Price(input=10**10, output=3 * 10**10, per_request=5_000_000), hidden_tokens=50),
        "_x": Alternative(price=None),
    }
    everything = Wanted()
    some = Wanted(since=BEGIN + DAY, until=BEGIN + 2 * DAY, where={"tenant": "ann", "verdict": "success"}, tag="a")
    found: dict[str, Callable[[Connection], Any]] = {
        f"sums by {name}": lambda it, name=name: reports.sums(it, everything, (name,)) for name in GROUPS
    }
    found |= {
        f"savings by {name}": lambda it, name=name: savings.report(it, everything, alternatives, "web", (name,))
        for name in BY
    }
    found |= {
        f"filtered by {name}": lambda it, name=name: reports.sums(it, Wanted(where={name: "web"}), ())
        for name in FILTERS
    }
    found |= {
        f"reused by {name}": lambda it, name=name: reuses.saved(it, 0.0, 1e18, {}, (name,)) for name in reuses.GROUPS
    }
    for word, wanted in (("everything", everything), ("some", some)):
        found |= {
            f"sums of {word}": lambda it, wanted=wanted: reports.sums(it, wanted, ("day", "backend", "tag")),
            f"records of {word}": lambda it, wanted=wanted: list(reports.records(it, wanted, 50)),
            f"all records of {word}": lambda it, wanted=wanted: list(reports.records(it, wanted)),
            f"traffic of {word}": lambda it, wanted=wanted: series.traffic(it, wanted, 3600.0),
            f"errors of {word}": lambda it, wanted=wanted: series.errors(it, wanted, 3600.0),
            f"latency of {word}": lambda it, wanted=wanted: series.latency(it, wanted, 7200.0),
            f"latency of {word} without steps": lambda it, wanted=wanted: series.latency(it, wanted, None),
            f"efficiency of {word}": lambda it, wanted=wanted: series.efficiency(it, wanted),
            f"quality of {word}": lambda it, wanted=wanted: series.quality(it, wanted, 7200.0),
            f"newest of {word}": lambda it, wanted=wanted: series.newest(it, wanted, 20),
            f"newest decisions of {word}": lambda it, wanted=wanted: newest_decisions(it, wanted, 20),
            f"spent of {word}": lambda it, wanted=wanted: series.spent(it, wanted, 3600.0),
            f"savings of {word}": lambda it, wanted=wanted: savings.report(it, wanted, alternatives, "web", ()),
        }
    return found | {
        "story": lambda it: queries.story(it, "r500"),
        "no story": lambda it: queries.story(it, "nobody"),
        "summary": lambda it: queries.summary(it, 0.0),
        "total": lambda it: queries.total_cost(it, 0.0, float("inf"), None, None),
        "total of one": lambda it: queries.total_cost(it, BEGIN + DAY, BEGIN + 2 * DAY, "ann", "web"),
        "gaps": queries.gaps,
        "retired": lambda it: [tuple(row) for row in it.execute("SELECT * FROM retired ORDER BY 1, 2, 3")],
        "told again": lambda it: reuses.told(it, "u5"),
        "usage": lambda it: used(it, Caller(key="k", tenant="ann"), BEGIN + 2 * DAY),
        "usage of a tenant": lambda it: used(it, Caller(key="", tenant="bob"), BEGIN + 2 * DAY),
        "types": lambda it: it.types("attempts"),
    }


def plain(value: Any) -> Any:
    """Sums of fractions may be added up in another order; what cannot be stored in one engine is told apart."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def shown(value: Any) -> Any:
    """The same without allowances."""
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def first(one: Any, other: Any) -> str:
    """Where both differ."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next((first(a, b) for a, b in zip(one, other, strict=True) if shown(b) != plain(a)), "")
    return f"{one} and {other}"[:1000]


@pytest.mark.end_to_end
async def test_both_engines_say_the_same_to_every_question(postgres: Any, tmp_path: Path) -> None:
    """Sums, percentiles, groups, filters, orders, stories, savings, quality: the file's answer is the server's."""
    here = Engine(tmp_path)
    there = PostgresEngine(tmp_path, postgres.database("same-answers"))
    await asyncio.gather(fill(here.ledger), fill(there.ledger))
    different = []
    with here.ledger.reading() as file, there.ledger.reading() as server:
        for name, question in questions().items():
            one, other = question(file), question(server)
            if shown(other) != plain(one):
                different.append((name, one, other))
    assert different == []
    for find in (lambda it: stored_decisions(it, 0.0, 1e18), lambda it: stored_decisions(it, 0.0, 1e18, "auto")):
        assert find(here.ledger) == find(there.ledger)
    assert measured_answers(here.ledger, "web") == measured_answers(there.ledger, "web")
    kept = [QualityRecords(engine.ledger) for engine in (here, there)]
    for tenant in (None, "ann"):
        one, other = [await records.sums(0.0, tenant) for records in kept]
        assert shown(list(other)) == plain(list(one))
    for records in kept:
        await records.close()

"""Tables made from the ledger: traffic, latency, errors, the newest requests, what an answer costs and is worth."""

from __future__ import annotations

from typing import Any

from equipoise.core.model import NANO_PER_USD
from equipoise.dashboard.facts import Facts
from equipoise.dashboard.filters import Filters
from equipoise.dashboard.table import Column, Table
from equipoise.stores import series

NO_LEDGER = "No ledger is kept: set ledger.enabled, and this page has a memory."
NO_TRAFFIC = "No attempts in this range. Ask something (`equipoise ask`), or choose a longer range."
RECENT = 100
STEP = Column("moment", "from", "instant", "Beginning of the step, UTC")
BACKEND = Column("backend_id", "backend")


def _empty(facts: Facts) -> str:
    return NO_TRAFFIC if facts.has_ledger else NO_LEDGER


async def traffic(facts: Facts, filters: Filters) -> Table:
    """Attempts by step and backend."""
    rows = await facts.ledger(series.traffic, filters.wanted(facts.wall()), filters.bucket)
    columns = (
        STEP, BACKEND, Column("attempts", "attempts", "number"), Column("answers", "answers", "number"),
        Column("failures", "failures", "number"), Column("tokens", "tokens", "number"), Column("cost_usd", "cost", "usd"),
    )  # fmt: skip
    return Table(name="traffic", columns=columns, rows=[_priced(row) for row in rows], empty=_empty(facts))


async def latency(facts: Facts, filters: Filters) -> Table:
    """Percentiles of answers by step and backend."""
    rows = await facts.ledger(series.latency, filters.wanted(facts.wall()), filters.bucket)
    columns = (
        STEP, BACKEND, Column("answers", "answers", "number"), Column("p50", "p50", "seconds"),
        Column("p95", "p95", "seconds"), Column("p99", "p99", "seconds"),
        Column("first_token_p50", "first token p50", "seconds"), Column("first_token_p95", "first token p95", "seconds"),
    )  # fmt: skip
    note = f"Answers only; percentiles by rank over the newest {series.MOST_RANKED:,} of the range."
    return Table(name="latency", columns=columns, rows=rows, note=note, empty=_empty(facts))


async def errors(facts: Facts, filters: Filters) -> Table:
    """Attempts that gave no answer, by step and class."""
    rows = await facts.ledger(series.errors, filters.wanted(facts.wall()), filters.bucket)
    columns = (STEP, Column("class", "class"), Column("count", "attempts", "number"))
    return Table(name="errors", columns=columns, rows=rows, empty="No attempt failed in this range.")


async def efficiency(facts: Facts, filters: Filters) -> Table:
    """What an answer of each backend costs and is worth: scored answers where there are any, else what is believed."""
    rows = await facts.ledger(series.efficiency, filters.wanted(facts.wall()))
    believed = {row["id"]: row["quality"] for row in facts.status()["backends"]}
    columns = (
        BACKEND, Column("answers", "answers", "number"), Column("cost_usd", "spent", "usd"),
        Column("usd_per_answer", "per answer", "usd", "What was spent on its attempts, failed ones too, by answers given"),
        Column("quality", "quality", "number", "Mean over scored answers; where none was scored, what is believed"),
        Column("scored", "scored", "number"),
    )  # fmt: skip
    found = [_efficient(_priced(row), believed) for row in rows]
    return Table(name="efficiency", columns=columns, rows=found, empty=_empty(facts))


def _efficient(row: dict[str, Any], believed: dict[str, float]) -> dict[str, Any]:
    per = row["cost_usd"] / row["answers"] if row["answers"] else None
    worth = row["quality"] if row["scored"] else believed.get(row["backend_id"])
    return row | {"usd_per_answer": per, "quality": worth}


async def requests(facts: Facts, filters: Filters) -> Table:
    """The newest attempts, each with why it went where it went."""
    rows = await facts.ledger(series.newest, filters.wanted(facts.wall()), RECENT)
    columns = (
        Column("wall", "time", "clock"), Column("request_id", "request"), Column("tenant", "tenant"), Column("key", "key"),
        Column("route", "route"), Column("backend_id", "backend"), Column("model", "model"),
        Column("verdict", "came to", "state"), Column("latency", "time taken", "seconds"),
        Column("first_token", "first token", "seconds"), Column("tokens", "tokens", "number"),
        Column("cost_usd", "cost", "usd"), Column("quality", "quality", "number"), Column("why", "why this backend?"),
    )  # fmt: skip
    found = [attempt(row) for row in rows]
    return Table(name="requests", columns=columns, rows=found, note=f"The newest {RECENT}.", empty=_empty(facts))


def attempt(row: dict[str, Any]) -> dict[str, Any]:
    """An attempt as a row here: no nano-dollars, its reason beside it."""
    decision = row["decision"]
    return row | {
        "cost_usd": row["cost"] / NANO_PER_USD,
        "tokens": row["input_tokens"] + row["output_tokens"],
        "why": decision["reason"],
        "chance": decision["probability"],
    }


async def quality(facts: Facts, filters: Filters) -> Table:
    """How good answers were, by step and backend."""
    step = max(filters.bucket, 3600.0) if filters.seconds >= 86_400 else filters.bucket
    rows = await facts.ledger(series.quality, filters.wanted(facts.wall()), step)
    columns = (
        STEP, BACKEND, Column("quality", "quality", "number"), Column("error", "standard error", "number"),
        Column("scored", "scored answers", "number"),
    )  # fmt: skip
    note = (
        "The weightiest opinion of each answer counts: people, then automated checks, then the judge, then the rules."
    )
    empty = "No answer was scored in this range: quality_sampling_rate says how many are."
    return Table(name="quality", columns=columns, rows=rows, note=note, empty=empty if facts.has_ledger else NO_LEDGER)


def _priced(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"cost_usd": row["cost"] / NANO_PER_USD}

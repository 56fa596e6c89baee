"""Tables of money: how budgets burn down, with the forecast, and what was spent by whom."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from equipoise.core.model import NANO_PER_USD
from equipoise.dashboard.facts import Facts
from equipoise.dashboard.filters import Filters
from equipoise.dashboard.sources.standing import budgets
from equipoise.dashboard.table import Column, Table
from equipoise.stores import reports, series
from equipoise.stores.reports import Wanted

DAY = 86_400.0
STEPS = 96
MOST_CURVES = 6


async def burn(facts: Facts, filters: Filters) -> Table:
    """What is left of each dollar budget, step by step since its window began, and the forecast to its end."""
    rows: list[dict[str, Any]] = []
    curved = [
        row for row in (await budgets(facts, filters)).rows if row["unit"] == "usd" and "*" not in row["where"].values()
    ]
    for budget in curved[:MOST_CURVES]:
        rows += await _curve(facts, budget)
    columns = (
        Column("budget", "budget"), Column("moment", "time", "instant"), Column("left_usd", "left", "usd"),
        Column("forecast_usd", "left by the forecast", "usd"), Column("limit_usd", "limit", "usd"),
    )  # fmt: skip
    note = "The curve is the ledger's and ends at what the budget itself counts; the forecast goes on at the pace since the window began."
    return Table(name="burn", columns=columns, rows=rows, note=note, empty="No budget in dollars is configured.")


async def _curve(facts: Facts, budget: Mapping[str, Any]) -> list[dict[str, Any]]:
    now, limit, left = facts.wall(), budget["limit"], budget["limit"] - budget["spent"]
    begin, end = window(budget, now)
    step = max(1.0, (now - begin) / STEPS)
    where = {name: value for name, value in budget["where"].items() if name != "tag"}
    found = await facts.ledger(
        series.spent, Wanted(since=begin, where=where, tag=budget["where"].get("tag")), float(round(step))
    )
    sums = [total / NANO_PER_USD for total in accumulate(row["cost"] for row in found)]
    of = {"budget": budget["budget"], "limit_usd": limit, "ends": end}
    curve = [
        of | {"moment": min(now, row["moment"] + step), "left_usd": limit - total}
        for row, total in zip(found, sums, strict=True)
    ]
    curve = [
        of | {"moment": begin, "left_usd": limit},
        *curve,
        of | {"moment": now, "left_usd": left, "forecast_usd": left},
    ]
    pace, out = budget["spent"] / max(1.0, now - begin), budget["exhausted_at"]
    last = (out, 0.0) if out is not None and out < end else (end, max(0.0, left - pace * (end - now)))
    return [*curve, of | {"moment": last[0], "forecast_usd": last[1]}]


def window(budget: Mapping[str, Any], now: float) -> tuple[float, float]:
    """When a budget's window began and ends; a rolling one ends as far ahead as it began, one without end a day ahead."""
    began = budget["began_at"] or now - DAY
    renews = budget["renews_at"]
    return began, renews if renews is not None and renews > now else now + DAY


async def spending(facts: Facts, filters: Filters) -> Table:
    """What was spent in the range, by tenant and backend."""
    rows = await facts.ledger(_sums, filters.wanted(facts.wall()))
    columns = (
        Column("tenant", "tenant"), Column("backend", "backend"), Column("requests", "requests", "number"),
        Column("answers", "answers", "number"), Column("input_tokens", "tokens in", "number"),
        Column("output_tokens", "tokens out", "number"), Column("estimated", "estimated", "number", "Attempts whose cost is an estimate"),
        Column("unpriced", "unpriced", "number", "Attempts whose price nobody knows"), Column("cost_usd", "cost", "usd"),
    )  # fmt: skip
    found = sorted(({**row, "cost_usd": row["cost"] / NANO_PER_USD} for row in rows), key=lambda row: -row["cost"])
    return Table(name="spending", columns=columns, rows=found[:1000], empty="Nothing was spent in this range.")


def _sums(connection: Any, wanted: Wanted) -> list[dict[str, Any]]:
    return reports.sums(connection, wanted, ("tenant", "backend"))

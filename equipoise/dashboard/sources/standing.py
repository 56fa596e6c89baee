"""Tables of what is so right now: backends, budgets, alerts, breakers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from equipoise.core.model import NANO_PER_USD
from equipoise.dashboard.facts import Facts
from equipoise.dashboard.filters import Filters
from equipoise.dashboard.table import Column, Table
from equipoise.gateway.alerting import ALERTS
from equipoise.gateway.auditing import AUDIT
from equipoise.gateway.budgeting import LIST
from equipoise.stores import series
from equipoise.stores.reports import Wanted

DAY = 86_400.0


async def backends(facts: Facts, filters: Filters) -> Table:
    """One dense row a backend: what it is now, and what it did in the range."""
    now, status = facts.wall(), facts.status()["backends"]
    ranked = await facts.ledger(series.latency, filters.wanted(now), None)
    summed = await facts.ledger(series.efficiency, filters.wanted(now))
    today = await facts.ledger(series.efficiency, Wanted(since=now // DAY * DAY))
    by = {name: {row["backend_id"]: row for row in rows} for name, rows in (("p", ranked), ("s", summed), ("t", today))}
    since = {change.subject: change.wall for change in facts.recorder.changes}
    shown = [row for row in status if filters.backend in ("", row["id"])]
    rows = [
        _backend(row, {k: v.get(row["id"], {}) for k, v in by.items()}, since, facts.recorder.began, filters, now)
        for row in shown
    ]
    columns = (
        Column("id", "backend"), Column("state", "state", "state"), Column("breaker", "breaker", "state"),
        Column("for", "for", "seconds", "How long it has been so, as far as this process knows"), Column("since", "since", "instant"),
        Column("in_flight", "in flight", "number"), Column("limit", "limit", "number", "How many at once it is trusted with"),
        Column("per_second", "per s", "number", "Attempts a second in the range"), Column("p95", "p95", "seconds"),
        Column("first_token_p95", "first token p95", "seconds"), Column("error_share", "errors", "percent"),
        Column("today_usd", "spent today", "usd"), Column("quality", "quality", "number", "What is believed now"),
        Column("weight", "weight", "number"), Column("checked", "last check", "clock"), Column("why_not", "why not"),
        Column("type", "type"), Column("model", "model"), Column("side", "side"),
    )  # fmt: skip
    return Table(name="backends", columns=columns, rows=rows, empty="No backend is configured.")


def _backend(
    row: Mapping[str, Any],
    of: Mapping[str, Mapping[str, Any]],
    since: Mapping[str, float],
    began: float,
    filters: Filters,
    now: float,
) -> dict[str, Any]:
    attempts, failures = of["s"].get("attempts", 0), of["s"].get("failures", 0)
    return {
        **{name: row[name] for name in ("id", "in_flight", "limit", "quality", "weight", "why_not", "type", "model")},
        "state": "drained" if row["draining"] else row["status"],
        "breaker": row["breaker"]["state"],
        "reason": row["breaker"]["reason"],
        "since": since.get(row["id"], began),
        "for": max(0.0, now - since.get(row["id"], began)),
        "per_second": attempts / filters.seconds,
        "p95": of["p"].get("p95"),
        "first_token_p95": of["p"].get("first_token_p95"),
        "error_share": failures / attempts if attempts else None,
        "today_usd": of["t"].get("cost", 0) / NANO_PER_USD,
        "checked": row["last_probe"],
        "began": began,
        "draining": row["draining"],
        "side": row.get("side"),
    }


async def budgets(facts: Facts, filters: Filters) -> Table:
    """Every account: spent and promised of how much, when it renews, when it would be used up."""
    found = (await facts.told(LIST)).get("budgets", [])
    form = "number"
    columns = (
        Column("budget", "budget"), Column("unit", "unit"), Column("spent", "spent", form),
        Column("reserved", "promised", form), Column("limit", "limit", form), Column("share", "of the limit", "percent"),
        Column("renews_at", "renews", "instant"), Column("exhausted_at", "used up at this pace", "instant"),
        Column("scope", "for"),
    )  # fmt: skip
    rows = [_budget(row) for row in found[:500]]
    empty = "No budget is configured: `budgets: {daily: 50}` limits a day to $50."
    return Table(name="budgets", columns=columns, rows=rows, empty=empty)


def _budget(row: Mapping[str, Any]) -> dict[str, Any]:
    amounts = {name: float(row[name]) for name in ("spent", "reserved", "limit")}
    scope = ", ".join(f"{name} {value}" for name, value in row["scope"].items())
    return {**row, **amounts, "scope": scope or "everybody", "where": row["scope"]}


async def alerts(facts: Facts, filters: Filters) -> Table:
    """What is wrong now."""
    found = (await facts.told(ALERTS)).get("active", [])
    columns = (
        Column("severity", "severity", "state"), Column("rule", "rule"), Column("message", "what is wrong", "prose"),
        Column("since", "since", "instant"), Column("acknowledged_by", "looked after by"), Column("id", "id"),
    )  # fmt: skip
    return Table(name="alerts", columns=columns, rows=found, empty="Nothing is wrong.")


async def alert_history(facts: Facts, filters: Filters) -> Table:
    """What was told lately, newest first."""
    found = (await facts.told(ALERTS)).get("history", [])
    columns = (
        Column("wall", "time", "instant"), Column("change", "what", "state"), Column("severity", "severity", "state"),
        Column("rule", "rule"), Column("message", "about", "prose"),
    )  # fmt: skip
    rows = [{**notice["alert"], "wall": notice["wall"], "change": notice["change"]} for notice in found]
    return Table(name="alert-history", columns=columns, rows=rows, empty="No alert was ever given.")


async def breakers(facts: Facts, filters: Filters) -> Table:
    """Changes of breakers since this process began, newest first."""
    since = filters.begin(facts.wall())
    found = [
        change for change in facts.recorder.changes if change.wall >= since and filters.backend in ("", change.subject)
    ]
    rows = [{"wall": of.wall, "backend_id": of.subject, "state": of.state, "why": of.why} for of in reversed(found)]
    columns = (
        Column("wall", "time", "instant"), Column("backend_id", "backend"), Column("state", "became", "state"),
        Column("why", "because", "prose"),
    )  # fmt: skip
    note = "Kept in memory: since this process began."
    return Table(name="breakers", columns=columns, rows=rows, note=note, empty="No breaker changed in this range.")


async def decisions(facts: Facts, filters: Filters) -> Table:
    """Verdicts on canaries since this process began, newest first."""
    since = filters.begin(facts.wall())
    found = [of for of in facts.recorder.decisions if of.wall >= since]
    rows = [{"wall": of.wall, "backend_id": of.subject, "state": of.state, "why": of.why} for of in reversed(found)]
    columns = (
        Column("wall", "time", "instant"), Column("backend_id", "canary"), Column("state", "verdict", "state"),
        Column("why", "because", "prose"),
    )  # fmt: skip
    note = "Kept in memory: since this process began."
    return Table(
        name="decisions", columns=columns, rows=rows, note=note, empty="No canary was decided on in this range."
    )


async def audit(facts: Facts, filters: Filters) -> Table:
    """What people did here, newest first."""
    found = (await facts.told(AUDIT)).get("entries", [])
    columns = (
        Column("wall", "time", "instant"), Column("who", "who"), Column("role", "role"), Column("action", "action"),
        Column("target", "on"), Column("outcome", "came to"), Column("changed", "changed", "prose"), Column("request_id", "request"),
    )  # fmt: skip
    return Table(name="audit", columns=columns, rows=found, empty="Nobody has done anything yet.")

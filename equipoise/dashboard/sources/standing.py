"""Tables of what is so right now: backends, budgets, alerts, breakers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

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
CANDIDATE = "candidate"
"""A canary's side, in the rows of backends and as a role in the ledger."""


async def backends(facts: Facts, filters: Filters) -> Table:
    """One dense row a backend: what it is now, and what it did in the range."""
    now, status = facts.wall(), facts.status()["backends"]
    since = {change.subject: change.wall for change in facts.recorder.changes}
    of = await _sums(facts, filters.wanted(now))
    today = await _sums(facts, Wanted(since=now // DAY * DAY), ranked=False)
    own = any(row.get("side") == CANDIDATE for row in status)
    side = await _sums(facts, _of_candidate(filters.wanted(now))) if own else {}
    side_today = await _sums(facts, _of_candidate(Wanted(since=now // DAY * DAY)), ranked=False) if own else {}
    rows = []
    for row in status:
        if filters.backend not in ("", row["id"]):
            continue
        name, candidate = row["id"], row.get("side") == CANDIDATE
        sums = [part.get(name, {}) if candidate else _less(whole.get(name, {}), part.get(name, {}))
                for whole, part in ((of, side), (today, side_today))]  # fmt: skip
        rows.append(
            _backend(row, sums[0], sums[1].get("cost", 0), since.get(name, facts.recorder.began), now, filters)
            | {"began": facts.recorder.began}
        )
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


async def _sums(facts: Facts, wanted: Wanted, *, ranked: bool = True) -> dict[str, dict[str, Any]]:
    """What each backend's attempts came to, with its percentiles."""
    summed = await facts.ledger(series.efficiency, wanted)
    percentiles = await facts.ledger(series.latency, wanted, None) if ranked else []
    by = {row["backend_id"]: row for row in percentiles}
    return {row["backend_id"]: by.get(row["backend_id"], {}) | row for row in summed}


def _of_candidate(wanted: Wanted) -> Wanted:
    return msgspec.structs.replace(wanted, where=wanted.where | {"role": CANDIDATE})


def _less(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a canary's candidate did; percentiles stay those of both."""
    return {**whole, **{name: whole.get(name, 0) - part.get(name, 0) for name in ("attempts", "failures", "cost")}}


def _backend(
    row: Mapping[str, Any], of: Mapping[str, Any], today: int, since: float, now: float, filters: Filters
) -> dict[str, Any]:
    attempts, failures = of.get("attempts", 0), of.get("failures", 0)
    return {
        **{name: row[name] for name in ("id", "in_flight", "limit", "quality", "weight", "why_not", "type", "model")},
        "state": "drained" if row["draining"] else row["status"],
        "breaker": row["breaker"]["state"],
        "reason": row["breaker"]["reason"],
        "since": since,
        "for": max(0.0, now - since),
        "per_second": attempts / filters.seconds,
        "p95": of.get("p95"),
        "first_token_p95": of.get("first_token_p95"),
        "error_share": failures / attempts if attempts else None,
        "today_usd": today / NANO_PER_USD,
        "checked": row["last_probe"],
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

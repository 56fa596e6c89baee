"""Tables of what is being found out: beliefs, learned weights, the canary's evidence and journal."""

from __future__ import annotations

from typing import Any

from equipoise.dashboard.facts import Facts
from equipoise.dashboard.filters import Filters
from equipoise.dashboard.table import Column, Table
from equipoise.gateway.canarying import STATE
from equipoise.gateway.learning import LEARNING

NO_LEARNING = "Nothing learns here: `strategy: adaptive_learning` does."
NO_CANARY = "No canary yet: `equipoise canary start --candidate new.yaml --at 5%` begins one."


async def beliefs(facts: Facts, filters: Filters) -> Table:
    """What each learner believes an answer of a backend is worth, by kind of question."""
    policies = (await facts.told(LEARNING)).get("policies", {})
    rows = [
        {"policy": policy, "kind": kind, "backend_id": name, **row}
        for policy, of in policies.items()
        for kind, arms in of.get("believed", {}).items()
        for name, row in arms.items()
        if filters.backend in ("", name)
    ]
    columns = (
        Column("policy", "route and strategy"), Column("kind", "kind of question"), Column("backend_id", "backend"),
        Column("mean", "believed", "number"), Column("low", "at least", "number"), Column("high", "at most", "number"),
        Column("answers", "answers", "number"),
    )  # fmt: skip
    return Table(name="beliefs", columns=columns, rows=rows, empty=NO_LEARNING)


async def learned_weights(facts: Facts, filters: Filters) -> Table:
    """The specification's learned weights, by kind of question."""
    found = (await facts.told(LEARNING)).get("learned_weights", {})
    rows = [
        {"kind": kind, "backend_id": name, **row}
        for kind, arms in found.items()
        for name, row in arms.items()
        if row["answers"]
    ]
    columns = (
        Column("kind", "kind of question"), Column("backend_id", "backend"), Column("weight", "weight", "number"),
        Column("performance", "performance", "number"), Column("low", "at least", "number"),
        Column("high", "at most", "number"), Column("answers", "answers", "number"),
    )  # fmt: skip
    return Table(
        name="learned-weights",
        columns=columns,
        rows=rows,
        empty="No weight was learned yet: all are as configured. They are adjusted every weight_adjustment_frequency_minutes.",
    )


async def learners(facts: Facts, filters: Filters) -> Table:
    """Whether each learner decides now, and what its choices are worth against health_aware's."""
    policies = (await facts.told(LEARNING)).get("policies", {})
    rows = [_learner(name, of) for name, of in policies.items()]
    columns = (
        Column("policy", "route and strategy"), Column("deciding", "decides", "state"), Column("trouble", "trouble"),
        Column("explore", "explores"), Column("gain", "gain over health_aware", "number", "Mean worth an answer, quality less cost"),
        Column("at_least", "at least", "number"), Column("at_most", "at most", "number"), Column("answers", "over answers", "number"),
    )  # fmt: skip
    return Table(name="learners", columns=columns, rows=rows, empty=NO_LEARNING)


def _learner(name: str, of: dict[str, Any]) -> dict[str, Any]:
    row = {
        "policy": name,
        "trouble": of.get("trouble"),
        "explore": of.get("explore"),
        **of.get("against_health_aware", {}),
    }
    return row | {"deciding": "yes" if of.get("deciding", True) else "paused"}


async def weights(facts: Facts, filters: Filters) -> Table:
    """Learned weights for general questions over time, as sampled since this process began."""
    since = filters.begin(facts.wall())
    rows = [
        {"wall": sample.wall, "backend_id": name, "weight": weight}
        for sample in facts.recorder.samples if sample.wall >= since
        for name, weight in sample.weights.items() if filters.backend in ("", name)
    ]  # fmt: skip
    columns = (Column("wall", "time", "instant"), Column("backend_id", "backend"), Column("weight", "weight", "number"))
    return Table(
        name="weights",
        columns=columns,
        rows=rows,
        note="Kept in memory: since this process began.",
        empty="No sample yet.",
    )


async def canary(facts: Facts, filters: Filters) -> Table:
    """The canary's measures on both sides, with the evidence against its thresholds."""
    found = await facts.told(STATE)
    rows = found.get("measures", []) if found.get("stage", "none") != "none" else []
    columns = (
        Column("measure", "measure"), Column("control", "control", "number"), Column("candidate", "candidate", "number"),
        Column("control_count", "of control", "number"), Column("candidate_count", "of candidate", "number"),
        Column("harm_low", "harm from", "number"), Column("harm_high", "to", "number"),
        Column("harm_e", "worse: e", "number", "Evidence that the candidate is worse"), Column("harm_needed", "rolls back at", "number"),
        Column("safe_e", "no worse: e", "number"), Column("safe_needed", "climbs at", "number"),
    )  # fmt: skip
    return Table(name="canary", columns=columns, rows=rows, note=str(found.get("message", "")), empty=NO_CANARY)


async def journal(facts: Facts, filters: Filters) -> Table:
    """Who did what with the canary, when and why; newest first."""
    rows = (await facts.told(STATE)).get("journal", [])
    columns = (
        Column("wall", "time", "instant"),
        Column("what", "what", "prose"),
        Column("who", "who"),
        Column("why", "why"),
    )
    return Table(name="journal", columns=columns, rows=rows, empty=NO_CANARY)


async def standing(facts: Facts, filters: Filters) -> Table:
    """Where the canary stands, as one row; none where there is none."""
    found = await facts.told(STATE)
    if found.get("stage", "none") == "none":
        return Table(name="standing", columns=(), rows=(), empty=NO_CANARY)
    seen = found["requests"]
    row = {name: found[name] for name in ("candidate", "stage", "share", "since", "message", "waits")}
    row |= {
        "rungs": found["plan"]["rungs"],
        "candidate_requests": seen["candidate"],
        "control_requests": seen["control"],
    }
    columns = (
        Column("candidate", "candidate"), Column("stage", "stage", "state"), Column("share", "percent of keys", "number"),
        Column("since", "since", "instant"), Column("candidate_requests", "requests of the candidate", "number"),
        Column("control_requests", "of the control", "number"), Column("message", "finding"), Column("waits", "waits for"),
    )  # fmt: skip
    return Table(name="standing", columns=columns, rows=[row], empty=NO_CANARY)

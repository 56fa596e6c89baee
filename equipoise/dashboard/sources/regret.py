"""Tables of what learning cost or won against asking always the one backend that is best, by the record of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from equipoise.dashboard.facts import Facts
from equipoise.dashboard.filters import Filters
from equipoise.dashboard.sources.attempts import NO_LEDGER
from equipoise.dashboard.table import Column, Table
from equipoise.stores.database import Connection
from equipoise.stores.decisions import StoredDecision, newest_decisions
from equipoise.stores.reports import Wanted

if TYPE_CHECKING:
    from equipoise.core.regret import Alone, Step

LEARNS = "adaptive_learning"
MOST, MOST_BACKENDS = 5_000, 12
"""Decisions that are looked at, the newest of the range; and backends beyond which nobody is compared on a page."""
UNSCORED = f"No decision of {LEARNS} with a scored answer in this range."


class Lost(msgspec.Struct):
    """Each backend alone, the best first; the regret against the best of them by step; `doubt` says why there is none."""

    arms: list[Alone]
    steps: list[Step]
    doubt: str


async def alone(facts: Facts, filters: Filters) -> Table:
    """What each backend alone would have come to where a learner chose."""
    lost = await _lost(facts, filters)
    rows = [
        {
            "backend_id": arm.backend_id,
            "share": arm.share,
            "quality": None if arm.refusal else arm.quality.value,
            "low": None if arm.refusal else arm.quality.low,
            "high": None if arm.refusal else arm.quality.high,
            "regret": None if arm.refusal else arm.gain.value,
            "regret_low": None if arm.refusal else arm.gain.low,
            "regret_high": None if arm.refusal else arm.gain.high,
            "effective": arm.effective,
            "refusal": arm.refusal,
        }
        for arm in lost.arms
    ]
    columns = (
        Column("backend_id", "always"), Column("share", "had a chance", "percent", "Share of the decisions"), Column("quality", "quality", "number", "Mean, a failed answer being worth nothing"),
        Column("low", "at least", "number"), Column("high", "at most", "number"),
        Column("regret", "lost against it", "number", "Quality an answer, less than it alone would have had"),
        Column("regret_low", "at least", "number"), Column("regret_high", "at most", "number"),
        Column("effective", "decisions", "number", "What the record is worth for it"), Column("refusal", "why it cannot be told", "prose"),
    )  # fmt: skip
    return Table(name="alone", columns=columns, rows=rows, empty=lost.doubt)


async def regret(facts: Facts, filters: Filters) -> Table:
    """Quality lost against the backend that is best alone, summed up over the scored answers of learners."""
    lost = await _lost(facts, filters)
    columns = (
        Column("moment", "from", "instant", "Beginning of the step, UTC"), Column("against", "against always"),
        Column("scored", "scored", "number"), Column("quality", "quality", "number"),
        Column("regret", "regret, summed up", "number"),
    )  # fmt: skip
    rows = [{**msgspec.structs.asdict(step), "against": lost.arms[0].backend_id} for step in lost.steps]
    note = f"Of the newest {MOST:,} decisions of {LEARNS}; first attempts, over those whose quality is known."
    return Table(name="regret", columns=columns, rows=rows, note=note, empty=lost.doubt)


async def _lost(facts: Facts, filters: Filters) -> Lost:
    if not facts.has_ledger:
        return Lost([], [], NO_LEDGER)
    where = {"strategy": LEARNS} | {name: of for name in ("route", "tenant") if (of := getattr(filters, name))}
    wanted = Wanted(since=filters.begin(facts.wall()), where=where)
    (lost,) = await facts.ledger(lost_in, wanted, filters.bucket)
    return lost


def lost_in(connection: Connection, wanted: Wanted, seconds: float) -> list[Lost]:
    """The one answer of a ledger; its work is done where the ledger is asked, once for both tables."""
    decisions = newest_decisions(connection, wanted, MOST)
    return [
        lost_of(decisions, seconds) if any(one.quality is not None for one in decisions) else Lost([], [], UNSCORED)
    ]


def lost_of(decisions: list[StoredDecision], seconds: float) -> Lost:
    """What the record of these decisions, in the order of time, says in steps of so many seconds."""
    from equipoise.core import regret as by  # numpy only where something is learned
    from equipoise.core.replay import misfit
    from equipoise.simulation.replaying import recorded

    log = recorded(decisions)
    backends = len({name for one in log for name in one.able})
    if backends > MOST_BACKENDS:
        return Lost([], [], f"{backends} backends are too many for a page: `equipoise policy compare` tells.")
    doubt = misfit(log)
    if doubt is not None:
        return Lost([], [], f"The record cannot be believed: {doubt}.")
    arms = by.alone(log)
    best = by.best(arms)
    if best is None:
        why = "; ".join(f"{arm.backend_id}: {arm.refusal}" for arm in arms)
        return Lost(arms, [], f"What one backend alone would have come to cannot be told yet ({why}).")
    return Lost(arms, by.summed(log, [one.wall for one in decisions], best, seconds), "")

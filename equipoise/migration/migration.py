"""The move from the old side to the new: what is asked of it, what it checks before it obeys, and what it remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from equipoise.core.model import dollars
from equipoise.core.rollout import (
    CANDIDATE,
    CONTROL,
    PHASES,
    SHADOW,
    VALIDATION,
    Order,
    State,
    Step,
    features_of,
    phases_passed,
    raises_traffic,
    refusal,
)
from equipoise.migration import judging
from equipoise.migration.checks import Check
from equipoise.migration.judging import Judgement, on_traffic
from equipoise.migration.keeping import Keeping
from equipoise.migration.settings import Settings
from equipoise.migration.split import SplitBalancer
from equipoise.migration.tallies import evidence
from equipoise.migration.validation import Validated, validate
from equipoise.stores.state import Entry, StateConflict

Document = dict[str, Any]
ROLES = (CONTROL, CANDIDATE, SHADOW, VALIDATION)
LONGEST_WHO, LONGEST_WHY, JOURNAL_SHOWN = 200, 1000, 20


class Migration:
    """Carries out orders, one at a time; `balancer` answers questions meanwhile, split as the state says.

    A rollback waits for nothing: it overtakes an order whose validation queries still run, and that order is then
    refused. Every order, obeyed or not, leaves a line in the journal with its evidence.
    """

    def __init__(
        self,
        balancer: SplitBalancer,
        keeping: Keeping,
        settings: Settings,
        checks: Callable[[], Awaitable[Sequence[Check]]],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.balancer, self.settings = balancer, settings
        self._keeping, self._checks, self._wall = keeping, checks, wall
        self._ordering = asyncio.Lock()
        self.measured: Callable[[], list[Document]] = list

    @property
    def state(self) -> State:
        """Where the move stands, as far as this process knows: at most half a second old."""
        return self.balancer.state

    @property
    def trouble(self) -> str:
        """What is wrong with the store of the state, if anything; questions are answered all the same."""
        return self._keeping.trouble

    async def status(self) -> Document:
        """State, evidence of each role, present gates, the journal's newest lines."""
        state = self.state
        sums = await self._keeping.sums(state.era)
        held = self.settings.holds.get(state.phase, 0.0)
        journal = await self._keeping.journal(JOURNAL_SHOWN)
        return {
            **_state(state),
            "keeping": self._keeping.trouble or "ok",
            "hold_seconds_left": max(0.0, state.since + held - self._wall()) if state.phase else 0.0,
            "gates": judging.told(on_traffic(state, sums, self.settings)) if state.phase else [],
            "evidence": {role: _evidence(sums, role) for role in ROLES},
            "comparison": _comparison(sums),
            "measures": self.measured(),
            "shadow": self.balancer.shadow.status() if self.balancer.shadow else None,
            "history": [msgspec.to_builtins(step) for step in state.history],
            "journal": [msgspec.to_builtins(entry) for entry in journal],
        }

    async def checks(self) -> list[Document]:
        """The pre-deployment checks, done now."""
        return [msgspec.to_builtins(check) for check in await self._checks()]

    async def validate(self, phase: int) -> list[Document]:
        """Send a phase's validation queries to the new side. Raises ValueError for a phase that does not exist."""
        if phase not in PHASES:
            raise ValueError("there are phases 1 to 5")
        return [judging.row_of(one) for one in await self._asked(phase)]

    async def plan(self, order: Order) -> Document:
        """What the order would do, and which checks and gates hold it back now. Changes nothing, spends nothing.

        Raises ValueError for an order that makes no sense.
        """
        state = await self._keeping.refresh()
        checks: Sequence[Check] = ()
        gates: Sequence[Document] = ()
        if raises_traffic(state, order):
            checks = await self._checks()
            judged = on_traffic(state, await self._keeping.sums(state.era), self.settings)
            gates = judging.told(judged) if state.phase else ()
        return planned(state, order, self._wall(), self.settings, checks, gates)

    async def apply(self, order: Order) -> Document:
        """Carry an order out, or say why not. Raises ValueError for one that makes no sense, StoreError if nothing
        can be remembered."""
        if order.dry_run:
            return await self.plan(order)
        async with self._ordering:
            state, version = await self._keeping.refresh(), self._keeping.version
            if order.target() == (state.phase, state.percentage):
                return {"outcome": "unchanged", "before": _state(state), "after": _state(state)}
            refused = refusal(state, order, self._wall(), self.settings.holds)
            if refused is not None:
                return await self._not_done("refused", order, refused)
            judgement = Judgement(state, order, self.settings, self._checks, self._asked, self._keeping.sums)
            await judgement.judge()
            if judgement.outcome is not None and not order.force:
                return await self._not_done(judgement.outcome, order, judgement.reason, judgement.document())
            return await self._move(order, version, judgement.document())

    async def rollback(self, phase: int, *, who: str = "", why: str = "") -> Document:
        """Go back to a phase (0: before the first) now; from the last one too. Raises ValueError if there is no such.

        Takes effect in this process even while the store cannot be written: it is then written as soon as it can be.
        """
        if phase not in (0, *PHASES):
            raise ValueError("a rollback leads to phase 0 to 5")
        before = self.state
        percentage = PHASES[phase].percentage if phase else 0.0
        if phase > before.phase or (phase == before.phase and percentage >= before.percentage):
            reason = f"phase {phase} is no step back from phase {before.phase} at {before.percentage:g} %"
            return await self._not_done("refused", Order(phase=phase or None, who=who, why=why), reason)
        step = Step(phase, percentage, self._wall(), who[:LONGEST_WHO], why[:LONGEST_WHY])
        entry = Entry(what=f"Roll back to phase {phase}: {percentage:g} % of keys", who=step.who, why=step.why)
        await self._keeping.force(step, entry)
        return {"outcome": "rolled_back", "before": _state(before), "after": _state(self.state)}

    async def _move(self, order: Order, version: int, document: Document) -> Document:
        before, (phase, percentage) = self.state, order.target()
        step = Step(phase, percentage, self._wall(), order.who[:LONGEST_WHO], order.why[:LONGEST_WHY])
        forced = " by force" if order.force else ""
        what = f"Advance to phase {phase}{forced}: {percentage:g} % of keys"
        try:
            await self._keeping.write(step, Entry(what=what, who=step.who, why=step.why, evidence=document), version)
        except StateConflict:
            reason = "the state was changed while this order was examined: look at it and order again"
            return await self._not_done("refused", order, reason, document)
        return {"outcome": "applied", "before": _state(before), "after": _state(self.state), **document}

    async def _not_done(self, outcome: str, order: Order, reason: str, document: Document | None = None) -> Document:
        what = f"Halt advancement ({outcome}): {reason}"[:LONGEST_WHY]
        entry = Entry(what=what, who=order.who[:LONGEST_WHO], why=order.why[:LONGEST_WHY], evidence=document or {})
        await self._keeping.note(entry)
        state = _state(self.state)
        return {"outcome": outcome, "reason": reason, "before": state, "after": state, **(document or {})}

    async def _asked(self, phase: int) -> list[Validated]:
        return await validate(self.balancer, phase, self.settings.validation_queries, self.settings.validation_cost)


def planned(
    state: State,
    order: Order,
    now: float,
    settings: Settings,
    checks: Sequence[Check],
    gates: Sequence[Document],
) -> Document:
    """What an order would do, and what is known to hold it back. Raises ValueError for one that makes no sense."""
    phase, percentage = order.target()
    phases = phases_passed(state, order)
    return {
        "outcome": "planned",
        "before": _state(state),
        "after": {"phase": phase, "percentage": percentage, "features": list(features_of(phase))},
        "phases": [_phase(number) for number in phases],
        "refused": refusal(state, order, now, settings.holds),
        "checks": [msgspec.to_builtins(check) for check in checks],
        "gates": list(gates),
        "validation_cost_at_most_usd": dollars(0 if order.force else settings.validation_cost * len(phases)),
    }


def _state(state: State) -> Document:
    return {
        "phase": state.phase,
        "percentage": state.percentage,
        "since": state.since,
        "era": state.era,
        "features": list(state.features),
    }


def _phase(number: int) -> Document:
    phase = PHASES[number]
    return {
        "phase": number,
        "name": phase.name,
        "percentage": phase.percentage,
        "switches_on": list(phase.switches_on),
        "validation_queries": phase.queries,
    }


def _evidence(sums: dict[str, float], role: str) -> Document:
    found = evidence(sums, role)
    return {
        **msgspec.to_builtins(found),
        "mean_seconds": found.seconds / found.answered if found.answered else None,
        "success_percentage": found.answered / found.requests * 100 if found.requests else None,
        "cost_usd": dollars(found.cost),
    }


def _comparison(sums: dict[str, float]) -> Document | None:
    """Answers of both sides to the same questions: how many, how like each other, how fast; None without any."""
    count = sums.get(f"{SHADOW}.compared", 0)
    if not count:
        return None
    mean = {name: sums.get(f"{SHADOW}.{name}", 0.0) / count for name in ("overlap", "old_seconds", "new_seconds")}
    costs = {name: dollars(int(sums.get(f"{SHADOW}.{name}", 0))) for name in ("old_cost", "new_cost")}
    return {"compared": int(count), "mean": mean, "cost_usd": costs}

"""The gates of a move as documents: over measured traffic, and over the validation queries of each phase passed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from equipoise.core.rollout import (
    CANDIDATE,
    CONTROL,
    SHADOW,
    VALIDATION,
    Evidence,
    Gate,
    Order,
    State,
    gates,
    phases_passed,
    raises_traffic,
)
from equipoise.migration.checks import FAILED, Check
from equipoise.migration.settings import Settings
from equipoise.migration.tallies import evidence
from equipoise.migration.validation import Validated, summed

AT_ZERO = 3
"""Answers that make a measure where there is no traffic yet: as many as the specification's validation queries."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gates of one phase, and over what they were judged."""

    phase: int
    over: str
    gates: tuple[Gate, ...]

    @property
    def holds_back(self) -> bool:
        """Does any gate hold back?"""
        return any(gate.holds_back for gate in self.gates)

    def why(self) -> str:
        """What holds back, for people."""
        return "; ".join(
            f"{gate.name} {_shown(gate)} (phase {self.phase}, {self.over})" for gate in self.gates if gate.holds_back
        )


def _shown(gate: Gate) -> str:
    if gate.measured is None:
        return f"not measured: {gate.note}"
    return f"is {gate.measured:.4g}, wanted {gate.target:g}"


def on_traffic(state: State, sums: Mapping[str, float], settings: Settings) -> Verdict:
    """The gates of the present phase: over live traffic where there is any, else over copies and validation queries."""
    old = evidence(sums, CONTROL)
    if state.percentage > 0:
        new, over, needed = evidence(sums, CANDIDATE), "measured traffic", settings.criteria.minimum_requests
    else:
        new = evidence(sums, SHADOW) + evidence(sums, VALIDATION)
        over, needed = "copies and validation queries", AT_ZERO
    judged = gates(settings.criteria, new, old, needed=needed, pending=settings.pending)
    return Verdict(phase=state.phase, over=over, gates=judged)


def on_validation(phase: int, asked: Evidence, sums: Mapping[str, float], settings: Settings) -> Verdict:
    """The gates of a phase that is about to begin, over its own validation queries."""
    judged = gates(settings.criteria, asked, evidence(sums, CONTROL), needed=AT_ZERO, pending=settings.pending)
    return Verdict(phase=phase, over="validation queries", gates=judged)


def told(verdict: Verdict) -> list[dict[str, Any]]:
    """The gates as rows."""
    return [
        {"phase": verdict.phase, "over": verdict.over, **msgspec.to_builtins(gate), "holds_back": gate.holds_back}
        for gate in verdict.gates
    ]


class Judgement:
    """Everything that is found out about one order before it is carried out; `outcome` is None when all is well."""

    def __init__(
        self,
        state: State,
        order: Order,
        settings: Settings,
        checks: Callable[[], Awaitable[Sequence[Check]]],
        ask: Callable[[int], Awaitable[list[Validated]]],
        sums: Callable[[int], Awaitable[dict[str, float]]],
    ) -> None:
        self.outcome: str | None = None
        self.reason = ""
        self._state, self._order, self._settings = state, order, settings
        self._look, self._ask, self._sums = checks, ask, sums
        self._checks: Sequence[Check] = ()
        self._validated: list[tuple[int, Validated]] = []
        self._verdicts: list[Verdict] = []

    async def judge(self) -> None:
        """Checks, then measured traffic, then each phase's validation queries; stops at what holds back, before paying.

        An order that does not raise the traffic needs none of them; a forced one is checked and spends nothing.
        """
        if not raises_traffic(self._state, self._order):
            return
        self._checks = await self._look()
        failed = [f"{check.name}: {check.text}" for check in self._checks if check.state == FAILED]
        if failed:
            self.outcome, self.reason = "check_failed", "; ".join(failed)
        elif not self._order.force:
            await self._gates()

    def document(self) -> dict[str, Any]:
        """As rows, for the reply and the journal."""
        return {
            "checks": [msgspec.to_builtins(check) for check in self._checks],
            "validation": [{"phase": phase, **row_of(one)} for phase, one in self._validated],
            "gates": [row for verdict in self._verdicts for row in told(verdict)],
        }

    async def _gates(self) -> None:
        if self._state.percentage > 0 and await self._traffic_holds_back():
            return
        for phase in phases_passed(self._state, self._order):
            if await self._validation_holds_back(phase):
                return
        if self._state.percentage == 0 and self._state.phase:
            await self._traffic_holds_back()

    async def _traffic_holds_back(self) -> bool:
        return self._held_back(on_traffic(self._state, await self._sums(self._state.era), self._settings))

    async def _validation_holds_back(self, phase: int) -> bool:
        asked = await self._ask(phase)
        self._validated += [(phase, one) for one in asked]
        return self._held_back(on_validation(phase, summed(asked), await self._sums(self._state.era), self._settings))

    def _held_back(self, verdict: Verdict) -> bool:
        self._verdicts.append(verdict)
        if verdict.holds_back:
            self.outcome, self.reason = "gate_failed", verdict.why()
        return verdict.holds_back


def row_of(one: Validated) -> dict[str, Any]:
    """A validation query as a row."""
    row: dict[str, Any] = msgspec.to_builtins(one)
    del row["evidence"]
    return row

"""What was decided and what came of it in the last hours, in memory: for reports in the specification's form."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from equipoise.core.events import AttemptEnded, Event, hears
from equipoise.core.health import wilson_lower
from equipoise.core.model import Decision, Verdict

HOUR = 3600.0
MOST = 100_000
MOST_CREDITS = 10_000
PINNED = "pinned"
ENOUGH = 30
"""Decisions a strategy needs before its results are compared with another's."""


class Decided(msgspec.Struct, frozen=True):
    """One decision: when (Unix seconds), how long it took (seconds), how sure it was."""

    wall: float
    strategy: str
    backend_id: str
    seconds: float
    confidence: float


class Ended(msgspec.Struct, frozen=True):
    """One attempt that says something about its backend."""

    wall: float
    strategy: str
    backend_id: str
    answered: bool


class RoutingStatistics:
    """Counts decisions and results; `window_hours` and a bound of 100,000 each keep the memory small.

    A decision whose question was sent pinned to the backend it named counts once: as a decision when it was made, as a
    result when the answer came. `credit` says which strategy had chosen.
    """

    def __init__(self, window_hours: float = 168.0, wall: Callable[[], float] = time.time) -> None:
        self.window_hours, self._wall = window_hours, wall
        self._decisions: deque[Decided] = deque(maxlen=MOST)
        self._results: deque[Ended] = deque(maxlen=MOST)
        self._credits: dict[str, str] = {}

    def decided(self, decision: Decision, seconds: float) -> None:
        """Take in a decision that was made without sending anything."""
        self._decisions.append(
            Decided(self._wall(), decision.strategy, decision.backend_id, seconds, confidence_of(decision))
        )

    def timed(self, decide: Callable[[], Decision]) -> tuple[Decision, float]:
        """Decide, and take the decision in with the seconds it took; what `decide` raises passes through."""
        began = time.perf_counter()
        decision = decide()
        seconds = time.perf_counter() - began
        self.decided(decision, seconds)
        return decision, seconds

    def credit(self, request_id: str, strategy: str) -> None:
        """A pinned request was chosen by this strategy before."""
        if len(self._credits) >= MOST_CREDITS:
            del self._credits[next(iter(self._credits))]
        self._credits[request_id] = strategy

    @hears(AttemptEnded)
    def observe(self, event: Event) -> None:
        """Take in an attempt that ended; cancelled ones say nothing."""
        if type(event) is not AttemptEnded:
            return
        attempt = event.attempt
        decision = attempt.decision
        strategy = decision.strategy
        if strategy == PINNED:
            strategy = self._credits.get(attempt.request_id, PINNED)
        else:
            self.decided(decision, attempt.decision_seconds)
        if attempt.outcome.verdict is not Verdict.IGNORED:
            answered = attempt.outcome.verdict is Verdict.SUCCESS
            self._results.append(Ended(self._wall(), strategy, attempt.backend_id, answered))

    def over(self, hours: float) -> dict[str, Any]:
        """The specification's routing statistics, without the learned weights; means of nothing are None."""
        decisions, results = self._within(hours)
        usage = Counter(of.backend_id for of in decisions)
        return {
            "time_window_hours": hours,
            "total_decisions": len(decisions),
            "avg_decision_time_ms": _mean(1000.0 * of.seconds for of in decisions),
            "avg_confidence_score": _mean(of.confidence for of in decisions),
            "backend_usage": dict(usage),
            "backend_usage_percentage": {name: 100.0 * count / len(decisions) for name, count in usage.items()},
            "success_rates": {name: answered / count for name, answered, count in _shares(results, "backend_id")},
        }

    def by_strategy(self, hours: float) -> dict[str, dict[str, Any]]:
        """One entry a strategy: decisions, their share in percent, their mean time, how often answers came."""
        decisions, results = self._within(hours)
        shares = {name: (answered, count) for name, answered, count in _shares(results, "strategy")}
        counts = Counter(of.strategy for of in decisions)
        table: dict[str, dict[str, Any]] = {}
        for name in {**counts, **shares}:
            answered, count = shares.get(name, (0, 0))
            table[name] = {
                "decisions": counts[name],
                "share_percentage": 100.0 * counts[name] / len(decisions) if decisions else None,
                "avg_decision_time_ms": _mean(1000.0 * of.seconds for of in decisions if of.strategy == name),
                "results": count,
                "success_rate": answered / count if count else None,
            }
        return table

    def better_than(self, strategy: str, hours: float) -> str | None:
        """A strategy whose results are better beyond doubt, or None.

        Both need enough results, and the lower end of one Wilson interval (two standard errors) must lie above the
        upper end of the other.
        """
        rows = {name: row for name, row in self.by_strategy(hours).items() if row["results"] >= ENOUGH}
        if strategy not in rows:
            return None
        upper = 1.0 - wilson_lower(1.0 - rows[strategy]["success_rate"], rows[strategy]["results"], 2.0)
        lowers = {name: wilson_lower(row["success_rate"], row["results"], 2.0) for name, row in rows.items()}
        lowers.pop(PINNED, None)
        best = max(lowers, key=lambda name: lowers[name], default=strategy)
        return best if best != strategy and lowers[best] > upper else None

    def _within(self, hours: float) -> tuple[list[Decided], list[Ended]]:
        since = self._wall() - HOUR * min(hours, self.window_hours)
        return [of for of in self._decisions if of.wall >= since], [of for of in self._results if of.wall >= since]


def confidence_of(decision: Decision) -> float:
    """The chosen backend's health: the lower bound of the share of its questions that it answers, in [0.1, 1]."""
    return next((c.health for c in decision.candidates if c.backend_id == decision.backend_id), 0.0)


def _shares(results: Iterable[Ended], key: str) -> Iterator[tuple[str, int, int]]:
    listed = list(results)
    answered = Counter(getattr(of, key) for of in listed if of.answered)
    for name, count in Counter(getattr(of, key) for of in listed).items():
        yield name, answered[name], count


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None

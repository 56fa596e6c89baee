"""What became of a simulated crowd: counts, seconds, money, and how it went over time."""

from __future__ import annotations

import math
from array import array
from collections import Counter, deque
from typing import Any

from equipoise.core.events import AttemptEnded, BackendChanged, BudgetCrossed, Event
from equipoise.core.model import Verdict, dollars

BUCKETS = 60
BUDGET = ("budget", "unit", "limit", "spent", "count", "share")


class Story:
    """One run under one strategy. Seconds are kept whole, so percentiles are exact; time is cut into 60 parts at the end."""

    def __init__(self, strategy: str) -> None:
        self.strategy = strategy
        self.ended, self.seconds, self.first = array("d"), array("d"), array("d")
        self.unanswered: Counter[str] = Counter()
        self.shares: Counter[str] = Counter()
        self.attempts = self.failed_attempts = self.cost = 0
        self.quality = array("d")
        self.lasted = 0.0
        self.budgets: list[dict[str, Any]] = []
        self.curves: dict[str, list[tuple[float, float]]] = {}
        self.crossings: list[tuple[float, str, float]] = []
        self.changes: list[tuple[float, str, str, str]] = []
        self._asked: dict[str, array[float]] = {}
        self.beginning = 0.0

    def observe(self, event: Event) -> None:
        """Take in what the core tells: attempts with their cost, breakers that change."""
        if type(event) is AttemptEnded:
            attempt = event.attempt
            self.attempts += 1
            self.failed_attempts += attempt.outcome.verdict is not Verdict.SUCCESS
            self.cost += attempt.outcome.cost
            self._asked.setdefault(attempt.backend_id, array("d")).append(attempt.wall - self.beginning)
        elif type(event) is BackendChanged:
            self.changes.append((event.wall - self.beginning, event.backend_id, event.state, event.reason))
        elif type(event) is BudgetCrossed:
            self.crossings.append((event.wall - self.beginning, event.budget, event.share))

    def answered(self, now: float, began: float, first_token: float, backend_id: str, quality: float) -> None:
        """A question was answered, with quality in [0, 1]."""
        self.lasted = now
        self.ended.append(now)
        self.seconds.append(now - began)
        self.first.append(first_token - began)
        self.shares[backend_id] += 1
        self.quality.append(quality)

    def failed(self, now: float, code: str) -> None:
        """A question ended without an answer."""
        self.lasted = now
        self.unanswered[code] += 1

    @property
    def asked(self) -> int:
        """Questions in all."""
        return len(self.seconds) + sum(self.unanswered.values())

    def as_dict(self) -> dict[str, Any]:
        """Numbers for tables and JSON; None where nothing was answered."""
        count = len(self.seconds)
        return {
            "strategy": self.strategy,
            "questions": self.asked,
            "answered": count,
            "unanswered": dict(self.unanswered),
            "attempts_per_question": self.attempts / max(1, self.asked),
            "seconds": {name: percentile(self.seconds, p) for name, p in PERCENTILES},
            "first_token_seconds": {name: percentile(self.first, p) for name, p in PERCENTILES},
            "quality": sum(self.quality) / count if count else None,
            "cost_usd": dollars(self.cost),
            "shares": {name: self.shares[name] / count for name in sorted(self.shares)} if count else {},
            "breaker_changes": len(self.changes),
            "breaker_story": [
                {"at_seconds": at, "backend": who, "state": state, "reason": reason}
                for at, who, state, reason in self.changes
            ],
            "budgets": [{name: row[name] for name in BUDGET} for row in self.budgets],
            "budget_story": [{"at_seconds": at, "budget": name, "share": share} for at, name, share in self.crossings],
            "lasted_seconds": self.lasted,
        }

    def traffic(self, buckets: int = BUCKETS) -> dict[str, list[int]]:
        """Attempts of each backend by part of the time."""
        return {name: _counted(times, self.lasted, buckets) for name, times in sorted(self._asked.items())}

    def slowest(self, buckets: int = BUCKETS) -> list[float | None]:
        """The 95th percentile of seconds by part of the time in which an answer ended."""
        parts: list[list[float]] = [[] for _ in range(buckets)]
        for at, seconds in zip(self.ended, self.seconds, strict=True):
            parts[_bucket(at, self.lasted, buckets)].append(seconds)
        return [percentile(part, 0.95) for part in parts]

    def qualities(self, buckets: int = BUCKETS) -> list[float | None]:
        """Mean quality by part of the time in which an answer ended: what is learned shows as a rise."""
        sums, counts = [0.0] * buckets, [0] * buckets
        for at, quality in zip(self.ended, self.quality, strict=True):
            place = _bucket(at, self.lasted, buckets)
            sums[place] += quality
            counts[place] += 1
        return [total / count if count else None for total, count in zip(sums, counts, strict=True)]

    def spending(self, buckets: int = BUCKETS) -> dict[str, list[float]]:
        """The share of each budget that was spent, at the end of each part of the time."""
        return {name: self._curve(points, buckets) for name, points in self.curves.items()}

    def _curve(self, points: list[tuple[float, float]], buckets: int) -> list[float]:
        shares, share, left = [], 0.0, deque(points)
        for number in range(buckets):
            until = self.beginning + self.lasted * (number + 1) / buckets
            while left and left[0][0] <= until:
                share = left.popleft()[1]
            shares.append(share)
        return shares

    def lanes(self, buckets: int = BUCKETS) -> dict[str, list[str]]:
        """The state of each breaker that ever changed, by part of the time (the worst in it)."""
        found = {}
        for name in sorted({change[1] for change in self.changes}):
            found[name] = self._lane(
                [(at, state) for at, who, state, _ in self.changes if who == name and state in SEVERITY], buckets
            )
        return found

    def _lane(self, changes: list[tuple[float, str]], buckets: int) -> list[str]:
        lane, state, left = [], "closed", list(changes)
        for number in range(buckets):
            until = self.lasted * (number + 1) / buckets
            seen = [state]
            while left and left[0][0] <= until:
                state = left.pop(0)[1]
                seen.append(state)
            lane.append(max(seen, key=SEVERITY.index))
        return lane


PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
SEVERITY = ("closed", "half_open", "open")


def percentile(values: Any, share: float) -> float | None:
    """The smallest value that at least this share of them does not exceed."""
    if not len(values):
        return None
    ordered = sorted(values)
    return float(ordered[max(0, math.ceil(share * len(ordered)) - 1)])


def _counted(times: Any, lasted: float, buckets: int) -> list[int]:
    counts = [0] * buckets
    for at in times:
        counts[_bucket(at, lasted, buckets)] += 1
    return counts


def _bucket(at: float, lasted: float, buckets: int) -> int:
    return min(buckets - 1, int(buckets * at / lasted)) if lasted else 0

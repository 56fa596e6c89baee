"""Cost efficiency: what the cheapest backends that were good enough would have cost, of what was paid.

1.0 when every answer came from the cheapest; 0.8 when a quarter more was paid than that; attempts that gave no answer are
paid and would not have been needed. What a graph asked through us for an answer is part of what that answer cost: it is paid
as it comes, and judged with the question it was for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction

from equipoise.core.events import AttemptEnded, Event
from equipoise.core.model import Attempt, CostSource, Decision, NanoUSD, Verdict

SLOTS = 48
_SUCCESS, _UNPRICED = Verdict.SUCCESS, CostSource.UNPRICED
MOST_PARENTS = 4_096
"""Questions whose calls wait to be judged; beyond it the oldest calls count as not needed, like those after an answer."""


def expected_at_chosen(decision: Decision) -> NanoUSD:
    """What this question was expected to cost at the backend that was chosen; 0 where it was no candidate."""
    for candidate in decision.candidates:
        if candidate.backend_id == decision.backend_id:
            return candidate.expected_cost
    return 0


def frugal(decision: Decision, cost: NanoUSD, floor: float = 0.0) -> NanoUSD:
    """What an answer that cost this much would have cost at the cheapest candidate with at least this quality.

    By the expected costs of this very question: cost * cheapest / chosen, never more than the cost.
    """
    chosen = expected_at_chosen(decision)
    if chosen <= 0:
        return cost
    least = chosen
    for candidate in decision.candidates:
        if candidate.expected_cost < least and candidate.quality_low >= floor:
            least = candidate.expected_cost
    return cost * least // chosen


class CostEfficiency:
    """Adds up what was paid and what would have been enough, over a rolling window.

    `seconds` is its length, `floor` gives the quality a route asks for, `target` is the efficiency aimed at.
    """

    def __init__(self, seconds: float, floor: Callable[[str], float], *, target: float = 0.8) -> None:
        self.seconds, self.target = seconds, target
        self._width, self._floor = seconds / SLOTS, floor
        self._slots: deque[list[int]] = deque(maxlen=SLOTS + 1)
        self._inner: dict[str, list[NanoUSD]] = {}

    def observe(self, event: Event) -> None:
        """Take in an attempt whose price is known; other events say nothing."""
        if type(event) is AttemptEnded and event.attempt.outcome.cost_source is not _UNPRICED:
            self._add(event.attempt)

    def follow(self, other: CostEfficiency) -> None:
        """Go by another configuration from now on; another window begins empty."""
        if self.seconds != other.seconds:
            self._slots.clear()
        self.seconds, self.target, self._width, self._floor = other.seconds, other.target, other._width, other._floor

    def status(self, wall: float) -> dict[str, float | None]:
        """The ratio, the target and the hours it is over."""
        return {"ratio": self.ratio(wall), "target": self.target, "window_hours": self.seconds / 3600.0}

    def ratio(self, wall: float) -> float | None:
        """The efficiency over the window that ends now (Unix seconds); None when nothing was paid in it."""
        first = int(wall / self._width) - SLOTS
        paid = sum(cost for slot, cost, _ in self._slots if slot >= first)
        return float(Fraction(sum(least for slot, _, least in self._slots if slot >= first), paid)) if paid else None

    def _add(self, attempt: Attempt) -> None:
        slot, cost = int(attempt.wall / self._width), attempt.outcome.cost
        least = self._least(attempt)
        if not self._slots or self._slots[-1][0] < slot:
            self._slots.append([slot, 0, 0])
        self._slots[-1][1] += cost
        self._slots[-1][2] += least

    def _least(self, attempt: Attempt) -> NanoUSD:
        """What would have been enough: at the cheapest, or here with the cheapest calls."""
        cost, floor = attempt.outcome.cost, self._floor(attempt.decision.route)
        calls, enough = self._inner.pop(attempt.request_id, (0, 0))
        if attempt.outcome.verdict is not _SUCCESS:
            return 0
        if attempt.parent is not None:
            self._wait(attempt.parent, cost, frugal(attempt.decision, cost, floor))
            return 0
        return min(cost + enough, frugal(attempt.decision, cost + calls, floor))

    def _wait(self, parent: str, cost: NanoUSD, least: NanoUSD) -> None:
        if parent not in self._inner and len(self._inner) >= MOST_PARENTS:
            del self._inner[next(iter(self._inner))]
        sums = self._inner.setdefault(parent, [0, 0])
        sums[0] += cost
        sums[1] += least

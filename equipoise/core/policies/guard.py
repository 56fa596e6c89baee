"""Is learning worth it? A running comparison with the policy that would stand in for it, valid at every look."""

from __future__ import annotations

import math
from collections.abc import Mapping

from equipoise.core.model import Decision

MOST_WEIGHT = 120.0
ALPHA = 0.001
FOCUS = 1000.0
"""Answers around which the confidence sequence is tightest."""

LEAST = 300
"""Scored answers below which nothing is said."""


def static_chance(decision: Decision, static: Mapping[str, float]) -> float:
    """Return how likely the static policy would have chosen the same, among those that it can be compared by.

    A backend that is tried over 120 times less often than the static policy would cannot be judged: it is left out
    and its part spread over the others, so that the ratios still average one.
    """
    tried = decision.probabilities or {decision.backend_id: decision.probability}
    known = {name: share for name, share in static.items() if share <= MOST_WEIGHT * tried.get(name, 0.0)}
    return known.get(decision.backend_id, 0.0) / (sum(known.values()) or 1.0)


class Guard:
    """Compares what was chosen with what a static policy would have chosen, on the same answers.

    Of an answer worth v that was chosen with probability p, where the static policy would have chosen it with s, the
    difference of the two policies' values is estimated by (1 - s / p) (v - m): unbiased for any m fixed beforehand, here
    the mean so far, which takes the common part of the variance away. The bound is an asymptotic confidence sequence (Waudby-Smith and others, 2021): it may be looked at
    after every answer.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.value = 0.0
        self._squares = self._largest = 0.0

    def scored(self, value: float, probability: float, static: float) -> None:
        """Take in what an answer was worth."""
        difference = (1.0 - static / probability) * (value - self.value)
        self._largest = max(self._largest, abs(difference))
        self.count += 1
        self.value += (value - self.value) / self.count
        step = difference - self.mean
        self.mean += step / self.count
        self._squares += step * (difference - self.mean)

    @property
    def width(self) -> float:
        """How far the true mean difference may lie from the estimate, whenever one looks."""
        n = self.count
        if n < LEAST:
            return math.inf
        # rho balances the sequence to be tightest near FOCUS answers
        rho2 = (-2.0 * math.log(ALPHA) + math.log(-2.0 * math.log(ALPHA) + 1.0)) / FOCUS
        spread = n * rho2 + 1.0
        normal = math.sqrt(self._squares / n * 2.0 * spread / (n * n * rho2) * math.log(math.sqrt(spread) / ALPHA))
        return normal + self._largest * -math.log(ALPHA) / n  # Bernstein's term: a few large ratios are no normal sum

    @property
    def lost(self) -> bool:
        """Is learning surely worse than what would stand in for it?"""
        return self.mean + self.width < 0.0

    def status(self) -> dict[str, float | int]:
        """For people: how much better learning is, and how sure that is."""
        known = self.count >= LEAST
        return {
            "answers": self.count,
            "gain": round(self.mean, 5),
            "at_least": round(self.mean - self.width, 5) if known else -1.0,
            "at_most": round(self.mean + self.width, 5) if known else 1.0,
        }

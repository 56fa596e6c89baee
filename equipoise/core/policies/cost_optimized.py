"""The cheapest that is good enough."""

from __future__ import annotations

from collections.abc import Sequence

from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies.comparing import (
    best_below_the_floor,
    by_load,
    good_enough,
    least_overloaded,
    money,
    per_success,
    with_room,
)
from equipoise.core.policies.configured import Configured


def cheapest(candidates: Sequence[Candidate]) -> Candidate:
    """Return the lowest expected cost; among equals (free local models) the shortest expected wait, then id."""
    found = candidates[0]
    for c in candidates[1:]:
        cost, least = c.expected_cost, found.expected_cost
        if cost < least or (cost == least and _by_wait(c) < _by_wait(found)):
            found = c
    return found


def _by_wait(candidate: Candidate) -> tuple[float, int, str]:
    return per_success(candidate.load, candidate), *by_load(candidate)


class CostOptimized(Configured):
    """Choose the lowest expected cost of this very request among the backends that are surely good enough.

    Good enough means the lower bound of quality, not its mean: a price is certain, an unknown quality is not, and a
    cheap unknown must not win by being unknown. A backend at its concurrency limit waits until it has room: what it does
    not take goes to the next cheapest. The specification's cost / (quality x speed) has no floor and lets a fast wrong
    answer win; it is reported, it does not decide.
    """

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        scores: dict[str, float] = {c.backend_id: c.expected_cost for c in candidates}
        enough = good_enough(candidates, request)
        roomy = with_room(enough)
        if roomy:
            chosen = cheapest(roomy)
            reason = f"lowest expected cost among {len(roomy)} good enough: {money(chosen.expected_cost)}"
        elif enough:
            chosen = least_overloaded(enough)
            reason = f"all {len(enough)} good enough are at their limit; this one has the least excess"
        else:
            chosen = best_below_the_floor(with_room(candidates) or candidates)
            reason = f"nobody reaches quality {request.min_quality:.2f}; the best has {chosen.quality_low:.2f}"
        return Choice(chosen.backend_id, scores, reason)

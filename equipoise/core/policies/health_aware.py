"""Two drawn by health, the less loaded one chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies.comparing import draw
from equipoise.core.policies.configured import Configured

SICKEST = 0.1
"""Health counts in [0.1, 1]: a sick backend that is still eligible keeps enough traffic to show that it recovered."""

LIGHTEST = 1e-9
"""No capacity counts for less than this share of the greatest, which keeps every division finite."""


def capacities_of(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return weight x health of each candidate."""
    capacities = {
        c.backend_id: c.weight * (c.health if SICKEST <= c.health <= 1.0 else min(1.0, max(SICKEST, c.health)))
        for c in candidates
    }
    least = max(capacities.values()) * LIGHTEST
    if least <= 0.0:
        return dict.fromkeys(capacities, 1.0)
    return capacities if min(capacities.values()) >= least else {k: max(least, v) for k, v in capacities.items()}


class _Sums:
    """What was passed so far on the way from the most to the least loaded: capacity, and odds of being drawn first."""

    __slots__ = ("capacity", "odds")

    def __init__(self) -> None:
        self.capacity = self.odds = 0.0


def of_two(
    candidates: Sequence[Candidate], capacities: Mapping[str, float], loads: Mapping[str, float]
) -> dict[str, float]:
    """Return the exact probability of each candidate when two are drawn by capacity and the less loaded one is taken.

    With w = capacity and W = sum of w, i comes first and j second with probability w_i / W * w_j / (W - w_i). Those who
    carry the same number of requests are not compared: the first drawn wins. So, with odds o = w / (W - w), i has
    [ o_i (sum of w_j beaten or equal) + w_i (sum of o_j beaten) ] / W: two running sums from the most loaded on, less
    what belongs to those with the same number in flight.
    """
    total = sum(capacities.values())
    equal: dict[int, float] = {}
    for c in candidates:
        equal[c.in_flight] = equal.get(c.in_flight, 0.0) + capacities[c.backend_id]
    passed, passed_equal = _Sums(), {count: _Sums() for count in equal}
    probabilities = {}
    for _, count, name in sorted([(loads[c.backend_id], c.in_flight, c.backend_id) for c in candidates], reverse=True):
        own, same = capacities[name], passed_equal[count]
        odds = own / (total - own)
        beaten_or_equal = passed.capacity - same.capacity + equal[count] - own
        probabilities[name] = (odds * beaten_or_equal + own * (passed.odds - same.odds)) / total
        passed.capacity += own
        passed.odds += odds
        same.capacity += own
        same.odds += odds
    return probabilities


class HealthAware(Configured):
    """Draw two by weight x health, choose the lower (in flight + 1) / (weight x health).

    Power of two choices keeps requests that arrive together from herding on one backend. Drawing the pair by capacity
    makes an idle system share in proportion to weight x health instead of giving all to a favourite, so a degrading
    backend sheds in proportion; and what fails fast is seldom drawn, however empty its queue looks.
    """

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        capacities = capacities_of(candidates)
        loads = {c.backend_id: (c.in_flight + 1) / capacities[c.backend_id] for c in candidates}
        probabilities = self._probabilities(candidates, capacities, loads)
        chosen = draw(probabilities, self.chance)
        reason = f"two drawn by health, load {loads[chosen]:.3g} among {len(loads)}"
        return Choice(chosen, loads, reason, probabilities[chosen], probabilities)

    def _probabilities(
        self, candidates: Sequence[Candidate], capacities: dict[str, float], loads: dict[str, float]
    ) -> dict[str, float]:
        first = candidates[0].in_flight
        for c in candidates:
            if c.in_flight != first:
                return of_two(candidates, capacities, loads)
        total = sum(capacities.values())
        return {name: capacity / total for name, capacity in capacities.items()}

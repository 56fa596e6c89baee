"""Two drawn by health, the less loaded one chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies.comparing import draw
from equipoise.core.policies.configured import Configured

SICKEST = 0.1
"""Health counts in [0.1, 1]: a sick backend that is still eligible keeps enough traffic to show that it recovered."""

LIGHTEST = 1e-9
"""No capacity counts for less than this share of all together, which keeps every division finite."""

Row: TypeAlias = tuple[float, int, str, float]
"""Load, requests in flight, id, capacity: in the order in which they are compared."""


def rows_of(candidates: Sequence[Candidate]) -> list[Row]:
    """Return each candidate's load, (in flight + 1) / capacity, and capacity, weight x health."""
    rows, total, least = [], 0.0, math.inf
    for c in candidates:
        health = c.health
        capacity = c.weight * (health if SICKEST <= health <= 1.0 else min(1.0, max(SICKEST, health)))
        total += capacity
        if capacity < least:
            least = capacity
        rows.append(((c.in_flight + 1) / (capacity or LIGHTEST), c.in_flight, c.backend_id, capacity))
    return rows if least > LIGHTEST * total else _floored(rows, LIGHTEST * total or 1.0)


def _floored(rows: list[Row], least: float) -> list[Row]:
    capacities = [max(least, capacity) for _, _, _, capacity in rows]
    return [((count + 1) / c, count, name, c) for (_, count, name, _), c in zip(rows, capacities, strict=True)]


def of_two(rows: list[Row]) -> dict[str, float]:
    """Return the exact probability of each candidate when two are drawn by capacity and the less loaded one is taken.

    With w = capacity and W = sum of w, i comes first and j second with probability w_i / W * w_j / (W - w_i). Those who
    carry the same number of requests are not compared: the first drawn wins. So, with odds o = w / (W - w), i has
    [ o_i (sum of w_j beaten or equal) + w_i (sum of o_j beaten) ] / W: two running sums from the most loaded on, less
    what belongs to those with the same number in flight.
    """
    total, equal = 0.0, dict[int, float]()
    for _, count, _, own in rows:
        total += own
        equal[count] = equal.get(count, 0.0) + own
    if len(equal) == 1:
        return {name: own / total for _, _, name, own in rows}
    passed = passed_odds = 0.0
    same = dict.fromkeys(equal, 0.0)
    same_odds = same.copy()
    probabilities = {}
    for _, count, name, own in sorted(rows, reverse=True):
        odds = own / (total - own)
        theirs, their_odds = same[count], same_odds[count]
        probabilities[name] = (odds * (passed - theirs + equal[count] - own) + own * (passed_odds - their_odds)) / total
        passed += own
        passed_odds += odds
        same[count] = theirs + own
        same_odds[count] = their_odds + odds
    return probabilities


class HealthAware(Configured):
    """Draw two by weight x health, choose the lower (in flight + 1) / (weight x health).

    Power of two choices keeps requests that arrive together from herding on one backend. Drawing the pair by capacity
    makes an idle system share in proportion to weight x health instead of giving all to a favourite, so a degrading
    backend sheds in proportion; and what fails fast is seldom drawn, however empty its queue looks.
    """

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        rows = rows_of(candidates)
        probabilities = of_two(rows)
        chosen = draw(probabilities, self.chance)
        loads = {name: load for load, _, name, _ in rows}
        reason = f"two drawn by health, load {loads[chosen]:.3g} among {len(rows)}"
        return Choice(chosen, loads, reason, probabilities[chosen], probabilities)

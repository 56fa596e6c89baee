"""The arithmetic of Thompson sampling with Gaussian beliefs: who would win how often, and what a cost is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import erf

NODES = 33
REACH = 4.0
CONTENDERS = 12
"""At most so many of the most promising are compared (the work grows with their square); the others wait for the floor."""

AIM = 0.98
"""Share of a budget that is aimed at."""

_STEP = 2.0 * REACH / (NODES - 1)
_GRID = tuple((z, math.exp(-0.5 * z * z)) for z in (_STEP * i - REACH for i in range(NODES)))
_NARROWEST = 1e-6
_ROOT_HALF = math.sqrt(0.5)


def chances_to_win(beliefs: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return the probability that each of the independent Gaussians (mean, sd) is the greatest; they sum to one.

    P(j) is the integral of phi_j(s) times the product of Phi_k(s) over the others, taken at 33 points within four
    standard deviations of j: within 0.001 for spreads that differ up to tenfold, 0.01 up to twentyfold. As choices are
    drawn from the result itself, it is exact as a record whatever it is as an integral.
    """
    contenders = _contenders(beliefs)
    weights = {name: _weight(name, contenders) for name in contenders}
    total = sum(weights.values())
    return {name: weights.get(name, 0.0) / total for name in beliefs}


def _contenders(beliefs: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Leave out who cannot win: its best is below another's worst."""
    bar = max([mean - REACH * sd for mean, sd in beliefs.values()])
    able = {name: (mean, max(sd, _NARROWEST)) for name, (mean, sd) in beliefs.items() if mean + REACH * sd >= bar}
    if len(able) <= CONTENDERS:
        return able
    promising = sorted(able, key=lambda name: (-able[name][0] - able[name][1], name))[:CONTENDERS]
    return {name: able[name] for name in promising}


def _weight(name: str, contenders: Mapping[str, tuple[float, float]]) -> float:
    """Return P(name is greatest), up to a constant factor."""
    mean, sd = contenders[name]
    # Phi_k(mean + sd z) = (1 + erf(a z + b)) / 2 with a = sd / (sd_k sqrt 2), b = (mean - mean_k) / (sd_k sqrt 2);
    # the halves are the same number of factors for everyone and cancel.
    others = _lines(mean, sd, [belief for other, belief in contenders.items() if other != name])
    total = 0.0
    for z, weight in _GRID:
        for a, b in others:
            weight *= 1.0 + erf(a * z + b)
        total += weight
    return total


def _lines(mean: float, sd: float, others: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(sd * _ROOT_HALF / s, (mean - m) * _ROOT_HALF / s) for m, s in others]


class Price:
    """What a full budget of cost is worth in quality, raised while spending is too fast and lowered while it is slow.

    The multiplicative dual step mu <- mu exp(clip(eta (cost - target) / budget, 0.1)) works at any scale of cost and
    never sticks at zero; one dear call moves it by a tenth at most. What was spent too much or too little so far is made
    good over the next `repay` requests, so that not only the pace but the sum is kept. Without a budget the price stays
    as it was given.
    """

    def __init__(self, start: float, budget: float, *, rate: float = 0.01, repay: float = 500.0) -> None:
        if budget > 0.0 and start <= 0.0:
            raise ValueError("pacing multiplies a price: it needs one above 0 to start from")
        self.value = self._start = start
        self.saved = 0.0
        self._budget, self._rate, self._repay = budget, rate, repay

    @property
    def paces(self) -> bool:
        """Is there a budget to keep?"""
        return self._budget > 0.0

    def begin(self, value: float) -> None:
        """Start from a price that is known to fit; one of nothing (all fits the budget) starts at a thousandth."""
        self.value = self._start = max(value, 1e-3)

    def paid(self, cost: float) -> None:
        """Take one settled cost, in the unit of the budget, into account."""
        budget = self._budget
        if budget <= 0.0:
            return
        target = AIM * budget + self.saved / self._repay
        self.saved += AIM * budget - cost
        step = self._rate * (cost - target) / budget
        value = self.value * math.exp(min(0.1, max(-0.1, step)))
        self.value = min(1e4 * self._start, max(1e-4 * self._start, value))


def price_for_budget(worths: Sequence[Sequence[float]], costs: Sequence[Sequence[float]], budget: float) -> float:
    """Return the price at which choosing the best of each row, worth - price * cost / budget, costs the budget on average.

    Rows are questions, columns backends, costs in the unit of the budget. 0 where the best of all fit; the highest price
    looked at (1e6) where even the cheapest do not.
    """
    low, high = 1e-6, 1e6
    if _spent(worths, costs, 0.0, budget) <= budget:
        return 0.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _spent(worths, costs, middle, budget) > budget else (low, middle)
    return high


def _spent(worths: Sequence[Sequence[float]], costs: Sequence[Sequence[float]], price: float, budget: float) -> float:
    total = 0.0
    for worth, cost in zip(worths, costs, strict=True):
        total += max(zip(worth, cost, strict=True), key=lambda of: of[0] - price * of[1] / budget)[1]
    return total / len(worths)

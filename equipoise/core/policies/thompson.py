"""The arithmetic of Thompson sampling with Gaussian beliefs: who would win how often, and what a cost is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import erf

NODES = 33
REACH = 4.0
CONTENDERS = 12
"""At most so many of the most promising are compared (the work grows with their square); the others wait for the floor."""

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

    The multiplicative dual step mu <- mu exp(clip(eta (cost - target) / target, 0.1)) works at any scale of cost and
    never sticks at zero; one dear call moves it by a tenth at most. Without a target the price stays as it was given.
    """

    def __init__(self, start: float, target: float, rate: float = 0.01) -> None:
        if target > 0.0 and start <= 0.0:
            raise ValueError("pacing multiplies a price: it needs one above 0 to start from")
        self.value = self._start = start
        self._target = target
        self._rate = rate

    def paid(self, cost: float) -> None:
        """Take one settled cost, in the unit of the target, into account."""
        if self._target <= 0.0:
            return
        step = self._rate * (cost - self._target) / self._target
        value = self.value * math.exp(min(0.1, max(-0.1, step)))
        self.value = min(1e4 * self._start, max(1e-4 * self._start, value))

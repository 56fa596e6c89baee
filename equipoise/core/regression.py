"""A Bayesian ridge regression with a level that moves: what one backend's rewards come to for a question.

    r = theta'x + level(t) + noise.   theta ~ N(theta0, R / lambda) is slow; the level is what has changed of late.

The level is 0 until, at any tick with probability 1 / memory, it takes a new value from N(0, R / swing). So of a reward
that is t ticks old the share f = exp(-t / memory) was given under the present level, and the rest says nothing of it:
the expected normal equations are

    [ gram + Lambda   recent_x        ] [ theta ]   [ Lambda theta0 + moment ]
    [ recent_x'       recent + swing  ] [ level ] = [ recent_r               ]

whose matrix is positive definite, being a sum of [x x', f x; f x', f]. Both are estimated together, so that nothing is
counted twice. The inverse P of the first block is kept by Sherman and Morrison's formula, the level follows from its
Schur complement s = recent + swing - recent_x' P recent_x.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.core.evidence import Evidence, Matrix, Vector, merged

REFRESH = 256
"""Rewards between two exact inversions: they clear the rounding that the rank-one steps pile up."""


class Doubt(ValueError):
    """The belief about a backend is not usable: something in it is no finite number."""


class Terms:
    """What a regression is made with.

    `ridge` is lambda, `swing` the answers that the level's prior counts for, `memory` the ticks after which a level has
    faded to 1 / e, `most` the answers of which the slow part remembers no more.
    """

    __slots__ = ("memory", "most", "ridge", "swing")

    def __init__(self, ridge: float = 10.0, swing: float = 25.0, memory: float = 100.0, most: float = 20_000.0) -> None:
        self.ridge, self.swing, self.memory, self.most = ridge, swing, memory, most


class Regression:
    """What is believed of one backend. `prior` is theta0, the first number of x is 1 and its prior counts `answers`."""

    __slots__ = (
        "_cross",
        "_inverse",
        "_mean",
        "_pull",
        "_slope",
        "_steps",
        "_sums",
        "evidence",
        "first",
        "others",
        "own",
        "precision",
        "prior",
        "terms",
    )

    def __init__(self, prior: Vector, answers: float, terms: Terms, tick: int = 0) -> None:
        self.first, self.prior, self.terms = prior, prior, terms
        self.precision = np.full(len(prior), terms.ridge)
        self.precision[0] = answers
        self.own = Evidence(len(prior), tick)
        self.others: Evidence | None = None
        self._renew()

    def about(self, x: Vector, tick: int) -> tuple[float, float, float]:
        """Return the expected reward, and the variances of its slow part and of its level in units of a reward's own."""
        evidence, swing = self.evidence, self.terms.swing
        kept = math.exp((evidence.tick - tick) / self.terms.memory) if tick > evidence.tick else 1.0
        room = kept * evidence.recent + swing - kept * kept * self._pull
        level = kept * (evidence.recent_r - self._cross) / room
        lean = 1.0 - kept * float(x @ self._slope)
        mean = float(x @ self._mean) + level * lean
        slow = float(x @ self._inverse @ x)
        if not (math.isfinite(mean) and 0.0 <= slow < math.inf and room > 0.0):
            raise Doubt(f"reward {mean} with variance {slow}")
        return mean, slow, lean * lean / room

    def level(self, tick: int) -> float:
        """Return how far the backend is from its usual self, of late."""
        evidence = self.evidence
        kept = math.exp((evidence.tick - tick) / self.terms.memory)
        room = kept * evidence.recent + self.terms.swing - kept * kept * self._pull
        return kept * (evidence.recent_r - self._cross) / room

    def learn(self, x: Vector, reward: float, weight: float, tick: int) -> None:
        """Take in one reward."""
        for evidence in self._sums:
            evidence.age_to(tick, self.terms.memory)
            evidence.add(x, reward, weight)
        self._step(x, weight)

    def replace(self, x: Vector, old: tuple[float, float, int], reward: float, weight: float, tick: int) -> None:
        """Exchange a reward, given with its weight at a tick, for a better one of the same answer."""
        was, its_weight, given = old
        freshness = math.exp((given - tick) / self.terms.memory)
        for evidence in self._sums:
            evidence.age_to(tick, self.terms.memory)
            evidence.add(x, was, -its_weight, freshness, count=0)
            evidence.add(x, reward, weight, freshness, count=0)
        self._step(x, weight - its_weight)

    def take_in(self, others: Evidence | None) -> None:
        """Go by what other processes have learned as well, instead of what they had before."""
        self.others = others
        self._renew()

    def expect(self, common: Vector) -> None:
        """Believe that features mean this, beside what was believed of this backend at first."""
        self.prior = self.first + common

    def shrink(self, ridge: float) -> None:
        """Believe that backends differ by so much in what features mean: the ridge of all but the first."""
        self.precision[1:] = ridge
        self._renew()

    def residual_squares(self) -> tuple[float, float]:
        """Return the weighted sum of squares around the slow part, and its weight: together a reward's own variance."""
        evidence, mean = self.evidence, self._mean
        squares = evidence.squares - 2.0 * float(mean @ evidence.moment) + float(mean @ evidence.gram @ mean)
        return max(0.0, squares), evidence.weight

    def _step(self, x: Vector, weight: float) -> None:
        self._steps += 1
        px = self._inverse @ x
        room = 1.0 + weight * float(x @ px)
        if self._steps >= REFRESH or room < 1e-3:
            self._renew()
            return
        self._inverse -= np.outer(px, (weight / room) * px)
        self._follow()

    def _renew(self) -> None:
        """Invert anew, and let the oldest fade once there is more than can still be true."""
        if self.own.weight > self.terms.most:
            self.own.scale(self.terms.most / self.own.weight)
        self.evidence = self.own if self.others is None else merged(self.own, self.others, self.terms.memory)
        self._sums = (self.own,) if self.others is None else (self.own, self.evidence)
        self._inverse: Matrix = self._inverted()
        self._steps = 0
        self._follow()

    def _inverted(self) -> Matrix:
        if self.evidence.weight == 0.0:  # hundreds of backends may be known by name only
            return np.diag(1.0 / self.precision)
        return np.asarray(np.linalg.inv(self.evidence.gram + np.diag(self.precision)), dtype=np.float64)

    def _follow(self) -> None:
        """What a prediction needs of the sums."""
        recent_x = self.evidence.recent_x
        self._mean: Vector = self._inverse @ (self.precision * self.prior + self.evidence.moment)
        self._slope: Vector = self._inverse @ recent_x
        self._pull = float(recent_x @ self._slope)
        self._cross = float(recent_x @ self._mean)

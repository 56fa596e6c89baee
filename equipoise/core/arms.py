"""One backend as a learner knows it: three regressions, and the form they are saved in."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from equipoise.core.evidence import SavedEvidence, Vector
from equipoise.core.features import leanings
from equipoise.core.regression import Regression, Terms

STATE_VERSION = 2
PRIOR_ANSWERS = 10.0
"""Answers that the operator's word on a backend counts for."""

MOST_APART = 2.5
"""Of the logarithm of a cost over the expected one: nothing is believed to be more than twelve times dearer or cheaper."""

MEMORY = 500.0
"""Answers over which what was billed is compared with what was foreseen."""


class SavedArm(msgspec.Struct, frozen=True):
    """One backend's evidence and the prior it began with, as it is kept between processes."""

    quality: SavedEvidence
    answering: SavedEvidence
    spending: SavedEvidence
    prior: float
    answers: float
    type: str
    failures: int
    billed: float
    foreseen: float


class SavedKind(msgspec.Struct, frozen=True):
    """How many questions of a kind there were, and the sum of their features."""

    count: int
    features: list[float]


class Compared(msgspec.Struct, frozen=True):
    """What all backends together say: how much rewards scatter, how much backends differ (a ridge), what is common.

    `looks` is the number of rewards at which that is looked at again.
    """

    variance: float
    ridge: float
    common: list[float]
    looks: int


class SavedLearner(msgspec.Struct, frozen=True):
    """Everything a learner knows, as it is kept between processes."""

    version: int
    features: int
    size: int
    tick: int
    attempts: int
    compared: Compared
    arms: dict[str, SavedArm]
    kinds: dict[str, SavedKind]


class Arm:
    """One backend: what is believed of its answers, of how often it gives one, and of what they cost.

    `billed` and `foreseen` are the costs of late and what they were predicted to be, in units of the expected cost.
    """

    __slots__ = ("answering", "answers", "billed", "failures", "foreseen", "prior", "quality", "spending", "type")

    def __init__(
        self, prior: float, answers: float, kind: str, size: int, terms: Terms, ticks: tuple[int, int]
    ) -> None:
        self.prior, self.answers, self.type, self.failures = prior, answers, kind, 0
        expected, always, as_expected = np.zeros((3, size))
        for place, lean in leanings(kind, size).items():
            expected[place] = lean
        expected[0], always[0] = prior, 1.0
        self.quality = Regression(expected, answers, terms, ticks[0])
        self.answering = Regression(always, PRIOR_ANSWERS, terms, ticks[1])
        self.spending = Regression(as_expected, PRIOR_ANSWERS, terms, ticks[1])
        self.billed = self.foreseen = PRIOR_ANSWERS

    @property
    def scored(self) -> int:
        """How many of its answers were scored."""
        return self.quality.evidence.count

    def cost_factor(self, x: Vector, tick: int) -> float:
        """Return how much dearer this question is than one is expected to be."""
        logarithm = self.spending.about(x, tick)[0]
        return math.exp(max(-MOST_APART, min(MOST_APART, logarithm))) * self.billed / self.foreseen

    def paid(self, x: Vector, ratio: float, tick: int) -> None:
        """Take in what an answer cost, as a share of what was expected of the backend."""
        logarithm = max(-MOST_APART, min(MOST_APART, math.log(ratio)))
        foreseen = math.exp(max(-MOST_APART, min(MOST_APART, self.spending.about(x, tick)[0])))
        # the mean of an exponential is not the exponential of the mean: what was billed corrects what was foreseen
        self.billed += (ratio - self.billed / MEMORY) if self.foreseen > MEMORY else ratio
        self.foreseen += (foreseen - self.foreseen / MEMORY) if self.foreseen > MEMORY else foreseen
        self.spending.learn(x, logarithm, 1.0, tick)

    def save(self) -> SavedArm:
        """Return what was learned here as plain data."""
        return SavedArm(
            self.quality.own.save(),
            self.answering.own.save(),
            self.spending.own.save(),
            self.prior,
            self.answers,
            self.type,
            self.failures,
            self.billed,
            self.foreseen,
        )

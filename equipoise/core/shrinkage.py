"""What all backends find hard, and how much they differ in it: the priors of each backend, learned from all together.

A backend's theta is what is common to all, which `common` estimates within backends (each has a mean of its own), plus a
deviation of its own. How far deviations reach is told by the ridge under which all that was seen is likeliest: empirical
Bayes (MacKay 1992) with y = x'theta + noise, theta ~ N(theta0, s2 / ridge) and s2 profiled out,

    -2 log p(y | ridge) = n log(S / n) + sum over backends log |I + gram / ridge|,   S = sum of y'y - m' (gram + ridge) m

over the deviations from theta0. Where one backend is better at everything, a weak ridge finds differences between questions
that are none, and routing pays for them; where tasks differ much, a strong one does not see it. Sums are all it needs.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

import numpy as np

from equipoise.core.evidence import Vector
from equipoise.core.regression import Regression

RIDGES = np.array([5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0])
MOST = 32
"""Backends that are compared, those of which most is known: an estate's hundreds must not hold up its questions."""


def telling(regressions: Iterable[Regression]) -> list[Regression]:
    """Return those that have something to say of all: a backend without rewards says nothing, so nothing is asked of it."""
    seen = (regression for regression in regressions if regression.evidence.weight > 0.0)
    return heapq.nlargest(MOST, seen, key=lambda regression: regression.evidence.weight)


def common(regressions: Sequence[Regression], ridge: float) -> Vector:
    """Return how a question's features change the reward whoever answers; the first number, of the mean, is 0."""
    size = len(regressions[0].prior)
    gram, moment = ridge * np.eye(size - 1), np.zeros(size - 1)
    for regression in regressions:
        evidence = regression.evidence
        means, count = evidence.gram[0, 1:], max(evidence.gram[0, 0], 1e-9)
        gram += evidence.gram[1:, 1:] - np.outer(means, means) / count
        moment += evidence.moment[1:] - means * (evidence.moment[0] / count)
    return np.concatenate([[0.0], np.linalg.solve(gram, moment)])


def likeliest_ridge(regressions: Sequence[Regression]) -> float:
    """Return the ridge, of those tried, under which all that these backends' rewards say is likeliest."""
    squares, answers, volume = np.zeros(len(RIDGES)), 1e-9, np.zeros(len(RIDGES))
    for regression in regressions:
        left, its_volume = _seen(regression)
        squares, answers, volume = squares + left, answers + regression.evidence.weight, volume + its_volume
    surprise = answers * np.log(np.maximum(squares, 1e-12) / answers) + volume
    return float(RIDGES[int(np.argmin(surprise))])


def _seen(regression: Regression) -> tuple[Vector, Vector]:
    """One backend's part under every ridge: the sum of squares left, and the log determinant.

    The mean has a precision of its own, so it is eliminated first; the eigenvalues of what remains serve all ridges.
    """
    evidence, prior, certain = regression.evidence, regression.prior, regression.precision[0]
    moved = evidence.moment - evidence.gram @ prior
    squares = evidence.squares - float(prior @ (evidence.moment + moved))
    first, across = evidence.gram[0, 0] + certain, evidence.gram[0, 1:]
    values, axes = np.linalg.eigh(evidence.gram[1:, 1:] - np.outer(across, across) / first)
    strength = np.maximum(values, 0.0) + RIDGES[:, None]
    along = axes.T @ (moved[1:] - across * (moved[0] / first))
    left = squares - moved[0] ** 2 / first - (along**2 / strength).sum(axis=1)
    volume = math.log(first / certain) + np.log(strength / RIDGES[:, None]).sum(axis=1)
    return np.maximum(left, 0.0), volume

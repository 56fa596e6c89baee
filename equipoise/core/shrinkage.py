"""What all backends find hard, and how much they differ in it: the priors of each backend, learned from all together.

A backend's theta is what is common to all, which `common` estimates within backends (each has a mean of its own), plus a
deviation of its own. How far deviations reach is told by the ridge under which all that was seen is likeliest: empirical
Bayes (MacKay 1992) with y = x'theta + noise, theta ~ N(theta0, s2 / ridge) and s2 profiled out,

    -2 log p(y | ridge) = n log(S / n) + sum over backends log |I + gram / ridge|,   S = sum of y'y - m' (gram + ridge) m

over the deviations from theta0. Where one backend is better at everything, a weak ridge finds differences between questions
that are none, and routing pays for them; where tasks differ much, a strong one does not see it. Sums are all it needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from equipoise.core.evidence import Vector
from equipoise.core.regression import Regression

RIDGES = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0)


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
    return min(RIDGES, key=lambda ridge: _surprise(regressions, ridge))


def _surprise(regressions: Sequence[Regression], ridge: float) -> float:
    squares, answers, volume = 0.0, 1e-9, 0.0
    for regression in regressions:
        own, weight, its_volume = _seen(regression, ridge)
        squares, answers, volume = squares + own, answers + weight, volume + its_volume
    return answers * math.log(max(squares, 1e-12) / answers) + volume


def _seen(regression: Regression, ridge: float) -> tuple[float, float, float]:
    """One backend's part: sum of squares left, weight of its rewards, log determinant."""
    evidence, prior = regression.evidence, regression.prior
    strength: Vector = np.full(len(prior), ridge)
    strength[0] = regression.precision[0]
    moved = evidence.moment - evidence.gram @ prior
    squares = evidence.squares - float(prior @ (evidence.moment + moved))
    normal = evidence.gram + np.diag(strength)
    left = squares - float(moved @ np.linalg.solve(normal, moved))
    volume = float(np.linalg.slogdet(normal)[1]) - float(np.log(strength).sum())
    return max(0.0, left), evidence.weight, volume

"""How much backends differ is learned from all of them, at a price that an estate of hundreds can pay."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core import shrinkage
from equipoise.core.learning import Learner
from equipoise.core.regression import Regression, Terms
from equipoise.core.shrinkage import MOST, RIDGES, common, likeliest_ridge, telling


def regressions(seed: int, backends: int, rewards: int, size: int = 5) -> list[Regression]:
    """Backends that differ, each after so many rewards."""
    random = Random(seed)
    found = []
    for _ in range(backends):
        regression = Regression(np.array([0.5, *(0.0,) * (size - 1)]), random.choice((3.0, 10.0)), Terms())
        slope = [random.gauss(0.0, 0.2) for _ in range(size - 1)]
        for tick in range(rewards):
            x = np.array([1.0, *(random.uniform(-1.0, 1.0) for _ in slope)])
            regression.learn(x, 0.5 + float(x[1:] @ np.array(slope)) + random.gauss(0.0, 0.1), 1.0, tick)
        found.append(regression)
    return found


def surprise(found: list[Regression], ridge: float) -> float:
    """-2 log p(y | ridge) as the module's head has it, with determinants and solutions by brute force."""
    squares, answers, volume = 0.0, 1e-9, 0.0
    for regression in found:
        evidence, prior = regression.evidence, regression.prior
        strength = np.full(len(prior), ridge)
        strength[0] = regression.precision[0]
        moved = evidence.moment - evidence.gram @ prior
        normal = evidence.gram + np.diag(strength)
        around = evidence.squares - 2.0 * float(prior @ evidence.moment) + float(prior @ evidence.gram @ prior)
        squares += max(0.0, around - float(moved @ np.linalg.solve(normal, moved)))
        answers += evidence.weight
        volume += math.log(float(np.linalg.det(normal) / np.prod(strength)))
    return answers * math.log(max(squares, 1e-12) / answers) + volume


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 60))
def test_the_ridge_is_the_one_under_which_the_rewards_are_likeliest(seed: int, backends: int, rewards: int) -> None:
    """Eliminating the mean and turning the rest to its axes changes no answer."""
    found = regressions(seed, backends, rewards)
    told = surprise(found, likeliest_ridge(found))
    assert told == pytest.approx(min(surprise(found, float(ridge)) for ridge in RIDGES), rel=1e-6, abs=1e-6)


def test_those_of_whom_nothing_is_known_change_nothing() -> None:
    """A backend without rewards is not looked at, and the answer is the one it would have been with it."""
    seen, unseen = regressions(1, 4, 40), regressions(2, 300, 0)
    assert {id(each) for each in telling([*unseen, *seen])} == {id(each) for each in seen}
    assert likeliest_ridge([*seen, *unseen]) == likeliest_ridge(seen)
    assert common([*seen, *unseen], 10.0) == pytest.approx(common(seen, 10.0))


def test_an_estate_of_hundreds_is_compared_by_those_of_whom_most_is_known() -> None:
    """However many backends there are, so many are compared, and no more."""
    many = regressions(3, MOST + 20, 2) + regressions(4, 3, 9)
    chosen = telling(many)
    assert len(chosen) == MOST
    assert {id(each) for each in many[-3:]} <= {id(each) for each in chosen}


def test_what_all_find_hard_costs_no_factorisation_of_the_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 300 backends was scored: one matrix is turned to its axes at each look, and none is inverted for the rest."""
    learner, turned, inverted = Learner(), list[int](), list[int]()
    eigh, inv = np.linalg.eigh, np.linalg.inv
    monkeypatch.setattr(shrinkage.np.linalg, "eigh", lambda matrix: turned.append(1) or eigh(matrix))
    for number in range(300):
        learner.attempted(f"b{number}", "general", learner.vector((0.1, 0.2)), answered=True)
    monkeypatch.setattr(np.linalg, "inv", lambda matrix: inverted.append(1) or inv(matrix))
    for number in range(64):
        learner.learn("b0", learner.vector((0.1 * (number % 7), 0.2)), 0.5)
    assert (len(turned), len(inverted)) == (1, 1)

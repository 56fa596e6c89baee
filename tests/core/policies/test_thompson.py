"""The arithmetic under adaptive_learning."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.policies.thompson import Price, chances_to_win, price_for_budget

Beliefs = dict[str, tuple[float, float]]


def by_sampling(beliefs: Beliefs, count: int) -> dict[str, float]:
    """Who wins how often when one number is drawn from each belief."""
    chance = Random(11)
    wins = dict.fromkeys(beliefs, 0)
    for _ in range(count):
        wins[max(beliefs, key=lambda name: chance.gauss(*beliefs[name]))] += 1
    return {name: won / count for name, won in wins.items()}


@pytest.mark.parametrize(
    "beliefs",
    [
        {"a": (0.8, 0.02), "b": (0.79, 0.02), "c": (0.75, 0.04), "d": (0.7, 0.1), "e": (0.6, 0.03)},
        {"a": (0.8, 0.001), "b": (0.801, 0.003), "c": (0.79, 0.02)},
        {"a": (-3.0, 0.5), "b": (-2.5, 0.1)},
    ],
)
def test_the_probabilities_are_those_of_sampling(beliefs: Beliefs) -> None:
    """The quadrature agrees with a hundred thousand samples within one in a hundred."""
    assert chances_to_win(beliefs) == pytest.approx(by_sampling(beliefs, 100_000), abs=0.01)


@given(st.floats(-1.0, 1.0), st.floats(0.01, 0.1), st.floats(-1.0, 1.0), st.floats(0.01, 0.1))
def test_two_are_compared_exactly(mean_a: float, sd_a: float, mean_b: float, sd_b: float) -> None:
    """For two Gaussians with spreads up to tenfold the answer is known: Phi(difference / root of the summed variances)."""
    exact = 0.5 * (1.0 + math.erf((mean_a - mean_b) / math.sqrt(2.0 * (sd_a**2 + sd_b**2))))
    assert chances_to_win({"a": (mean_a, sd_a), "b": (mean_b, sd_b)})["a"] == pytest.approx(exact, abs=0.001)


@given(st.lists(st.tuples(st.floats(-10.0, 10.0), st.floats(0.0, 2.0)), min_size=1, max_size=30))
def test_any_beliefs_make_a_vector_of_probabilities(rows: list[tuple[float, float]]) -> None:
    """However many, however certain: all in [0, 1], summing to one, everybody named."""
    beliefs = {f"b{i}": row for i, row in enumerate(rows)}
    chances = chances_to_win(beliefs)
    assert chances.keys() == beliefs.keys()
    assert sum(chances.values()) == pytest.approx(1.0)
    assert min(chances.values()) >= 0.0


def test_certain_equals_share_evenly() -> None:
    """Without any doubt and without any difference there is no favourite."""
    assert chances_to_win({"a": (0.8, 0.0), "b": (0.8, 0.0)}) == pytest.approx({"a": 0.5, "b": 0.5})


def test_who_cannot_win_is_not_asked() -> None:
    """Four standard deviations apart on both sides is never."""
    assert chances_to_win({"a": (0.9, 0.01), "b": (0.5, 0.01)}) == {"a": 1.0, "b": 0.0}


def test_spending_too_fast_raises_the_price_and_too_slowly_lowers_it() -> None:
    """The price moves until spending meets its target."""
    price = Price(1.0, budget=100.0)
    for _ in range(50):
        price.paid(200.0)
    raised = price.value
    for _ in range(80):
        price.paid(50.0)
    assert 1.0 < price.value < raised


def test_not_only_the_pace_is_kept_but_the_sum() -> None:
    """What was spent too much is made good: a good that costs 3 when it is wanted, 0.5 otherwise, at a budget of 1."""
    price, spent, chance = Price(0.1, budget=1.0, repay=100.0), 0.0, Random(1)
    for step in range(4000):
        worth = chance.random() * (2.0 if step < 2000 else 0.7)
        cost = 3.0 if worth > price.value * 2.5 else 0.5
        spent += cost
        price.paid(cost)
    assert spent / 4000 == pytest.approx(0.98, abs=0.02)


def test_the_price_that_fits_a_budget_is_found() -> None:
    """Choosing by it costs the budget, to within one question; nothing is paid for where all fits."""
    chance = Random(2)
    worths = [[0.6, 0.6 + 0.3 * chance.random()] for _ in range(400)]
    costs = [[1.0, 11.0]] * 400
    price = price_for_budget(worths, costs, 5.0)
    spent = sum(11.0 if worth[1] - price * 11.0 / 5.0 > worth[0] - price / 5.0 else 1.0 for worth in worths) / 400
    assert spent == pytest.approx(5.0, abs=0.05)
    assert price_for_budget(worths, costs, 11.0) == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_the_quadrature_agrees_with_a_hundred_thousand_draws(seed: int) -> None:
    """Propensities within 0.01 of how often each Gaussian wins."""
    import numpy as np

    chance = np.random.default_rng(seed)
    means, sds = chance.normal(0.7, 0.1, 5), chance.uniform(0.02, 0.2, 5)
    drawn = chance.normal(means, sds, (100_000, 5)).argmax(axis=1)
    chances = chances_to_win({str(i): (float(m), float(s)) for i, (m, s) in enumerate(zip(means, sds, strict=True))})
    for number in range(5):
        assert chances[str(number)] == pytest.approx(float((drawn == number).mean()), abs=0.01)


def test_one_dear_call_moves_the_price_by_a_tenth_at_most() -> None:
    """A single outlier at a tight budget must not shut the dear backends out."""
    price = Price(1.0, budget=1.0)
    price.paid(1e9)
    assert price.value == pytest.approx(math.exp(0.1))


def test_a_price_stays_within_ten_thousandfold() -> None:
    """However long spending is off, the way back is finite."""
    price = Price(1.0, budget=1.0)
    for _ in range(1000):
        price.paid(1e9)
    assert price.value == pytest.approx(1e4)


def test_without_a_target_the_price_is_fixed() -> None:
    """Nothing paces what has no budget."""
    price = Price(0.5, budget=0.0)
    price.paid(1e9)
    assert price.value == 0.5


def test_pacing_needs_a_price_to_start_from() -> None:
    """Zero times anything is zero."""
    with pytest.raises(ValueError, match="above 0"):
        Price(0.0, budget=1.0)

"""What pacing promises about its plan and its price."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.pacing import SLOTS, Pacer, PacingOptions, Plan

DAY = 86_400.0


def opened(limit: int = 1_000_000, weights: tuple[float, ...] = ()) -> Pacer:
    pacer = Pacer(limit)
    pacer.begin(0.0, DAY, weights)
    return pacer


@given(st.lists(st.floats(0, 1e6), max_size=48), st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_a_plan_runs_from_nothing_to_all_and_never_back(weights: list[float], places: list[float]) -> None:
    """Whatever was seen the day before, money is planned monotonically and all of it."""
    plan = Plan(weights)
    shares = [plan.share(place) for place in sorted(places)]
    assert plan.share(0.0) == 0.0
    assert plan.share(1.0) == pytest.approx(1.0)
    assert all(a <= b + 1e-12 for a, b in pairwise(shares))
    assert all(plan.slope(place) > 0 for place in places)


def test_a_plan_follows_yesterday() -> None:
    """A slot with all the work gets nine tenths of the money and its part of what is spread evenly."""
    plan = Plan([0.0] * 12 + [100.0] + [0.0] * 11)
    assert plan.share(13 / SLOTS) - plan.share(12 / SLOTS) == pytest.approx(0.9 + 0.1 / SLOTS)


def test_money_is_free_until_something_is_known() -> None:
    """Before a first rate of requests there is nothing to steer by."""
    pacer = opened()
    pacer.paid(500, 10.0)
    assert pacer.price() == 0.0


@pytest.mark.parametrize(("cost", "dearer"), [(5_000, True), (1, False)])
def test_the_price_follows_what_is_spent_against_the_plan(cost: int, dearer: bool) -> None:
    """Costs above what a request may cost raise the price, costs below let it fall; a hundred requests an hour."""
    pacer = opened(limit=2_400_000)
    spent = 0
    prices = []
    for number in range(1, 200):
        now = number * 36.0
        pacer.observed(spent, number, now)
        pacer.paid(cost, now)
        spent += cost
        prices.append(pacer.price())
    assert (prices[-1] > prices[10]) is dearer


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=50))
def test_one_answer_moves_the_price_by_a_tenth_at_most(costs: list[int]) -> None:
    """A dear call does not shut everything: the step is bounded, and so is the price."""
    pacer = opened()
    pacer.observed(0, 10, 60.0)
    pacer.paid(0, 60.0)
    last = pacer.price()
    bound = PacingOptions().longest_step
    for cost in costs:
        pacer.paid(cost, 60.0)
        assert abs(math.log(pacer.price() / last)) <= bound + 1e-9
        last = pacer.price()

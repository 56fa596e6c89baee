"""The budget for repetitions, and the pause before them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.retry import RetryBudget, RetryOptions, backoff

STEPS = st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(0, 20), st.integers(0, 20)), max_size=60)


@given(STEPS)
def test_whatever_comes_no_more_is_repeated_than_was_granted(steps: list[tuple[float, int, int]]) -> None:
    """A fifth of the questions, one a second, ten at once: never more than all of it together."""
    options = RetryOptions()
    it, now, asked, repeated = RetryBudget(options, 0.0), 0.0, 0, 0
    for pause, questions, wanted in steps:
        now += pause
        for _ in range(questions):
            it.deposit()
        asked += questions
        repeated += sum(it.withdraw(now) for _ in range(wanted))
        assert repeated <= options.share * asked + options.floor_per_second * now + options.burst + 1e-6


@pytest.mark.parametrize("rate", [5, 50, 500])
def test_when_everything_fails_a_fifth_is_added(rate: int) -> None:
    """From five questions a second on; below that one a second."""
    it, repeated, seconds = RetryBudget(RetryOptions(), 0.0), 0, 120
    for turn in range(rate * seconds):
        it.deposit()
        repeated += it.withdraw(turn / rate)
    assert repeated <= 0.2 * rate * seconds + 10
    assert repeated >= 0.19 * rate * seconds


def test_one_a_second_where_hardly_anybody_asks() -> None:
    """A gateway with little to do may repeat as well."""
    it = RetryBudget(RetryOptions(), 0.0)
    while it.withdraw(0.0):
        pass
    assert not it.withdraw(0.5)
    assert it.withdraw(1.5)


def test_the_pause_is_drawn_from_all_of_it() -> None:
    """Full jitter: from nothing to the ceiling, which doubles up to its cap."""
    options, chance = RetryOptions(backoff_base=0.1, backoff_cap=1.0), random.Random(1)
    for attempt, ceiling in ((1, 0.2), (2, 0.4), (3, 0.8), (4, 1.0), (99, 1.0)):
        drawn = [backoff(options, attempt, chance) for _ in range(500)]
        assert max(drawn) <= ceiling
        assert max(drawn) > 0.95 * ceiling
        assert min(drawn) < 0.05 * ceiling


def test_never_sooner_than_the_upstream_said() -> None:
    """Its Retry-After is a floor, beyond the cap as well."""
    assert all(backoff(RetryOptions(), 1, random.Random(seed), 7.0) >= 7.0 for seed in range(50))

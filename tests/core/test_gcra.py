"""What a rate promises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.gcra import Rate


@given(
    st.integers(1, 600),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5)), min_size=1, max_size=300),
)
def test_no_more_than_two_minutes_worth_passes_in_any_minute(
    per_minute: int, arrivals: list[tuple[float, int]]
) -> None:
    """A whole minute's burst and what flows in meanwhile: GCRA's bound, burst + rate * time, over every stretch."""
    rate, now, passed = Rate(per_minute), 0.0, list[tuple[float, int]]()
    for pause, units in arrivals:
        now += pause
        units = min(units, per_minute)
        if rate.take(units, now) == 0.0:
            passed.append((now, units))
    for start, _ in passed:
        for end in (start + 1.0, start + 60.0):
            inside = sum(units for at, units in passed if start <= at <= end)
            assert inside <= per_minute * (1 + (end - start) / 60.0) + 1e-6


@given(st.integers(1, 600), st.integers(0, 600), st.integers(1, 100))
def test_whoever_waits_as_long_as_told_is_served(per_minute: int, used: int, units: int) -> None:
    """Not a moment too early, and then for certain."""
    rate = Rate(per_minute)
    for _ in range(used):
        rate.take(1, 0.0)
    wait = rate.take(units, 0.0)
    if wait:
        assert rate.take(units, wait * 0.999) > 0
        assert rate.take(units, wait + 1e-6) == 0.0


def test_what_was_not_used_is_given_back_and_what_was_used_beyond_is_owed() -> None:
    """A reservation of tokens is settled to the actual, either way."""
    rate = Rate(60)
    rate.take(40, 0.0)
    assert rate.remaining(0.0) == 20
    rate.correct(-30, 0.0)
    assert rate.remaining(0.0) == 50
    rate.correct(100, 0.0)
    assert rate.remaining(0.0) == 0
    assert rate.seconds_until_full(0.0) == 110.0


def test_a_question_larger_than_a_minutes_worth_is_served_when_nothing_else_was() -> None:
    """Refusing it for ever would help nobody; what it took is owed."""
    rate = Rate(10)
    assert rate.take(25, 0.0) == 0.0
    assert rate.take(1, 0.0) == 96.0

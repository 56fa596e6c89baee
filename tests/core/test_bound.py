"""What is reserved where nobody bounds an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.bound import UNSEEN, WINDOW, Bound


def test_before_answers_were_seen_the_bound_is_generous() -> None:
    """Seven short answers prove nothing yet."""
    bound = Bound()
    for _ in range(7):
        bound.answered(10)
    assert bound.tokens == UNSEEN


@given(st.lists(st.integers(0, 100_000), min_size=8, max_size=200))
def test_the_bound_is_a_quarter_above_the_longest_of_late(lengths: list[int]) -> None:
    """Exactly the longest of the last 64, however they came."""
    bound = Bound()
    for length in lengths:
        bound.answered(length)
    assert bound.tokens == max(lengths[-WINDOW:]) * 125 // 100


def test_a_bill_beyond_what_was_reserved_raises_what_is_reserved_next() -> None:
    """Half as much again was billed: that much and a tenth is reserved from now on, and slowly forgotten."""
    bound = Bound()
    bound.billed(1000, 1500)
    assert bound.excess_percent == 165
    for _ in range(60):
        bound.billed(1000, 900)
    assert bound.excess_percent == 100


@given(st.integers(1, 10**15), st.integers(0, 10**18))
def test_one_absurd_bill_does_not_shut_a_backend_for_good(reserved: int, actual: int) -> None:
    """A hundredfold is the most that is believed."""
    bound = Bound()
    bound.billed(reserved, actual)
    assert 100 <= bound.excess_percent <= 10_000

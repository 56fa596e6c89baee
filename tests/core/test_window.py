"""What windows promise."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.window import Window

DAY = 86_400.0


def days(wall: float) -> tuple[float, float]:
    began = wall // DAY * DAY
    return began, began + DAY


@given(st.floats(1e9, 2e9), st.floats(0, 3 * DAY))
def test_what_was_booked_within_a_rolling_window_counts_and_what_is_older_falls_out(at: float, later: float) -> None:
    """Never too early: an amount counts for at least the whole window, and at most one part of it longer."""
    window = Window(length=DAY)
    slot, _ = window.slot(at)
    counts = slot >= window.since(at + later)
    if later < DAY - 1e-3:
        assert counts
    if later > DAY + window.width + 1e-3:
        assert not counts


@given(st.floats(1e9, 2e9), st.floats(0, 3 * DAY))
def test_a_calendar_window_counts_from_its_own_beginning(at: float, later: float) -> None:
    """What was booked before midnight does not count after it, whoever looks first."""
    window = Window(bounds=days)
    slot, ends = window.slot(at)
    assert slot <= at < ends + 1e-6
    assert (slot >= window.since(at + later)) is (at // DAY == (at + later) // DAY)


def test_a_total_never_renews() -> None:
    """There is one period, for ever."""
    window = Window()
    assert window.slot(1e9) == (0, math.inf)
    assert window.since(1e9) == 0
    assert window.renews_at(0, 1e9) is None


def test_it_is_said_when_a_budget_renews() -> None:
    """The end of the calendar window; for a rolling one when its oldest part leaves it."""
    assert Window(bounds=days).renews_at(0, 10 * DAY + 5) == 11 * DAY
    rolling = Window(length=3600.0)
    oldest, _ = rolling.slot(1_000_000.0)
    assert 1_000_000.0 + 3600 <= (rolling.renews_at(oldest, 1_000_100.0) or 0) <= 1_000_000.0 + 3660


@given(st.floats(1e9, 2e9), st.booleans())
def test_the_first_instant_that_counts_is_of_the_first_part_that_counts(wall: float, rolling: bool) -> None:
    """What is lost and what was spent fall out together: else an amount could be missing from both."""
    window = Window(length=DAY) if rolling else Window(bounds=days)
    began = window.began(wall)
    assert window.slot(began + 1e-3)[0] == window.since(wall)
    assert window.slot(began - 1e-3)[0] < window.since(wall)

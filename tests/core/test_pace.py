"""What counts as slow: beside what is usual for an answer of that length."""

from __future__ import annotations

import pytest

from equipoise.core.pace import Pace


def test_a_long_answer_is_not_slow() -> None:
    """Ten times the tokens may take ten times as long; the line is learned from the answers themselves."""
    it = Pace(0.1)
    for tokens in (20, 60, 100, 200, 400) * 4:
        it.answered(0.5 + tokens / 50, None, tokens)
    assert it.answered(0.5 + 2000 / 50, None, 2000) == pytest.approx(1.0, abs=0.05)
    assert it.answered(3 * (0.5 + 100 / 50), None, 100) == pytest.approx(3.0, abs=0.1)


def test_the_first_answers_teach_only() -> None:
    """Before ten were seen nothing is unusual."""
    it = Pace(0.1)
    assert [it.answered(seconds, None, 10) for seconds in (1.0, 9.0, 1.0)] == [1.0, 1.0, 1.0]


def test_below_what_the_operator_expects_nothing_is_slow() -> None:
    """A millisecond that becomes five is no illness where a second is expected."""
    it = Pace(1.0)
    for _ in range(20):
        it.answered(0.001, None, 10)
    assert it.answered(0.005, None, 10) < 1.0


def test_of_a_stream_the_wait_counts_and_not_who_reads_it() -> None:
    """The first token came as usual; a client that reads for an hour says nothing about the backend."""
    it = Pace(0.1)
    for _ in range(20):
        it.answered(2.0, 0.5, 100)
    assert it.answered(3600.0, 0.5, 100) == pytest.approx(1.0)
    assert it.answered(4.0, 2.5, 100) == pytest.approx(5.0)


def test_what_lasts_is_accepted() -> None:
    """After a pause its last answers say what is usual, however slow."""
    it = Pace(0.1)
    for _ in range(50):
        it.answered(1.0, None, 10)
    for _ in range(10):
        last = it.answered(6.0, None, 10)
    assert last > 3.0
    it.accept()
    assert it.answered(6.0, None, 10) == pytest.approx(1.0)

"""What is believed of a backend's answers follows what was seen."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.breaker import BreakerOptions
from equipoise.core.model import Outcome, Verdict
from equipoise.core.quality import Quality
from tests.fakes import FakeClock, backend, request, selection

WELL = Outcome(verdict=Verdict.SUCCESS, duration=1.0)
NOTHING = Outcome(verdict=Verdict.NO_ANSWER, duration=1.0)


def test_without_evidence_the_operators_word_stands() -> None:
    """With the doubt of ten answers."""
    it = Quality(0.8)
    assert (it.mean, it.low) == (0.8, pytest.approx(0.8 - 0.2 / 10**0.5))


def test_judged_answers_outweigh_the_operators_word() -> None:
    """A hundred answers of .3 where .9 was promised, and little doubt left."""
    it, chance = Quality(0.9), Random(1)
    for _ in range(200):
        it.add(0.3 + chance.uniform(-0.1, 0.1))
    assert it.mean == pytest.approx(0.3, abs=0.05)
    assert it.error < 0.02


def test_the_share_of_replies_that_were_answers_counts_and_recovers() -> None:
    """Half of the replies say nothing: half the quality. When they all answer again it is believed again."""
    it = Quality(0.8)
    for turn in range(400):
        it.replied(answered=turn % 2 == 0)
    assert it.mean == pytest.approx(0.4, abs=0.02)
    for _ in range(1500):
        it.replied(answered=True)
    assert it.mean == pytest.approx(0.8, abs=0.01)


def test_an_answer_nobody_judged_is_no_evidence_of_quality() -> None:
    """A thousand unjudged answers leave the doubt where it was."""
    it = Quality(0.8)
    before = it.low
    for _ in range(1000):
        it.replied(answered=True)
    assert (it.mean, it.low) == (0.8, before)


def test_quality_based_leaves_who_answers_nothing() -> None:
    """A measured signal, not the configured constant: the better word loses to the better replies."""
    unwatched = BreakerOptions(enabled=False)
    boasts = backend("boasts", quality=0.9, breaker=unwatched)
    it = selection([boasts, backend("keeps", quality=0.8)], "quality_based", clock=FakeClock())
    for _ in range(10):
        lease = it.acquire(request(pinned="boasts"))
        it.settle(lease, NOTHING)
        it.settle(it.acquire(request(pinned="keeps")), WELL)
    assert sum(it.explain(request()).backend_id == "keeps" for _ in range(100)) > 95


def test_a_kind_with_evidence_of_its_own_is_believed_of_its_own() -> None:
    """An engine that answers nothing about news is no worse for papers, and a new kind begins as the whole."""
    it = Quality(0.8)
    for _ in range(60):
        it.replied(answered=False, kind="news")
        it.add(0.9, 0.0, "papers")
        it.replied(answered=True, kind="papers")
    assert it.of("papers").mean == pytest.approx(0.88, abs=0.05)
    assert it.of("news").mean < 0.15
    assert it.of("never seen") is it
    assert it.of("news").mean < it.mean < it.of("papers").mean


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 1), st.floats(0, 0.2)), max_size=20))
def test_a_replaced_opinion_leaves_no_trace(answers: list[tuple[float, float, float, float]]) -> None:
    """Below the memory, to have said the second at once comes to the same."""
    replaced, direct = Quality(0.8), Quality(0.8)
    for first, first_variance, second, second_variance in answers:
        replaced.add(first, first_variance)
        replaced.replace(first, first_variance, second, second_variance)
        direct.add(second, second_variance)
    assert replaced.mean == pytest.approx(direct.mean, abs=1e-6)


def test_an_uncertain_score_moves_a_belief_less() -> None:
    """By its variance beside that of answers."""
    sure, unsure = Quality(0.9), Quality(0.9)
    sure.add(0.1, 0.0)
    unsure.add(0.1, 0.12)
    assert sure.mean < unsure.mean < 0.9

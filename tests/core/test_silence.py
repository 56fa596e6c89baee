"""A backend that answers nothing any more is found from its replies."""

from __future__ import annotations

from random import Random

import pytest

from equipoise.core.breaker import BreakerState
from equipoise.core.model import BackendType, Outcome, Verdict
from equipoise.core.silence import Silence
from tests.fakes import FakeClock, backend, request, selection


@pytest.mark.parametrize("usual", [0.0, 0.02, 0.1])
def test_within_five_replies(usual: float) -> None:
    """Whatever share of its replies found nothing before, up to a tenth: five empty ones at the most."""
    it, chance = Silence(), Random(5)
    for _ in range(500):
        it.replied(answered=chance.random() >= usual)
    it.evidence = 0.0
    assert any(it.replied(answered=False) for _ in range(5))


def test_questions_off_its_topic_are_no_silence() -> None:
    """A graph that has nothing on a third of the questions goes on being asked: under 1 in 1,000 replies alarms."""
    it, chance = Silence(), Random(1)
    for _ in range(300):
        it.replied(answered=chance.random() >= 0.3)
    assert sum(it.replied(answered=chance.random() >= 0.3) for _ in range(5000)) <= 5


def test_a_graph_that_is_asked_of_everything_is_given_time_to_show_its_share() -> None:
    """Two thirds of the first questions are off its topic: an alarm for one in four at most; a graph that then falls silent is found."""
    alarms = 0
    for seed in range(200):
        it, chance = Silence.of(BackendType.LIGHTRAG), Random(seed)
        alarms += any(it.replied(answered=chance.random() >= 0.67) for _ in range(100))
    assert alarms <= 50
    it = Silence.of(BackendType.LIGHTRAG)
    for _ in range(15):
        it.replied(answered=True)
    assert any(it.replied(answered=False) for _ in range(5))


def test_a_graph_that_was_dead_from_the_start_is_found_by_its_fifth_reply() -> None:
    """Nothing has excused it yet; an answer after an empty reply would."""
    it = Silence.of(BackendType.LIGHTRAG)
    assert [it.replied(answered=False) for _ in range(5)] == [False] * 4 + [True]
    alive = Silence.of(BackendType.LIGHTRAG)
    for answered in (False, True):
        assert not alive.replied(answered=answered)
    assert not any(alive.replied(answered=False) for _ in range(6))


@pytest.mark.parametrize("before", [0, 1, 3, 5, 10, 14, 15, 40, 200])
def test_a_graph_that_dies_after_any_number_of_answers_is_found_by_its_fifth_empty_reply(before: int) -> None:
    """Also where it was asked too little to have shown its usual share."""
    it = Silence.of(BackendType.LIGHTRAG)
    for _ in range(before):
        it.replied(answered=True)
    assert any(it.replied(answered=False) for _ in range(5))


def test_a_silent_backend_is_left_after_five_affected_requests() -> None:
    """From real answers, no probe; and it comes back when it answers again."""
    clock = FakeClock()
    it = selection([backend("mute"), backend("well")], clock=clock)
    affected = 0
    for _ in range(60):
        clock.now += 0.1
        lease = it.acquire(request())
        mute = lease.backend_id == "mute"
        affected += mute
        it.settle(lease, Outcome(verdict=Verdict.NO_ANSWER if mute else Verdict.SUCCESS, duration=0.1))
    assert affected <= 5
    assert it.backends["mute"].breaker.state is BreakerState.OPEN
    clock.now += 600
    for _ in range(60):
        clock.now += 1
        it.settle(it.acquire(request()), Outcome(verdict=Verdict.SUCCESS, duration=0.1))
    assert it.backends["mute"].breaker.state is BreakerState.CLOSED

"""Limits: exact where the operator set them, learned where nobody did."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.breaker import BreakerOptions
from equipoise.core.events import BackendChanged, Event
from equipoise.core.limit import AdaptiveCap, TokenLimit
from equipoise.core.model import NoBackendAvailable, Outcome, Usage, Verdict
from equipoise.core.outliers import find_outlier
from tests.fakes import FakeClock, backend, request, selection


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(1, 60), st.integers(0, 60)), max_size=60))
def test_tokens_a_minute_are_never_exceeded(story: list[tuple[float, int, int]]) -> None:
    """Whatever comes, with corrections downwards: in no 60 seconds more than the limit is taken."""
    it, now, kept = TokenLimit(100), 0.0, []
    for pause, wanted, used in story:
        now += pause
        if it.seconds_until_free(wanted, now) == 0.0:
            taken = it.take(wanted, now)
            it.correct(taken, min(used, wanted))
            kept.append((now, min(used, wanted)))
        assert sum(tokens for at, tokens in kept if at > now - 60.0) <= 100


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(1, 100)), min_size=1, max_size=40))
def test_the_wait_for_tokens_is_told_exactly(story: list[tuple[float, int]]) -> None:
    """After just so long the question is let through."""
    it, now = TokenLimit(100), 0.0
    for pause, wanted in story:
        now += pause
        now += it.seconds_until_free(wanted, now) + 1e-6
        assert it.seconds_until_free(wanted, now) == 0.0
        it.take(wanted, now)


def test_tokens_are_taken_before_and_corrected_after() -> None:
    """A question that may use 900 of 1,000 tokens keeps the next one waiting, until it has used 100."""
    clock = FakeClock()
    it = selection([backend("a", tokens_per_minute=1000)], clock=clock)
    first = it.acquire(request(output_tokens=890))
    with pytest.raises(NoBackendAvailable) as caught:
        it.acquire(request(output_tokens=890))
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.retry_after == pytest.approx(60.0)
    usage = Usage(input_tokens=10, output_tokens=90)
    it.settle(first, Outcome(verdict=Verdict.SUCCESS, duration=1.0, usage=usage))
    it.acquire(request(output_tokens=890))


def test_who_shows_no_overload_keeps_nobody_waiting() -> None:
    """The cap binds for a minute after a throttle, and not otherwise."""
    it = AdaptiveCap()
    for _ in range(100):
        it.answered(1.0, 50, 8)
    assert it.at(10.0) == float("inf")
    it.overloaded(9.0, 10.0)
    assert it.at(10.0) < 100
    assert it.at(71.0) == float("inf")


def test_a_storm_of_throttles_counts_once() -> None:
    """Fifty that were under way together tell one story: a tenth less, not a two-hundredth of it left."""
    it = AdaptiveCap()
    for _ in range(50):
        it.overloaded(0.0, 1.0)
    assert it.value == 0.9 * 16


def test_limits_of_one_are_possible() -> None:
    """A backend that crawls with two at once is asked one at a time."""
    it, chance = AdaptiveCap(), Random(1)
    for _ in range(20):
        it.answered(1.0, 40, 1)
    for _ in range(400):
        in_flight = max(1, int(it.value))
        it.answered(in_flight**2 * chance.uniform(0.8, 1.2), 40, in_flight)
    assert it.value < 4.0


def test_who_fails_more_than_the_others_is_ejected() -> None:
    """A fifth fails here and next to none elsewhere: too little for a breaker, enough beside the others."""
    it = selection([backend(name) for name in "abc"], clock=FakeClock())
    told: list[Event] = []
    it.observers.append(told.append)
    for turn in range(300):
        lease = it.acquire(request())
        bad = lease.backend_id == "a" and turn % 5 == 0
        it.settle(lease, Outcome(verdict=Verdict.FAILURE if bad else Verdict.SUCCESS, duration=0.1))
        it.clock.now += 0.1  # type: ignore[attr-defined]
    assert "elsewhere" in it.backends["a"].breaker.reason
    changes = [(event.backend_id, event.state) for event in told if isinstance(event, BackendChanged)]
    assert changes[:2] == [("a", "open"), ("a", "ejected")]


def test_where_all_fail_alike_nobody_is_ejected() -> None:
    """And of two that differ the last one stays."""
    alike = [backend(name, breaker=BreakerOptions(failure_threshold=1000, failure_rate=1.0)) for name in "ab"]
    it = selection(alike)
    for turn in range(200):
        lease = it.acquire(request())
        it.settle(lease, Outcome(verdict=Verdict.FAILURE if turn % 5 < 2 else Verdict.SUCCESS, duration=0.1))
    assert find_outlier(alike) is None
    it.backends["a"].breaker.open(0.0, "by hand")
    assert find_outlier(alike) is None


def test_an_attempt_that_would_most_likely_come_too_late_is_not_begun() -> None:
    """The median here is five seconds, and two are left; with fresh answers that are quicker it is asked again."""
    clock = FakeClock()
    it = selection([backend("slow"), backend("quick")], clock=clock)
    for _ in range(15):
        for name, seconds in (("slow", 5.0), ("quick", 0.5)):
            it.settle(it.acquire(request(pinned=name)), Outcome(verdict=Verdict.SUCCESS, duration=seconds))
    hurried = request(deadline=clock.now + 2.0)
    assert {it.acquire(hurried).backend_id for _ in range(4)} == {"quick"}
    with pytest.raises(NoBackendAvailable, match=r"usually takes 5.0 s, and 2.0 s are left") as caught:
        it.acquire(hurried, frozenset({"quick"}))
    assert caught.value.code == "deadline_too_short"
    clock.now += 120.0
    late = request(deadline=clock.now + 2.0)
    assert {it.acquire(late).backend_id for _ in range(4)} == {"slow", "quick"}

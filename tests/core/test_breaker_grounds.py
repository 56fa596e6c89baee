"""On what grounds a breaker opens, for how long, and what its windows hold."""

from __future__ import annotations

import random

import pytest

from equipoise.core.breaker import BreakerOptions, BreakerState, Cause, CircuitBreaker, cause_of
from equipoise.core.events import BackendChanged, Event
from equipoise.core.model import Outcome, Verdict
from equipoise.core.outliers import find_outlier
from tests.fakes import FakeClock, backend, request, selection

NEVER = 10**6


def breaker(**options: float) -> CircuitBreaker:
    return CircuitBreaker(BreakerOptions(**options), random.Random(1))  # type: ignore[arg-type]


def settle(it: CircuitBreaker, results: str, now: float = 0.0, cause: Cause = Cause.OTHER) -> None:
    """An attempt for each letter: `x` fails, `.` answers at the usual pace, `s` at four times of it."""
    for result in results:
        permit = it.admit(now)
        assert permit is not None
        if result == "x":
            it.failed(permit, now, cause=cause)
        else:
            it.succeeded(permit, 4.0 if result == "s" else 1.0, now)


def test_the_last_hundred_results_count_and_none_before() -> None:
    """Forty failures, a hundred answers: nothing of the forty is left."""
    it = breaker(failure_threshold=NEVER, failure_rate=1.1)
    settle(it, "x" * 10 + "." * 70 + "x" * 5)
    assert it.counts["failures"] == 15
    settle(it, "." * 100)
    assert (it.counts["calls"], it.counts["failures"]) == (100, 0)


def test_the_last_fifty_paces_are_kept() -> None:
    """And the last ten of them judge: ten slow ones in a row, and one that is not ends it."""
    it = breaker(slow_pace=3.0)
    settle(it, "." * 200)
    assert len(it._paces) == 50
    settle(it, "s" * 10)
    assert it.sluggish
    settle(it, ".")
    assert not it.sluggish


@pytest.mark.parametrize(
    ("cause", "failures", "growth"), [(Cause.TIMEOUT, 3, 2.0), (Cause.SERVER_ERROR, 4, 1.5), (Cause.OTHER, 5, 1.0)]
)
def test_the_clearer_the_cause_the_sooner_and_the_longer(cause: Cause, failures: int, growth: float) -> None:
    """Three timeouts, four 5xx, five of anything else; open twice, one and a half times, once as long."""
    it = breaker(recovery_seconds=10.0)
    settle(it, "x" * (failures - 1), cause=cause)
    assert it.state is BreakerState.CLOSED
    settle(it, "x", cause=cause)
    assert it.state is BreakerState.OPEN
    assert 0.8 * 10 * growth <= it.reopens_at <= 1.2 * 10 * growth


def test_more_than_ten_of_the_last_twenty() -> None:
    """However many answers came before: the failures need no run and no share of a hundred."""
    it = breaker(failure_rate=0.99)
    settle(it, "." * 80 + "xx.xx.xx.xx.xx")
    assert it.state is BreakerState.CLOSED
    settle(it, ".x")
    assert it.state is BreakerState.OPEN
    assert it.reason == "11 of the last 20 failed"


def test_trips_are_forgiven_after_ten_quiet_recovery_times() -> None:
    """Then the next one is a first one again; after nine it is not."""
    for quiet, trips in ((9.0, 2), (11.0, 1)):
        it = breaker(recovery_seconds=10.0)
        settle(it, "xxxxx")
        settle(it, "...", now=20.0)
        assert it.state is BreakerState.CLOSED
        settle(it, "xxxxx", now=20.0 + 10.0 * quiet)
        assert it.trips == trips


def test_gateways_do_not_come_back_together() -> None:
    """The same trip in a hundred of them: their recoveries are spread over two fifths of their length."""
    ends = set()
    for seed in range(100):
        it = CircuitBreaker(BreakerOptions(recovery_seconds=10.0), random.Random(seed))
        settle(it, "xxxxx")
        ends.add(round(it.reopens_at, 1))
    assert len(ends) > 20
    assert min(ends) < 8.5
    assert max(ends) > 11.5


def test_what_an_attempt_came_to_is_its_cause() -> None:
    """A status of 500 and more, a time that ran out, or something else."""
    timeout = Outcome(verdict=Verdict.FAILURE, duration=1.0, error_code="upstream_timeout", status=504)
    assert cause_of(timeout) is Cause.TIMEOUT
    assert cause_of(Outcome(verdict=Verdict.FAILURE, duration=1.0, status=503)) is Cause.SERVER_ERROR
    assert cause_of(Outcome(verdict=Verdict.FAILURE, duration=1.0)) is Cause.OTHER


def test_a_refused_key_is_left_alone_for_five_minutes() -> None:
    """After one refusal, and whoever listens is told."""
    clock, told = FakeClock(), list[Event]()
    it = selection([backend("a"), backend("b")], clock=clock)
    it.observers.append(told.append)
    lease = it.acquire(request(pinned="a"))
    it.settle(lease, Outcome(verdict=Verdict.REFUSED, duration=0.1, error="invalid key", status=401))
    assert [(e.backend_id, e.state, e.reason) for e in told if isinstance(e, BackendChanged)] == [
        ("a", "open", "invalid key")
    ]
    clock.now += 299.0
    assert {it.acquire(request()).backend_id for _ in range(10)} == {"b"}
    clock.now += 2.0
    assert "a" in {it.acquire(request()).backend_id for _ in range(10)}


def test_where_a_strategy_asks_others_a_probe_ends_the_opening() -> None:
    """Its time is over and it is alive: half-open, not open for ever; while its time lasts a probe changes nothing."""
    clock, told = FakeClock(), list[Event]()
    it = selection([backend("a")], clock=clock)
    it.observers.append(told.append)
    for _ in range(5):
        it.settle(it.acquire(request()), Outcome(verdict=Verdict.FAILURE, duration=0.1))
    found = it.backends["a"].breaker
    it.probed("a", healthy=True, error=None, details={})
    assert found.state is BreakerState.OPEN
    clock.now += 80.0
    it.probed("a", healthy=False, error="gone", details={})
    assert found.state is BreakerState.OPEN
    it.probed("a", healthy=True, error=None, details={})
    assert found.state is BreakerState.HALF_OPEN
    assert isinstance(told[-1], BackendChanged)
    assert told[-1].state == "half_open"


def test_at_most_half_are_ejected() -> None:
    """One of six fails a third of its attempts, nobody else any: with two out already it is put aside, with three not."""
    for already_out, found in ((2, "f"), (3, None)):
        six = [backend(name) for name in "abcdef"]
        for each in six:
            settle(each.breaker, "..x" * 8 if each.id == "f" else "." * 24)
        for each in six[:already_out]:
            each.breaker.open(0.0, "ill")
        outlier = find_outlier(six)
        assert (outlier.backend.id if outlier else None) == found


def test_who_comes_back_starts_slowly() -> None:
    """After a breaker or a drain: one attempt at once, then more, all within half a minute."""
    clock = FakeClock()
    it = selection([backend("a"), backend("b")], clock=clock)
    it.drain("a")
    it.resume("a")
    most = []
    for seconds in (0.0, 8.0, 16.0, 31.0):
        clock.now = 1000.0 + seconds
        leases = [it.acquire(request()) for _ in range(24)]
        most.append(sum(lease.backend_id == "a" for lease in leases))
        for lease in leases:
            it.settle(lease, Outcome(verdict=Verdict.IGNORED, duration=0.0))
    assert most[0] == 1
    assert most == sorted(most)
    assert most[-1] == 12


def test_probes_that_pass_add_up_however_seldom_anybody_asks() -> None:
    """A question every ten minutes closes it after three answers: that time passed is no sign that a probe hangs."""
    it = breaker(half_open_probes=3, recovery_seconds=60.0)
    settle(it, "x" * 5)
    for asked in (600.0, 1_200.0):
        settle(it, ".", asked)
        assert it.state is BreakerState.HALF_OPEN
    settle(it, ".", 1_800.0)
    assert it.state is BreakerState.CLOSED

"""What the circuit breaker promises."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from equipoise.core.breaker import BreakerOptions, BreakerState, CircuitBreaker, Permit


def breaker(**options: float) -> CircuitBreaker:
    return CircuitBreaker(BreakerOptions(**options), random.Random(1))  # type: ignore[arg-type]


def fail(it: CircuitBreaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        permit = it.admit(now)
        assert permit is not None
        it.failed(permit, now)


def test_so_many_failures_in_a_row_open_it() -> None:
    """Five in a row by default: four leave it closed, the fifth opens it."""
    it = breaker()
    fail(it, 4)
    assert it.state is BreakerState.CLOSED
    fail(it, 1)
    assert it.state is BreakerState.OPEN
    assert it.admit(1.0) is None


def test_a_success_ends_the_run_of_failures() -> None:
    """Four failures, a thousand successes and one failure are no illness (the prototype opened here)."""
    it = breaker()
    fail(it, 4)
    for _ in range(1000):
        permit = it.admit(0.0)
        assert permit is not None
        it.succeeded(permit, 0.1, 0.0)
    fail(it, 1)
    assert it.state is BreakerState.CLOSED


def test_half_of_enough_calls_failing_opens_it_without_any_run() -> None:
    """Every second call failing trips by the rate once ten calls were seen."""
    it = breaker(failure_threshold=100)
    for turn in range(10):
        permit = it.admit(0.0)
        assert permit is not None
        if turn % 2:
            it.failed(permit, 0.0)
        else:
            it.succeeded(permit, 0.1, 0.0)
    assert it.state is BreakerState.OPEN
    assert "5 of the last 10" in it.reason


def test_results_older_than_the_window_do_not_count() -> None:
    """Nine failures a minute ago and one now are one failure."""
    it = breaker(failure_threshold=100, window_seconds=60.0)
    fail(it, 9, now=0.0)
    fail(it, 1, now=61.0)
    assert it.state is BreakerState.CLOSED
    assert it.counts["failures"] == 1


def test_slow_calls_alone_can_open_it() -> None:
    """When all of enough calls take longer than the bound, it opens though none failed... at the next judged one."""
    it = breaker(slow_pace=1.5, slow_rate=1.0, slow_alone=True)
    for _ in range(10):
        permit = it.admit(0.0)
        assert permit is not None
        it.succeeded(permit, 2.0, 0.0)
    assert it.state is BreakerState.OPEN


def test_of_a_hundred_at_once_only_three_probe() -> None:
    """In half-open state the number of probes in flight is bounded (the prototype admitted all hundred)."""
    it = breaker(recovery_seconds=10.0)
    fail(it, 5)
    admitted = [permit for _ in range(100) if (permit := it.admit(100.0)) is not None]
    assert len(admitted) == 3


def test_a_cancelled_probe_gives_its_place_back() -> None:
    """Cancelled probes must not wear out the half-open state."""
    it = breaker(recovery_seconds=10.0)
    fail(it, 5)
    for _ in range(50):
        permit = it.admit(100.0)
        assert permit is not None
        it.forgotten(permit)
    assert it.allows(100.0)


def test_probes_that_all_succeed_close_it() -> None:
    """Three good probes and it is as new."""
    it = breaker(recovery_seconds=10.0)
    fail(it, 5)
    permits = [it.admit(100.0) for _ in range(3)]
    for permit in permits:
        assert permit is not None
        it.succeeded(permit, 0.1, 100.0)
    assert it.state is BreakerState.CLOSED
    assert it.trips == 1


def test_repeated_trips_wait_longer_up_to_a_cap() -> None:
    """Recovery doubles with each trip, eightfold at the most, within the jitter of a fifth."""
    it = breaker(recovery_seconds=10.0)
    waits = []
    now = 0.0
    fail(it, 5, now)
    for _ in range(6):
        waits.append(it.reopens_at - now)
        now = it.reopens_at
        permit = it.admit(now)
        assert permit is not None
        it.failed(permit, now)
    for wait, growth in zip(waits, (1, 2, 4, 8, 8, 8), strict=True):
        assert 0.8 * 10 * growth <= wait <= 1.2 * 10 * growth


def test_the_result_of_an_older_generation_says_nothing() -> None:
    """A slow failure from before the trip must not fail the probe after it."""
    it = breaker(recovery_seconds=10.0)
    late = it.admit(0.0)
    assert late is not None
    fail(it, 5)
    probe = it.admit(100.0)
    assert probe is not None
    it.failed(late, 100.0)
    assert it.state is BreakerState.HALF_OPEN
    it.forgotten(probe)


def test_opened_by_hand_it_stays_open_until_closed_by_hand() -> None:
    """An operator's word outlasts any recovery time."""
    it = breaker()
    it.open(0.0, "maintenance")
    assert it.admit(1e9) is None
    it.close(1e9)
    assert it.admit(1e9) is not None


def test_switched_off_it_never_trips() -> None:
    """`circuit_breaker_enabled: false` means just that."""
    it = breaker(enabled=False)
    fail(it, 500)
    assert it.state is BreakerState.CLOSED


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens in whatever order: probes stay bounded and every permit can be settled."""

    def __init__(self) -> None:
        super().__init__()
        self.it = breaker(recovery_seconds=5.0)
        self.now = 0.0
        self.held: list[Permit] = []

    @rule(seconds=st.floats(0.0, 30.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        allowed = self.it.allows(self.now)
        permit = self.it.admit(self.now)
        assert (permit is not None) == allowed
        if permit is not None:
            self.held.append(permit)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ending=st.sampled_from(("good", "bad", "none")))
    def settle(self, data: st.DataObject, ending: str) -> None:
        permit = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        if ending == "good":
            self.it.succeeded(permit, 0.1, self.now)
        elif ending == "bad":
            self.it.failed(permit, self.now)
        else:
            self.it.forgotten(permit)

    @invariant()
    def probes_are_bounded(self) -> None:
        if self.it.state is BreakerState.HALF_OPEN:
            probing = sum(permit == self.it.generation for permit in self.held)
            assert probing == self.it._probes <= self.it.options.half_open_probes

    @invariant()
    def the_window_adds_up(self) -> None:
        counts = self.it.counts
        assert 0 <= counts["failures"] <= counts["calls"] <= 100
        assert counts["failures"] == sum(failed for _, failed, _ in self.it._results)


TestAnyHistory = AnyHistory.TestCase

"""A circuit breaker: stop asking a backend that fails, probe it with a bounded number of requests, then trust it again.

    CLOSED --trip--> OPEN --recovery time over--> HALF_OPEN --all probes succeed--> CLOSED
                      ^------------- a probe fails -----|

Two windows decide (resilience4j's count window with Envoy's consecutive failures beside it): the last 100 results, none
older than 60 s, and a run of failures. Every change of state begins a new generation; a permit of an older generation
says nothing about the present one, so it is ignored (gobreaker, Polly).
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TypeAlias

import msgspec

from equipoise.core.model import Chance

Permit: TypeAlias = int
RECOVERY_GROWTH_CAP = 8.0


class BreakerState(enum.StrEnum):
    """The value of each state is the specification's; `gauge` is its number in Prometheus."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"

    @property
    def gauge(self) -> int:
        """0 closed, 1 half-open, 2 open."""
        return ("closed", "half_open", "open").index(self.value)


class BreakerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """When to trip and how to recover; rates are shares in [0, 1], times seconds."""

    enabled: bool = True
    failure_threshold: int = 5
    failure_rate: float = 0.5
    slow_rate: float = 1.0
    slow_seconds: float = float("inf")
    minimum_calls: int = 10
    window_calls: int = 100
    window_seconds: float = 60.0
    recovery_seconds: float = 60.0
    half_open_probes: int = 3


class CircuitBreaker:
    """Admits or holds back attempts at one backend, by what its last attempts came to."""

    def __init__(self, options: BreakerOptions, chance: Chance) -> None:
        self.options, self._chance = options, chance
        self.state = BreakerState.CLOSED
        self.reason = ""
        self.generation = 0
        self.trips = 0
        self.reopens_at = 0.0
        self.changed_at = 0.0
        self._results: deque[tuple[float, bool, bool]] = deque()
        self._failures = self._slow = self._run = 0
        self._probes = self._probes_passed = 0
        self.held_open = self.refused = False

    def allows(self, now: float) -> bool:
        """Would `admit` give a permit at this instant? Changes nothing."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            return not self.held_open and now >= self.reopens_at
        return self._probes + self._probes_passed < self.options.half_open_probes

    def admit(self, now: float) -> Permit | None:
        """Take a permit, which must be recorded once, or None. In half-open state it is one of the few probes."""
        if self.state is BreakerState.CLOSED:
            return self.generation
        if not self.allows(now):
            return None
        if self.state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN, "probing", now)
        self._probes += 1
        return self.generation

    def admit_anyway(self) -> Permit:
        """A permit whose result will not count: for panic, when nobody healthy is left."""
        return -1

    def succeeded(self, permit: Permit, seconds: float, now: float) -> None:
        """The attempt behind this permit answered, in so many seconds."""
        if permit != self.generation:
            return
        if self.state is BreakerState.HALF_OPEN:
            self._probes -= 1
            self._probes_passed += 1
            if self._probes_passed >= self.options.half_open_probes:
                self.close(now, "probes succeeded")
            return
        self._run = 0
        self._note(now, failed=False, slow=seconds >= self.options.slow_seconds)

    def failed(self, permit: Permit, now: float, why: str = "failures") -> None:
        """The attempt behind this permit failed through the backend's fault."""
        if permit != self.generation:
            return
        if self.state is BreakerState.HALF_OPEN:
            self._trip(now, f"a probe failed: {why}")
            return
        self._run += 1
        self._note(now, failed=True, slow=False)

    def forgotten(self, permit: Permit) -> None:
        """The attempt says nothing about the backend (cancelled, caller's fault): a probe gives its place back."""
        if permit == self.generation and self.state is BreakerState.HALF_OPEN:
            self._probes -= 1

    def open(self, now: float, reason: str, seconds: float | None = None) -> None:
        """Open for so many seconds, or until `close` when None."""
        self.held_open, self.refused = seconds is None, False
        self._enter(BreakerState.OPEN, reason, now)
        self.reopens_at = now + (seconds or 0.0)

    def refuse(self, now: float, reason: str, seconds: float) -> None:
        """The upstream refused our key or quota: open for so many seconds, and not to be overridden by panic."""
        self.open(now, reason, seconds)
        self.refused = True

    def close(self, now: float, reason: str = "closed by hand") -> None:
        """Trust the backend again, with a clean record."""
        self.trips, self.held_open, self.refused = 0, False, False
        self._enter(BreakerState.CLOSED, reason, now)

    def seconds_until_probe(self, now: float) -> float:
        """How long until the next probe may be admitted: 0 unless open."""
        return max(0.0, self.reopens_at - now) if self.state is BreakerState.OPEN else 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Calls, failures, slow calls in the window; run of failures; trips since it was last closed."""
        calls = len(self._results)
        return {"calls": calls, "failures": self._failures, "slow": self._slow, "run": self._run, "trips": self.trips}

    def _note(self, now: float, *, failed: bool, slow: bool) -> None:
        results = self._results
        results.append((now, failed, slow))
        self._failures += failed
        self._slow += slow
        oldest = now - self.options.window_seconds
        while len(results) > self.options.window_calls or results[0][0] < oldest:
            _, was_failed, was_slow = results.popleft()
            self._failures -= was_failed
            self._slow -= was_slow
        if failed or slow:
            self._judge(now)

    def _judge(self, now: float) -> None:
        options, calls = self.options, len(self._results)
        if not options.enabled:
            return
        if self._run >= options.failure_threshold:
            self._trip(now, f"{self._run} failures in a row")
        elif calls >= options.minimum_calls and self._failures >= options.failure_rate * calls:
            self._trip(now, f"{self._failures} of the last {calls} failed")
        elif calls >= options.minimum_calls and self._slow >= options.slow_rate * calls:
            self._trip(now, f"{self._slow} of the last {calls} were slow")

    def _trip(self, now: float, reason: str) -> None:
        """Repeated trips wait longer, with jitter so that many gateways do not probe at once."""
        self.trips += 1
        growth = min(2.0 ** (self.trips - 1), RECOVERY_GROWTH_CAP)
        self.open(now, reason, self.options.recovery_seconds * growth * self._chance.uniform(0.8, 1.2))

    def _enter(self, state: BreakerState, reason: str, now: float) -> None:
        self.state, self.reason, self.changed_at = state, reason, now
        self.generation += 1
        self._results.clear()
        self._failures = self._slow = self._run = 0
        self._probes = self._probes_passed = 0

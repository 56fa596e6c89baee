"""A circuit breaker: stop asking a backend that fails, probe it with a bounded number of requests, then trust it again.

    CLOSED --trip--> OPEN --recovery time over--> HALF_OPEN --all probes succeed--> CLOSED
                      ^------------- a probe fails -----|

Three things decide (resilience4j's windows with Envoy's consecutive failures beside them): the last 100 results, none
older than 60 s, the pace of the last 50 answers, and a run of failures, which may be the shorter the clearer its cause.
Every change of state begins a new generation; a permit of an older generation says nothing about the present one, so it
is ignored (gobreaker, Polly).
"""

from __future__ import annotations

import enum
from collections import deque
from itertools import islice
from typing import TypeAlias

import msgspec

from equipoise.core.model import Chance, Outcome

Permit: TypeAlias = int
RECOVERY_GROWTH_CAP = 8.0
FORGIVEN_AFTER = 10.0
"""Recovery times that a closed breaker must have stayed closed for its earlier trips to be forgotten."""
RECENT = 20
PACES, RECENT_PACES = 50, 10
SHORTEST_RUN = 2
TIMEOUTS_IN_A_ROW = 3


class BreakerState(enum.StrEnum):
    """The value of each state is the specification's; `gauge` is its number in Prometheus."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"

    @property
    def gauge(self) -> int:
        """0 closed, 1 half-open, 2 open."""
        return ("closed", "half_open", "open").index(self.value)


# Named once: CPython 3.11 takes eight times as long to look a member up at its enum as a name.
CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


class Cause(enum.StrEnum):
    """Why an attempt failed, as far as it changes what is made of it: the specification's two, and the rest."""

    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    OTHER = "other"


STRIKES = {Cause.TIMEOUT: 2, Cause.SERVER_ERROR: 1, Cause.OTHER: 0}
"""By how much a run of two or more of a cause lowers the threshold."""
LONGER = {Cause.TIMEOUT: 2.0, Cause.SERVER_ERROR: 1.5, Cause.OTHER: 1.0}
"""How much longer the recovery is when that ended the run."""


class BreakerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """When to trip and how to recover; rates are shares in [0, 1], times seconds.

    An answer is slow from `slow_pace` times the usual time on. `slow_alone` trips for slowness without looking at other
    backends; otherwise that is left to who knows them: where all are slow, opening one breaker after the other would
    turn a slow hour into an outage.
    """

    enabled: bool = True
    failure_threshold: int = 5
    failure_rate: float = 0.5
    slow_rate: float = 1.0
    slow_pace: float = 3.0
    slow_alone: bool = False
    minimum_calls: int = 10
    window_calls: int = 100
    window_seconds: float = 60.0
    recovery_seconds: float = 60.0
    half_open_probes: int = 3


class CircuitBreaker:
    """Admits or holds back attempts at one backend, by what its last attempts came to."""

    def __init__(self, options: BreakerOptions, chance: Chance) -> None:
        self.options, self._chance = options, chance
        self.state = CLOSED
        self.reason = ""
        self.generation = 0
        self.trips = 0
        self.reopens_at = 0.0
        self.changed_at = 0.0
        self._results: deque[tuple[float, bool, bool]] = deque()
        self._paces: deque[float] = deque(maxlen=PACES)
        self._failures = self._slow = self._run = 0
        self._causes: list[Cause] = []
        self._probes = self._probes_passed = 0
        self.held_open = self.refused = self.silent = self.slow = False

    def allows(self, now: float) -> bool:
        """Would `admit` give a permit at this instant? Changes nothing."""
        if self.state is CLOSED:
            return True
        if self.state is OPEN:
            return not self.held_open and now >= self.reopens_at
        return self._probes + self._probes_passed < self.options.half_open_probes or self._probes_hang(now)

    def due(self, now: float) -> BreakerState:
        """A free probe found it alive: it is open no longer than it has to be, though nobody asks it; returns what it was."""
        was = self.state
        if self.state is OPEN and self.allows(now):
            self._enter(HALF_OPEN, "may be tried again", now)
        return was

    def admit(self, now: float) -> Permit | None:
        """Take a permit, which must be recorded once, or None. In half-open state it is one of the few probes."""
        if self.state is CLOSED:
            return self.generation
        if not self.allows(now):
            return None
        if self.state is OPEN or self._probes_hang(now):
            self._enter(HALF_OPEN, "probing", now)
        self._probes += 1
        return self.generation

    def admit_anyway(self) -> Permit:
        """A permit whose result will not count: for panic, when nobody healthy is left."""
        return -1

    def succeeded(self, permit: Permit, pace: float, now: float) -> None:
        """The attempt behind this permit answered, in `pace` times the time that is usual or expected.

        A probe that is slow still passes: who answers is alive, and how slow it is the strategies weigh.
        """
        if permit != self.generation:
            return
        if self.state is HALF_OPEN:
            self._probes -= 1
            self._probes_passed += 1
            if self._probes_passed >= self.options.half_open_probes:
                self._closed(now, "probes succeeded")
            return
        if self._run:
            self._run = 0
            self._causes.clear()
        self._paces.append(pace)
        self._note(now, failed=False, slow=pace >= self.options.slow_pace)

    def failed(self, permit: Permit, now: float, why: str = "failures", cause: Cause = Cause.OTHER) -> None:
        """The attempt behind this permit failed through the backend's fault."""
        if permit != self.generation:
            return
        if self.state is HALF_OPEN:
            self._trip(now, f"a probe failed: {why}", cause)
            return
        self._run += 1
        self._causes.append(cause)
        self._note(now, failed=True, slow=False)

    def said_nothing(self, permit: Permit, now: float, *, gone_silent: bool) -> None:
        """The reply behind this permit answered nothing; `gone_silent` when that is more than its usual share.

        A breaker that was opened for silence takes an empty first probe for more of it.
        """
        still = self.silent and self.state is HALF_OPEN and not self._probes_passed
        if permit == self.generation and self.options.enabled and (gone_silent or still):
            self._trip(now, "its replies answer nothing")
            self.silent = True
        else:
            self.forgotten(permit)

    def eject(self, now: float, reason: str, *, slow: bool = False) -> None:
        """Open because others do better, for as long as after any trip."""
        self._trip(now, reason)
        self.slow = slow

    def forgotten(self, permit: Permit) -> None:
        """The attempt says nothing about the backend (cancelled, caller's fault): a probe gives its place back."""
        if permit == self.generation and self.state is HALF_OPEN:
            self._probes -= 1

    def open(self, now: float, reason: str, seconds: float | None = None) -> None:
        """Open for so many seconds, or until `close` when None."""
        self.held_open, self.refused, self.silent, self.slow = seconds is None, False, False, False
        self._enter(OPEN, reason, now)
        self.reopens_at = now + (seconds or 0.0)

    def refuse(self, now: float, reason: str, seconds: float) -> None:
        """The upstream refused our key or quota: open for so many seconds, and not to be overridden by panic."""
        self.open(now, reason, seconds)
        self.refused = True

    def hinted(self, now: float, reason: str, seconds: float, *, refused: bool) -> None:
        """Another process opened its breaker on evidence that is as good as ours; one that is not closed goes on."""
        if self.state is CLOSED and self.options.enabled:
            self.open(now, reason, seconds)
            self.refused = refused

    @property
    def believed_open(self) -> bool:
        """Is it open or probing by evidence, and not by an operator's word?"""
        return self.state is not CLOSED and not self.held_open

    def close(self, now: float, reason: str = "closed by hand") -> None:
        """Trust the backend again, with a clean record."""
        self.trips = 0
        self._closed(now, reason)

    def seconds_until_probe(self, now: float) -> float:
        """How long until the next probe may be admitted: 0 unless open."""
        return max(0.0, self.reopens_at - now) if self.state is OPEN else 0.0

    @property
    def results(self) -> tuple[int, int]:
        """Calls and failures in the window."""
        return len(self._results), self._failures

    @property
    def pace(self) -> float:
        """The mean pace of the last ten answers; 1.0 before there was any."""
        recent = list(islice(reversed(self._paces), RECENT_PACES))
        return sum(recent) / len(recent) if recent else 1.0

    @property
    def sluggish(self) -> bool:
        """Were its last ten answers slow, on the whole?"""
        paces, slow = self._paces, self.options.slow_pace
        return len(paces) >= RECENT_PACES and paces[-1] > slow and self.pace > slow

    @property
    def threshold(self) -> int:
        """Failures in a row that trip it now: two fewer after two timeouts, one fewer after two 5xx, two at the least."""
        run, options = self._causes, self.options
        causes = [cause for cause in (Cause.TIMEOUT, Cause.SERVER_ERROR) if run.count(cause) >= SHORTEST_RUN]
        lowered = options.failure_threshold - max((STRIKES[cause] for cause in causes), default=0)
        return max(lowered, min(SHORTEST_RUN, options.failure_threshold))

    @property
    def counts(self) -> dict[str, int]:
        """Calls, failures, slow calls in the window; run of failures; trips that are not yet forgiven."""
        calls = len(self._results)
        return {"calls": calls, "failures": self._failures, "slow": self._slow, "run": self._run, "trips": self.trips}

    def _note(self, now: float, *, failed: bool, slow: bool) -> None:
        results, options = self._results, self.options
        results.append((now, failed, slow))
        self._failures += failed
        self._slow += slow
        oldest = now - options.window_seconds
        while len(results) > options.window_calls or results[0][0] < oldest:
            _, was_failed, was_slow = results.popleft()
            self._failures -= was_failed
            self._slow -= was_slow
        if failed or slow:
            self._judge(now)

    def _judge(self, now: float) -> None:
        if self.options.enabled and (reason := self._grounds()):
            cause = self._causes[-1] if self._causes else Cause.OTHER
            slow = not self._causes
            self._trip(now, reason, cause)
            self.slow = slow

    def _grounds(self) -> str | None:
        """Why to trip now, if for anything."""
        options, calls = self.options, len(self._results)
        if self._causes[-TIMEOUTS_IN_A_ROW:] == [Cause.TIMEOUT] * TIMEOUTS_IN_A_ROW:
            return f"{TIMEOUTS_IN_A_ROW} timeouts in a row"
        if self._run >= self.threshold:
            return f"{self._run} failures in a row"
        if self._run and self._recently_failed() > RECENT / 2:
            return f"{self._recently_failed()} of the last {RECENT} failed"
        if calls >= options.minimum_calls and self._failures >= options.failure_rate * calls:
            return f"{self._failures} of the last {calls} failed"
        return self._slow_grounds() if options.slow_alone else None

    def _slow_grounds(self) -> str | None:
        options, calls = self.options, len(self._results)
        if calls >= options.minimum_calls and self._slow >= options.slow_rate * calls:
            return f"{self._slow} of the last {calls} were slow"
        if not self._run and self.sluggish:
            return f"the last {RECENT_PACES} answers took {self.pace:.1f} times the usual time"
        return None

    def _recently_failed(self) -> int:
        """How many of the last twenty failed; 0 while there are no twenty within the window."""
        if len(self._results) < RECENT:
            return 0
        return sum(failed for _, failed, _ in islice(reversed(self._results), RECENT))

    def _probes_hang(self, now: float) -> bool:
        """Half-open for a whole recovery time, probes without a verdict: others may try (resilience4j waits for ever)."""
        waited = now - self.changed_at >= self.options.recovery_seconds
        return self.state is HALF_OPEN and self._probes > 0 and waited

    def _trip(self, now: float, reason: str, cause: Cause = Cause.OTHER) -> None:
        """Repeated trips wait longer, with jitter so that many gateways do not probe at once."""
        recovery = self.options.recovery_seconds
        if self.state is CLOSED and now - self.changed_at > FORGIVEN_AFTER * recovery:
            self.trips = 0
        self.trips += 1
        growth = min(2.0 ** (self.trips - 1) * LONGER[cause], RECOVERY_GROWTH_CAP)
        self.open(now, reason, recovery * growth * self._chance.uniform(0.8, 1.2))

    def _closed(self, now: float, reason: str) -> None:
        self.held_open = self.refused = self.silent = self.slow = False
        self._enter(CLOSED, reason, now)

    def _enter(self, state: BreakerState, reason: str, now: float) -> None:
        self.state, self.reason, self.changed_at = state, reason, now
        self.generation += 1
        self._results.clear()
        self._paces.clear()
        self._causes.clear()
        self._failures = self._slow = self._run = 0
        self._probes = self._probes_passed = 0


def cause_of(outcome: Outcome) -> Cause:
    """What kind of failure an attempt came to."""
    if outcome.error_code == "upstream_timeout":
        return Cause.TIMEOUT
    return Cause.SERVER_ERROR if (outcome.status or 0) >= 500 else Cause.OTHER

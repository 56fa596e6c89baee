"""Limits of one backend: how many attempts at once, how many in a minute."""

from __future__ import annotations

from collections import deque

MINUTE = 60.0
SLOWER = 2.0


class ConcurrencyLimit:
    """How many attempts at once a backend takes before it slows down, learned by probing (AIMD on seconds per token).

    It grows by one per full round of answers while the backend keeps its pace and shrinks by a tenth when it slows
    down or throttles. `maximum` is a hard cap when the operator set one; the learned value only marks a backend as hot.
    """

    __slots__ = ("_best", "maximum", "value")

    def __init__(self, maximum: int | None, start: float = 16.0) -> None:
        self.maximum = maximum
        self.value = float(min(start, maximum or start))
        self._best = 0.0

    def answered(self, seconds_per_token: float, in_flight: int) -> None:
        """Adapt to the pace of an answer given while so many were in flight."""
        if seconds_per_token <= 0:
            return
        self._best = min(self._best * 1.001, seconds_per_token) if self._best else seconds_per_token
        if seconds_per_token > SLOWER * self._best and in_flight >= self.value / 2:
            self.overloaded()
        elif 2 * in_flight >= self.value:
            self.value = min(self.value + 1.0 / self.value, float(self.maximum or 10_000))

    def overloaded(self) -> None:
        """The backend throttled, timed out or slowed down: a tenth less, never below one."""
        self.value = max(1.0, self.value * 0.9)


class RateLimit:
    """At most `per_minute` admissions in any 60 seconds, exactly: the times of the last ones are kept."""

    __slots__ = ("_times", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._times: deque[float] = deque(maxlen=per_minute)

    def seconds_until_free(self, now: float) -> float:
        """0 when one more is allowed now, otherwise how long to wait."""
        if len(self._times) < self.per_minute:
            return 0.0
        return max(0.0, self._times[0] + MINUTE - now)

    def take(self, now: float) -> None:
        """Count one admission; ask `seconds_until_free` first."""
        self._times.append(now)

"""When a second backend is asked because the first is later than it nearly ever is (Dean and Barroso, The Tail at Scale).

Never when all are slow: then a second copy is more load and no less waiting. So the other backend must keep its own pace,
and of the attempts under way only few may be overdue.
"""

from __future__ import annotations

from collections.abc import Iterable

from equipoise.core.backend import Backend
from equipoise.core.model import NanoUSD
from equipoise.core.routing import HedgeOptions

HOUR = 3600.0
MOST_OVERDUE = 0.25
"""Share of the attempts under way at a backend that may be late before it counts as slow."""
MOST_LATE = 0.15
"""The same of all attempts together; 0.05 is what a 95th percentile makes of them when all is well."""
KEEPS_PACE = 2.0


class Hedges:
    """What second copies there may be on one route: a share of its questions and a sum of money, both as token buckets."""

    def __init__(self, options: HedgeOptions, now: float) -> None:
        self.options = options
        self._copies, self._money, self._at = 1.0, float(options.per_hour), now
        self._overdue: dict[str, int] = {}

    def asked(self) -> None:
        """A question came in."""
        self._copies = min(10.0, self._copies + self.options.share)

    def delay(self, backend: Backend, now: float, *, streamed: bool) -> float | None:
        """Seconds after which an attempt there is overdue: its own 95th percentile; None while that is not known."""
        return (backend.load.watch() if streamed else backend.load.durations).worst(now)

    def slow(self, backend: Backend) -> bool:
        """Is this backend no help: slow itself, or with many overdue?"""
        return self._late(backend) > MOST_OVERDUE * backend.load.in_flight or backend.breaker.pace > KEEPS_PACE

    def all_slow(self, backends: Iterable[Backend]) -> bool:
        """Are so many overdue everywhere that it is not one backend's trouble?"""
        late = running = 0
        for backend in backends:
            late += self._late(backend)
            running += backend.load.in_flight
        return late > 1 and late > MOST_LATE * running

    def _late(self, backend: Backend) -> int:
        return self._overdue.get(backend.id, 0)

    def overdue(self, backend: Backend, by: int) -> None:
        """One more (or one less) of its attempts is late."""
        self._overdue[backend.id] = max(0, self._overdue.get(backend.id, 0) + by)

    def take(self, cost: NanoUSD, now: float) -> bool:
        """May one more copy be sent, that is expected to cost so much? Takes both if so."""
        limit = self.options.per_hour
        self._money = min(float(limit), self._money + (now - self._at) * limit / HOUR)
        self._at = now
        if self._copies < 1.0 or self._money < cost:
            return False
        self._copies -= 1.0
        self._money -= cost
        return True

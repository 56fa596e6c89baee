"""Money for work of our own in any one hour: promised before it is spent, settled at what it cost."""

from __future__ import annotations

from collections import deque

from equipoise.core.model import Clock, NanoUSD

HOUR = 3600.0


class Allowance:
    """Money for the copies (or judgements) of any one hour. Each takes its part before it is asked and is settled at
    what it cost.

    A part is an equal share of what is left among those that may run at once, so promises never exceed the
    allowance; what an upstream bills beyond the expected cost counts against the rest of the hour.
    """

    def __init__(self, per_hour: NanoUSD, parallel: int, clock: Clock) -> None:
        self._per_hour, self._parallel, self._clock = per_hour, parallel, clock
        self._spent: deque[tuple[float, NanoUSD]] = deque()
        self._sum: NanoUSD = 0
        self._promised: NanoUSD = 0
        self._running = 0

    def take(self) -> NanoUSD:
        """The most that one more may be expected to cost; 0 when nothing is left."""
        self._forget()
        free = self._parallel - self._running
        part = max(0, self._per_hour - self._sum - self._promised) // max(1, free)
        if part:
            self._running += 1
            self._promised += part
        return part

    def settle(self, part: NanoUSD, cost: NanoUSD) -> None:
        """One is over."""
        self._running -= 1
        self._promised -= part
        self._sum += cost
        self._spent.append((self._clock.monotonic(), cost))

    @property
    def spent(self) -> NanoUSD:
        """What those of the last hour cost."""
        self._forget()
        return self._sum

    def _forget(self) -> None:
        since = self._clock.monotonic() - HOUR
        while self._spent and self._spent[0][0] <= since:
            self._sum -= self._spent.popleft()[1]

"""The pauses between the pieces of a stream, counted as it runs."""

from __future__ import annotations

from bisect import bisect_left

import msgspec

# Upper bounds in seconds. A piece of an answer comes every few to a hundred milliseconds; a pause of seconds is a stall.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
NANO = 1_000_000_000


class Gaps(msgspec.Struct, gc=False):
    """How many pauses fell under which bound (the last count is for those above all), since the first piece came.

    `first` and `last` are monotonic seconds.
    """

    first: float
    last: float
    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def came(self, now: float) -> None:
        """Another piece; counts the pause before it."""
        self.counts[bisect_left(BOUNDS, now - self.last)] += 1
        self.last = now

    @property
    def sum(self) -> int:
        """All pauses in nanoseconds."""
        return int((self.last - self.first) * NANO)

"""A rate that is kept evenly: the generic cell rate algorithm (ITU-T I.371, as a virtual schedule).

One number of state: when the bucket would be empty again. Times are monotonic seconds.
"""

from __future__ import annotations

MINUTE = 60.0


class Rate:
    """So many units a minute, of which a whole minute's may come at once; `share` of them here, the rest elsewhere."""

    __slots__ = ("_full_at", "_interval", "per_minute", "share")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = self.share = per_minute
        self._interval = MINUTE / per_minute
        self._full_at = float("-inf")

    def take(self, units: int, now: float) -> float:
        """Take units and give 0.0, or take nothing and give the seconds until they may be had.

        More than a minute's worth is had when a whole minute's is.
        """
        if not self.share:
            return MINUTE
        due = max(self._full_at, now)
        wait = due + min(units, self.per_minute) * self._interval - MINUTE - now
        if wait > 1e-9:
            return wait
        self._full_at = due + units * self._interval
        return 0.0

    def correct(self, units: int, now: float) -> None:
        """So many more units were used than taken; fewer where negative."""
        if not self.share:
            return
        self._full_at = (
            max(self._full_at, now) + units * self._interval if units > 0 else self._full_at + units * self._interval
        )

    def spare(self, now: float) -> int:
        """Units of the share that are free."""
        return self.remaining(now) if self.share else 0

    def resize(self, share: int, now: float) -> None:
        """Hold so much of the rate from now on: what is taken away was free, what is added comes full."""
        left = (MINUTE - self.seconds_until_full(now)) / self._interval if self.share else 0.0
        left += share - self.share
        self.share, self._interval = share, MINUTE / share if share else MINUTE
        self._full_at = now + MINUTE - left * self._interval

    def use_up(self, now: float) -> None:
        """Take it that all of the share was used just now."""
        self._full_at = now + MINUTE

    def remaining(self, now: float) -> int:
        """Units that may come at once."""
        return max(0, int((MINUTE - self.seconds_until_full(now)) / self._interval + 1e-6))

    def seconds_until_full(self, now: float) -> float:
        """When all of a minute's units may come at once again."""
        return max(0.0, self._full_at - now)

"""When a worker that ended is started again, and when that makes no sense any more."""

from __future__ import annotations

FIRST, LONGEST = 0.1, 30.0
SOUND_SECONDS = 60.0
LIMIT = 6


class Backoff:
    """One worker's ends: the first is followed by a start at once, a row of them by ever longer pauses.

    A row is over when a worker has run for a minute. From the sixth on it is a loop.
    """

    def __init__(self) -> None:
        self.row = 0

    def ended(self, ran: float) -> float:
        """It ended after so many seconds; gives the seconds to wait."""
        self.row = 1 if ran >= SOUND_SECONDS else self.row + 1
        return min(LONGEST, FIRST * 2.0 ** (2 * (self.row - 1)))

    @property
    def looping(self) -> bool:
        """Does it end again and again?"""
        return self.row >= LIMIT

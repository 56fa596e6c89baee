"""The stretch of time a budget is for: rolling, or between bounds that the edge takes from a calendar; or all of time."""

from __future__ import annotations

import math
from collections.abc import Callable

SLOTS = 24
"""Parts of a calendar window: enough to see the shape of a day."""
ROLLING_SLOTS = 60
"""Parts of a rolling window; an amount leaves it when its whole part is older than the window."""
Bounds = Callable[[float], tuple[float, float]]
"""From an instant to the beginning and the end of the calendar window it lies in."""


class Window:
    """Cuts time (Unix seconds) into periods, numbered so that all that count are at or above `since`.

    With `length` seconds it rolls. With `bounds` it follows a calendar. With neither it never ends.
    """

    __slots__ = ("_bounds", "ends", "length", "starts", "width")

    def __init__(self, *, length: float = 0.0, bounds: Bounds | None = None) -> None:
        self.length, self._bounds = length, bounds
        self.starts, self.ends = 0.0, math.inf
        self.width = length / ROLLING_SLOTS if length else math.inf
        if bounds is not None:
            self.ends = -math.inf

    def turn(self, wall: float) -> None:
        """Move on to the calendar window of this instant, if the present one is over."""
        if wall >= self.ends and self._bounds is not None:
            self.starts, self.ends = self._bounds(wall)
            self.width = (self.ends - self.starts) / SLOTS

    @property
    def rolls(self) -> bool:
        """Is it of the rolling kind?"""
        return self.length > 0

    def slot(self, wall: float) -> tuple[int, float]:
        """The period an instant falls in, and when the next begins; calendar periods go by the second they begin."""
        self.turn(wall)
        if math.isinf(self.width):
            return 0, math.inf
        number = math.floor((wall - self.starts) / self.width)
        if self.rolls:
            return number, (number + 1) * self.width
        return math.floor(self.starts + number * self.width), self.starts + (number + 1) * self.width

    def since(self, wall: float) -> int:
        """The first period that counts."""
        self.turn(wall)
        return math.floor((wall - self.length) / self.width) if self.rolls else math.floor(self.starts)

    def began(self, wall: float) -> float:
        """The first instant that counts: what is of the same part as it counts too."""
        self.turn(wall)
        return self.since(wall) * self.width if self.rolls else self.starts

    def keep(self, wall: float) -> int:
        """The first period worth remembering: one window back, for the shape of its day."""
        if self.rolls or math.isinf(self.ends):
            return self.since(wall)
        return math.floor(self.starts - 1.2 * (self.ends - self.starts))  # months differ in length

    def over(self, then: float, now: float) -> bool:
        """Has anything fallen out of the window between the two?"""
        return self.since(then) != self.since(now) if self.rolls else then < self.began(now)

    def renews_at(self, oldest: int, wall: float) -> float | None:
        """When the budget is whole again or (rolling) the oldest period leaves it; None when it never is."""
        self.turn(wall)
        if not self.rolls:
            return None if math.isinf(self.ends) else self.ends
        return (oldest + 1) * self.width + self.length

"""Time that jumps from one thing that happens to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable

BEGINNING = 1_790_000_000.0
"""Unix seconds of a simulation's start: midnight UTC plus some hours, the same in every run."""


class VirtualClock:
    """A clock and a list of what is to happen; both the core's Clock and the simulation's loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        """Seconds from the start."""
        return self.now

    def wall(self) -> float:
        """The same as Unix seconds."""
        return BEGINNING + self.now

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen then; what is due at the same instant happens in the order in which it was said."""
        self._count += 1
        heapq.heappush(self._due, (when, self._count, what))

    def step(self) -> bool:
        """Jump to the next thing and let it happen; False when nothing is to come."""
        if not self._due:
            return False
        when, _, what = heapq.heappop(self._due)
        self.now = max(self.now, when)
        what()
        return True

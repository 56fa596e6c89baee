"""A deadline that is moved far more often than it is met."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

NEVER: Final = float("inf")


class Deadline:
    """Calls back once `at` has passed. Moving it later is one assignment: the timer re-arms itself when it wakes early.

    So a kept-alive connection costs one timer per timeout, not one per request (`call_later` 0.9 µs, `wait_for` 7 µs).
    Times are those of `loop.time()`.
    """

    __slots__ = ("_armed", "_expired", "_loop", "_timer", "at")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop, self._expired = loop, expired
        self._timer: asyncio.TimerHandle | None = None
        self._armed = self.at = NEVER

    def set(self, at: float) -> None:
        """Move the deadline to `at`."""
        self.at = at
        if at < self._armed:
            self._arm()

    def cancel(self) -> None:
        """Never call back, and let go of the callback's owner."""
        self.at = self._armed = NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = self.at
        self._timer = self._loop.call_at(self.at, self._wake)

    def _wake(self) -> None:
        self._timer, self._armed = None, NEVER
        if self.at == NEVER:
            return
        # uvloop rounds to milliseconds: a timer may wake a little before its time
        if self._loop.time() + 0.001 >= self.at:
            self.at = NEVER
            self._expired()
        else:
            self._arm()

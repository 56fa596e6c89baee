"""An event loop that jumps: where nothing is ready it is at once the time of the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class JumpingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Waits by moving its loop's clock; raises RuntimeError where nothing would ever happen again."""

    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("everybody waits and nothing will ever happen")
            self.loop.now += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """Virtual seconds, from 0."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class LoopClock:
    """The clock of such a loop; the wall may be set back, as clocks are."""

    def __init__(self, loop: JumpingLoop) -> None:
        self.loop, self.wall_offset = loop, 1_790_000_000.0

    def monotonic(self) -> float:
        return self.loop.now

    def wall(self) -> float:
        return self.wall_offset + self.loop.now


def jumping(story: Coroutine[Any, Any, T], loop: JumpingLoop) -> T:
    """Run a story to its end."""
    try:
        return loop.run_until_complete(story)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

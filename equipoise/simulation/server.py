"""One modelled upstream: slots that write answers, a queue behind them, and faults that begin and end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from equipoise.core.model import Chance
from equipoise.simulation.clock import VirtualClock
from equipoise.simulation.shapes import Shape

AT_ONCE = 0.05
"""Seconds in which a failing upstream says so."""


class Result(msgspec.Struct, frozen=True):
    """What an upstream answered: tokens and the instant of the first, or why not (`refused`, `failing`, `throttling`)."""

    tokens: int = 0
    first_token: float = 0.0
    trouble: str | None = None


class Server:
    """So many answers at once, first come first served. Quality is a mean, by kind of question."""

    def __init__(
        self, shape: Shape, slots: int, quality: Mapping[str, float], clock: VirtualClock, chance: Chance
    ) -> None:
        self.shape, self.slots, self.quality = shape, slots, quality
        self._clock, self._chance = clock, chance
        self._busy, self._waiting = 0, deque[tuple[int, Callable[[Result], None]]]()
        self.slower, self.trouble = 1.0, ""

    def ask(self, tokens: int, answered: Callable[[Result], None]) -> None:
        """Take a question whose answer has about so many tokens; `answered` is called once, or never while it hangs."""
        match self.trouble:
            case "hanging":
                return
            case "down" | "failing" | "throttling" as trouble:
                self._soon(Result(trouble=trouble), answered)
            case _ if self._chance.random() < self.shape.failure_rate:
                self._soon(Result(trouble="failing"), answered)
            case _:
                self._take(tokens, answered)

    def quality_of(self, kind: str) -> float:
        """The quality of one answer: 0 or 1 with this kind's mean, as a judge of right and wrong would have it."""
        return float(self._chance.random() < self.quality.get(kind, self.quality.get("", 0.0)))

    def _soon(self, result: Result, answered: Callable[[Result], None]) -> None:
        wait = 0.0 if result.trouble == "down" else AT_ONCE
        self._clock.at(self._clock.now + wait, lambda: answered(result))

    def _take(self, tokens: int, answered: Callable[[Result], None]) -> None:
        if self._busy >= self.slots:
            self._waiting.append((tokens, answered))
            return
        self._busy += 1
        head, pace, length = self.shape.draw(self._chance, tokens)
        first = self._clock.now + head * self.slower
        result = Result(length, first)
        self._clock.at(first + length * pace * self.slower, lambda: self._finish(result, answered))

    def _finish(self, result: Result, answered: Callable[[Result], None]) -> None:
        self._busy -= 1
        answered(result)
        if self._waiting:
            self._take(*self._waiting.popleft())

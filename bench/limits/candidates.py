"""Other ways to learn how many attempts at once a backend takes; each sees only numbers, as the one in the core does.

`answered(duration, tokens, in_flight)`: an answer came, with so many in flight when it ended. The originals: Netflix's concurrency-limits
(Gradient2, Vegas), TCP Reno for AIMD; all with a least
limit of 1 instead of their 20.
"""

from __future__ import annotations

import math
from typing import Protocol

from equipoise.core.limit import HEAD_TOKENS

DRIFT = 1.001


class Limit(Protocol):
    value: float

    def answered(self, duration: float, tokens: int, in_flight: int) -> None: ...


class Fixed:
    """What an operator would write who knows nothing."""

    def __init__(self, value: float = 16.0) -> None:
        self.value = value

    def answered(self, duration: float, tokens: int, in_flight: int) -> None:
        return None


class Everything(Fixed):
    """No limit at all."""

    def __init__(self) -> None:
        super().__init__(1e9)


class Paced:
    """Seconds per token beside the best seen, as the core's limit has it."""

    def __init__(self, start: float = 16.0) -> None:
        self.value, self._best = start, 0.0

    def pace(self, duration: float, tokens: int) -> float:
        """1.0 at the best."""
        seconds = duration / (tokens + HEAD_TOKENS)
        self._best = min(self._best * DRIFT, seconds) if self._best else seconds
        return seconds / self._best


class SingleAIMD(Paced):
    """One more a round of answers, a tenth less after each that is slow beside the best single one."""

    def answered(self, duration: float, tokens: int, in_flight: int) -> None:
        pace = self.pace(duration, tokens)
        if 2 * in_flight < self.value:
            return
        self.value = max(1.0, self.value * 0.9) if pace > 2.0 else self.value + 1.0 / self.value


class RoundAIMD(Paced):
    """One more a round of answers, a fifth less after a slow one, but once a round only."""

    _wait = 0

    def answered(self, duration: float, tokens: int, in_flight: int) -> None:
        pace = self.pace(duration, tokens)
        self._wait -= 1
        if 2 * in_flight < self.value:
            return
        if pace <= 2.0:
            self.value += 1.0 / self.value
        elif self._wait <= 0:
            self.value, self._wait = max(1.0, self.value * 0.8), in_flight


class Gradient2(Paced):
    """Netflix's: the limit follows the ratio of the long to the short average of the pace, plus room for a queue."""

    def __init__(self, start: float = 16.0, queue: float = 4.0) -> None:
        super().__init__(start)
        self._queue = queue
        self._short = self._long = 1.0

    def answered(self, duration: float, tokens: int, in_flight: int) -> None:
        pace = self.pace(duration, tokens)
        self._short += (pace - self._short) / 10
        self._long += (pace - self._long) / 600
        if self._long > 2 * self._short:
            self._long *= 0.95
        if in_flight < self.value / 2:
            return
        gradient = max(0.5, min(1.0, 1.5 * self._long / self._short))
        self.value = max(1.0, 0.8 * self.value + 0.2 * (self.value * gradient + min(self._queue, self.value)))


class Vegas(Paced):
    """Netflix's: an estimate of the queue from the pace; few in it ask for more, many for less."""

    def __init__(self, start: float = 16.0) -> None:
        super().__init__(start)
        self._short = 1.0

    def answered(self, duration: float, tokens: int, in_flight: int) -> None:
        pace = self.pace(duration, tokens)
        self._short += (pace - self._short) / 10
        if in_flight < self.value / 2:
            return
        queue = math.ceil(self.value * (1.0 - 1.0 / max(self._short, 1.0)))
        step = max(1.0, math.log10(max(self.value, 1.0)))
        if queue <= 3 * step:
            self.value += step / self.value
        elif queue >= 6 * step:
            self.value = max(1.0, self.value - step / self.value)

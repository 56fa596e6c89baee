"""From values to places, and where the marks of an axis stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

TOPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Round numbers for the end of an axis, and for the distance of its marks."""
TIME_STEPS = (5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0, 604_800.0, 1_209_600.0, 2_592_000.0)  # fmt: skip


class Scale(msgspec.Struct, frozen=True):
    """A straight line from [low, high] to [start, end] on the paper; values beyond are put at the edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth of a unit."""
        span = self.high - self.low
        share = 0.0 if span <= 0 or not math.isfinite(value) else min(1.0, max(0.0, (value - self.low) / span))
        return round(self.start + share * (self.end - self.start), 1)


def top_of(values: Iterable[float | None], least: float = 0.0) -> float:
    """A round number at or above all values, and above zero."""
    largest = max([least, *(value for value in values if value is not None and math.isfinite(value))])
    return ceiling(largest) if largest > 0 else 1.0


def ceiling(value: float, rounds: Sequence[float] = TOPS) -> float:
    """The smallest of these times a power of ten that is no smaller. For values above zero."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in rounds if step * power >= value * (1 - 1e-9)), 10.0 * power)


def ticks(high: float, low: float = 0.0, most: int = 5) -> list[float]:
    """Round values from low to high, at most so many and one."""
    if not high > low:
        return [low]
    step = ceiling((high - low) / most, STEPS)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(begin: float, end: float, most: int = 6) -> list[float]:
    """Moments at whole minutes, hours or days (UTC)."""
    step = next((step for step in TIME_STEPS if (end - begin) / step <= most), TIME_STEPS[-1])
    first = math.ceil(begin / step)
    return [n * step for n in range(first, math.floor(end / step) + 1)][: 4 * most]

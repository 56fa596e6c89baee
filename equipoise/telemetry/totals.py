"""Running sums in plain integers: adding costs little, and the sums of several processes add up exactly."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, TypeVar, cast

import msgspec

# Upper bounds in seconds. Answers take from 50 ms (a cache upstream) to minutes (deep research), a decision microseconds.
ANSWER_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
DECISION_BOUNDS = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05)

NANO = 1_000_000_000


class Histogram(msgspec.Struct):
    """How many values fell under which bound (the last count is for those above all), and their sum in nanoseconds."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum: int = 0

    @classmethod
    def under(cls, bounds: tuple[float, ...]) -> Histogram:
        """An empty one."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def add(self, seconds: float) -> None:
        """Count one value; a bound belongs to the values under it, as Prometheus has it."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += int(seconds * NANO)


def _answers() -> Histogram:
    return Histogram.under(ANSWER_BOUNDS)


class BackendTotals(msgspec.Struct):
    """All attempts at one backend since the start; `cost` in nano-dollars."""

    verdicts: dict[str, int] = {}
    duration: Histogram = msgspec.field(default_factory=_answers)
    first_token: Histogram = msgspec.field(default_factory=_answers)
    cost: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    citation_tokens: int = 0
    interruptions: int = 0
    changes: dict[str, int] = {}


class Totals(msgspec.Struct):
    """Everything counted: by backend, by strategy, and for requests as clients saw them."""

    backends: dict[str, BackendTotals] = {}
    decisions: dict[str, Histogram] = {}
    statuses: dict[int, int] = {}
    duration: Histogram = msgspec.field(default_factory=_answers)
    retries: int = 0
    nobody: int = 0
    late: int = 0


class Gauges(msgspec.Struct):
    """How one backend is at this moment; `breaker` is 0 closed, 1 half-open, 2 open."""

    health: float
    breaker: int
    in_flight: int

    def beside(self, other: Gauges) -> Gauges:
        """The same backend as two processes see it: the worse of both, and the work of both."""
        worse = min(self.health, other.health), max(self.breaker, other.breaker)
        return Gauges(*worse, self.in_flight + other.in_flight)


class LedgerCounts(msgspec.Struct):
    """What became of the records; `unwell` counts processes whose ledger cannot be written."""

    written: int
    pending: int
    dropped: int
    dropped_cost: int
    unwell: int


class Snapshot(msgspec.Struct):
    """What one process knows, or several together: plain data, to be sent with msgspec."""

    totals: Totals
    gauges: dict[str, Gauges] = {}
    ledger: LedgerCounts | None = None


T = TypeVar("T")


def together(one: T, other: T) -> T:
    """The sum of two snapshots (or of any two of the same parts), exact to the last event; neither is changed."""
    return cast(T, _together(one, other))


def _together(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Gauges):
        return one.beside(other)
    if isinstance(one, msgspec.Struct):
        return type(one)(*(_together(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__))
    if isinstance(one, dict):
        return one | other | {key: _together(one[key], other[key]) for key in one.keys() & other.keys()}
    if isinstance(one, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    return one if isinstance(one, tuple) else one + other

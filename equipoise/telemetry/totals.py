"""Running sums in plain integers: adding costs little, and the sums of several processes add up exactly."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, TypeVar, cast

import msgspec

from equipoise.core.gaps import BOUNDS as GAP_BOUNDS

# Upper bounds in seconds. Answers take from 50 ms (a cache upstream) to minutes (deep research), a decision microseconds.
ANSWER_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
DECISION_BOUNDS = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05)

OVERHEAD_BOUNDS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5)
QUALITY_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

NANO = 1_000_000_000


T = TypeVar("T")
P = TypeVar("P", bound="Present")


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


def _gaps() -> Histogram:
    return Histogram.under(GAP_BOUNDS)


def _overheads() -> Histogram:
    return Histogram.under(OVERHEAD_BOUNDS)


class BackendTotals(msgspec.Struct):
    """All attempts at one backend since the start; `cost` in nano-dollars."""

    verdicts: dict[str, int] = {}
    duration: Histogram = msgspec.field(default_factory=_answers)
    first_token: Histogram = msgspec.field(default_factory=_answers)
    cost: int = 0
    unpriced: int = 0
    disputed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    citation_tokens: int = 0
    interruptions: int = 0
    changes: dict[str, int] = {}
    ejections: int = 0
    hedges: int = 0
    gaps: Histogram = msgspec.field(default_factory=_gaps)
    quality: dict[str, Histogram] = {}


class Totals(msgspec.Struct):
    """Everything counted: by backend, by strategy, and for requests as clients saw them."""

    backends: dict[str, BackendTotals] = {}
    decisions: dict[str, Histogram] = {}
    statuses: dict[int, int] = {}
    duration: Histogram = msgspec.field(default_factory=_answers)
    retries: int = 0
    nobody: int = 0
    late: int = 0
    overhead: Histogram = msgspec.field(default_factory=_overheads)
    cache: dict[str, int] = {}
    cache_saved: int = 0
    canary_verdicts: dict[str, dict[str, int]] = {}


class Present(msgspec.Struct):
    """Something as it is now, no sum: two processes that see it are put beside each other."""

    def beside(self: P, other: P) -> P:
        """What both together know."""
        raise NotImplementedError


class Gauges(Present):
    """How one backend is at this moment; `breaker` is 0 closed, 1 half-open, 2 open."""

    health: float
    breaker: int
    in_flight: int

    def beside(self, other: Gauges) -> Gauges:
        """The same backend as two processes see it: the worse of both, and the work of both."""
        worse = min(self.health, other.health), max(self.breaker, other.breaker)
        return Gauges(*worse, self.in_flight + other.in_flight)


class BudgetGauges(Present):
    """One budget in its unit; `spent` and `held` (slices) over all processes, `reserved` by this one; `exhausted_at` (Unix seconds) is the
    forecast where there is one."""

    unit: str
    spent: int
    reserved: int
    held: int
    limit: int
    exhausted_at: float | None = None

    def beside(self, other: BudgetGauges) -> BudgetGauges:
        """Whoever looked last knows more was spent; each has reserved its own."""
        known = [at for at in (self.exhausted_at, other.exhausted_at) if at is not None]
        spent, limit = max(self.spent, other.spent), max(self.limit, other.limit)
        held = max(self.held, other.held)
        return BudgetGauges(self.unit, spent, self.reserved + other.reserved, held, limit, min(known, default=None))


class CanaryGauges(Present):
    """Where a canary stands, in per cent, and on what evidence, as of `wall`."""

    percentage: float
    evidence: dict[str, float]
    wall: float

    def beside(self, other: CanaryGauges) -> CanaryGauges:
        """The newer of both."""
        return self if self.wall >= other.wall else other


class Estimate(Present):
    """A number that two processes estimate each for itself."""

    value: float

    def beside(self, other: Estimate) -> Estimate:
        """Between both."""
        return Estimate((self.value + other.value) / 2)


class LedgerCounts(msgspec.Struct):
    """What became of the records; `unwell` counts processes whose ledger cannot be written, `away` those whose records
    wait on their machine (`queued`, and their bytes) for a server."""

    written: int
    pending: int
    dropped: int
    dropped_cost: int
    unwell: int
    queued: int = 0
    queued_bytes: int = 0
    away: int = 0


class LinkCounts(msgspec.Struct):
    """What came of asking Redis; `unwell` counts processes that do not get to it now."""

    unwell: int
    failures: int
    skipped: int
    outages: int


class QueueCounts(msgspec.Struct):
    """Questions that wait for a place at a backend, and how many were turned away because too many did."""

    waiting: int
    turned_away: int


class WorkerCounts(msgspec.Struct):
    """How many processes share the port: wanted, answering now, and how often one had to be started again."""

    wanted: int
    ready: int
    restarts: int


class Snapshot(msgspec.Struct):
    """What one process knows, or several together: plain data, to be sent with msgspec."""

    totals: Totals
    gauges: dict[str, Gauges] = {}
    ledger: LedgerCounts | None = None
    budgets: dict[str, BudgetGauges] = {}
    canaries: dict[str, CanaryGauges] = {}
    learned: dict[str, dict[str, dict[str, Estimate]]] = {}
    efficiency: Estimate | None = None
    hooks: dict[str, dict[str, int]] = {}
    queue: QueueCounts | None = None
    workers: WorkerCounts | None = None
    link: LinkCounts | None = None


def together(one: T, other: T) -> T:
    """The sum of two snapshots (or of any two of the same parts), exact to the last event; neither is changed."""
    return cast(T, _together(one, other))


def _together(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Present):
        return one.beside(other)
    if isinstance(one, msgspec.Struct):
        return type(one)(*(_together(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__))
    if isinstance(one, dict):
        return one | other | {key: _together(one[key], other[key]) for key in one.keys() & other.keys()}
    if isinstance(one, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    return one if isinstance(one, tuple) else one + other


def lasting(snapshot: Snapshot) -> Snapshot:
    """What still counts of a process that has ended: sums, and nothing that was only so while it ran."""
    ledger, queue, link = snapshot.ledger, snapshot.queue, snapshot.link
    return Snapshot(
        snapshot.totals,
        ledger=None if ledger is None else LedgerCounts(ledger.written, 0, ledger.dropped, ledger.dropped_cost, 0),
        canaries=snapshot.canaries,
        hooks=snapshot.hooks,
        queue=None if queue is None else QueueCounts(0, queue.turned_away),
        link=None if link is None else msgspec.structs.replace(link, unwell=0),
    )


def kept_of_the_dead(retired: Snapshot, living: Snapshot) -> Snapshot:
    """Those sums of ended processes whose backends are still there (a removed one's series go with those of the living)."""
    known = living.totals.backends.keys() | living.gauges.keys()
    if not known:
        return retired
    backends = {name: of for name, of in retired.totals.backends.items() if name in known}
    totals = msgspec.structs.replace(retired.totals, backends=backends)
    return msgspec.structs.replace(retired, totals=totals)

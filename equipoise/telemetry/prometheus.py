"""Counts what happens and shows it in Prometheus' text form, under the specification's names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from operator import add
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from equipoise import __version__
from equipoise.core.events import (
    EJECTED,
    AnswerReused,
    AnswerScored,
    AttemptEnded,
    BackendChanged,
    CanaryDecided,
    Event,
    RequestEnded,
    hears,
)
from equipoise.core.gaps import Gaps
from equipoise.core.model import Attempt, CostSource, Verdict
from equipoise.telemetry.families import families
from equipoise.telemetry.learned import learned_families
from equipoise.telemetry.totals import (
    DECISION_BOUNDS,
    QUALITY_BOUNDS,
    BackendTotals,
    BudgetGauges,
    CanaryGauges,
    Estimate,
    Gauges,
    Histogram,
    LedgerCounts,
    LinkCounts,
    QueueCounts,
    Snapshot,
    Totals,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Labels come from the configuration, never from clients; these bounds hold even if that should fail one day.
MOST_BACKENDS = 2_000
MOST_STRATEGIES = 64
MOST_BUDGETS = MOST_LEARNED = 2_000
MOST_CANARIES = MOST_VERDICTS = 32
SOURCES = frozenset({"proxy", "judge", "feedback"})
CACHED = frozenset({"hit", "stale", "joined", "semantic", "miss", "bypass"})
HEDGE_LOST = "hedge_lost"
OTHER = "other"

# A removed backend's series stay this long, so that what was counted last is scraped, and then go.
LINGER_SECONDS = 600.0

_BREAKER = {"closed": 0, "half_open": 1, "half-open": 1, "open": 2}
_UNPRICED, _IGNORED = CostSource.UNPRICED, Verdict.IGNORED
Rows = Callable[[], Iterable[Mapping[str, Any]]]
Beliefs = Callable[[], Mapping[str, Mapping[str, Mapping[str, float]]]]


class LedgerHealth(Protocol):
    """What is shown of a ledger."""

    @property
    def ok(self) -> bool: ...
    @property
    def written(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def dropped_cost(self) -> int: ...
    @property
    def queued(self) -> int: ...
    @property
    def queued_bytes(self) -> int: ...
    @property
    def away(self) -> str | None: ...


class LinkHealth(Protocol):
    """What is shown of the way to Redis."""

    @property
    def well(self) -> bool: ...
    @property
    def failures(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def outages(self) -> int: ...


class Metrics:
    """Sums up events; told from one thread (the event loop's). Shown by `render`, or by `registry` to who pushes.

    `now` gives monotonic seconds; decisions that take longer than `late_seconds` are counted as late.
    """

    def __init__(
        self, version: str = __version__, now: Callable[[], float] = time.monotonic, *, late_seconds: float = 0.05
    ) -> None:
        self.totals = Totals()
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        self._version, self._now, self._late = version, now, late_seconds
        self._rows: Rows | None = None
        self._ledger: Callable[[], LedgerHealth] | None = None
        self._budgets: Rows | None = None
        self._efficiency: Callable[[], float | None] = lambda: None
        self._learning: Callable[[], Mapping[str, Any]] = dict
        self._absent: dict[str, float] = {}
        self._beliefs: Beliefs | None = None
        self._queue: Callable[[], Mapping[str, Any]] = dict
        self._hooks: Callable[[], dict[str, dict[str, int]]] = dict
        self._canaries: dict[str, CanaryGauges] = {}
        self._link: Callable[[], LinkHealth] | None = None

    def set_backend_gauges(self, rows: Rows) -> None:
        """Where to look at a scrape: rows with `id`, `health`, `in_flight` and `breaker` (a state, or a dict with one)."""
        self._rows = rows

    def set_ledger(self, health: Callable[[], LedgerHealth]) -> None:
        """Where to look for the ledger's own counts at a scrape."""
        self._ledger = health

    def set_link(self, health: Callable[[], LinkHealth] | None) -> None:
        """Where to look for how the way to Redis is, if there is one."""
        self._link = health

    def set_money(self, budgets: Rows, efficiency: Callable[[], float | None]) -> None:
        """Where to look at a scrape for the rows of the budgets, and for the cost efficiency."""
        self._budgets, self._efficiency = budgets, efficiency

    def set_learned(self, beliefs: Beliefs) -> None:
        """Where to look: route -> kind of question -> backend -> what is made of it."""
        self._beliefs = beliefs

    def set_queue(self, status: Callable[[], Mapping[str, Any]]) -> None:
        """Where to look: `waiting` and `turned_away`, where there is a queue."""
        self._queue = status

    def set_hooks(self, counts: Callable[[], dict[str, dict[str, int]]]) -> None:
        """Where to look: hook -> result -> how often."""
        self._hooks = counts

    def set_learning(self, status: Callable[[], Mapping[str, Any]]) -> None:
        """Where to look at a scrape for what is learned: a document like that of GET /admin/learning."""
        self._learning = status

    @hears(AttemptEnded, RequestEnded, BackendChanged, AnswerScored, AnswerReused, CanaryDecided)
    def observe(self, event: Event) -> None:
        """Count one event; those not known here are nothing to count."""
        kind = type(event)
        if kind is AttemptEnded:
            self._attempt(event.attempt)  # type: ignore[attr-defined]
        elif kind is RequestEnded:
            self._request(event)  # type: ignore[arg-type]
        elif kind is BackendChanged:
            self._changed(event)  # type: ignore[arg-type]
        elif kind is AnswerScored:
            self._scored(event)  # type: ignore[arg-type]
        elif kind is AnswerReused:
            self.totals.cache_saved += event.saved  # type: ignore[attr-defined]
        elif kind is CanaryDecided:
            self._canary(event)  # type: ignore[arg-type]

    def decided(self, strategy: str, seconds: float) -> None:
        """Count a decision whose question is sent later, or never."""
        (self.totals.decisions.get(strategy) or self._new_strategy(strategy)).add(seconds)
        self.totals.late += seconds > self._late

    def forget(self, backend_id: str) -> None:
        """Drop the series of a backend at once."""
        self.totals.backends.pop(backend_id, None)

    def snapshot(self) -> Snapshot:
        """Everything as plain data; `together` adds up those of several processes."""
        gauges = {} if self._rows is None else {str(row["id"]): _gauges_of(row) for row in self._rows()}
        if self._rows is not None:
            self._let_go(gauges)
        ledger = None if self._ledger is None else _counts_of(self._ledger())
        budgets = {} if self._budgets is None else _budgets_of(self._budgets())
        learned = {} if self._beliefs is None else _learned_of(self._beliefs())
        efficiency = None if (ratio := self._efficiency()) is None else Estimate(ratio)
        return Snapshot(
            self.totals,
            gauges,
            ledger,
            budgets,
            dict(self._canaries),
            learned,
            efficiency,
            self._hooks(),
            _queue_of(self._queue()),
            link=self._link_counts(),
        )

    def sums(self) -> Snapshot:
        """What only grows, without a look at anything: cheap enough to be told several times a second."""
        ledger = None if self._ledger is None else _counts_of(self._ledger())
        return Snapshot(self.totals, ledger=ledger, link=self._link_counts())

    def learned_now(self) -> dict[str, Any]:
        """The document of what is learned."""
        return dict(self._learning())

    def collect(self) -> Iterable[Metric]:
        """The metric families, for a registry."""
        yield from families(self.snapshot(), self._version)
        yield from learned_families(self._learning())

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def _attempt(self, attempt: Attempt) -> None:
        totals = self.totals
        outcome = attempt.outcome
        backend = totals.backends.get(attempt.backend_id) or self._new_backend(attempt.backend_id)
        verdict = outcome.verdict
        verdicts = backend.verdicts
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        backend.duration.add(outcome.duration)
        if outcome.first_token is not None:
            backend.first_token.add(outcome.first_token)
        backend.cost += outcome.cost
        if outcome.cost_source is _UNPRICED:
            backend.unpriced += 1
        if outcome.claimed_cost is not None:
            backend.disputed += 1
        if outcome.interrupted:
            backend.interruptions += 1
        if verdict is _IGNORED and outcome.error_code == HEDGE_LOST:
            backend.hedges += 1
        if outcome.gaps is not None:
            _count_gaps(backend.gaps, outcome.gaps)
        _count_tokens(backend, outcome.usage)
        decided = totals.decisions.get(attempt.decision.strategy) or self._new_strategy(attempt.decision.strategy)
        decided.add(attempt.decision_seconds)
        totals.late += attempt.decision_seconds > self._late

    def _request(self, ended: RequestEnded) -> None:
        totals = self.totals
        totals.statuses[ended.status] = totals.statuses.get(ended.status, 0) + 1
        totals.duration.add(ended.duration)
        if ended.attempts > 1:
            totals.retries += ended.attempts - 1
        if ended.error_code == "no_healthy_backend":
            totals.nobody += 1
        if ended.overhead is not None:
            totals.overhead.add(ended.overhead)
        if ended.cache in CACHED:
            totals.cache[ended.cache] = totals.cache.get(ended.cache, 0) + 1

    def _changed(self, event: BackendChanged) -> None:
        if event.state in _BREAKER:
            backend = self.totals.backends.get(event.backend_id) or self._new_backend(event.backend_id)
            backend.changes[event.state] = backend.changes.get(event.state, 0) + 1

        elif event.state == EJECTED:
            backend = self.totals.backends.get(event.backend_id) or self._new_backend(event.backend_id)
            backend.ejections += 1

    def _scored(self, event: AnswerScored) -> None:
        if event.source in SOURCES:
            backend = self.totals.backends.get(event.backend_id) or self._new_backend(event.backend_id)
            if event.source not in backend.quality:
                backend.quality[event.source] = Histogram.under(QUALITY_BOUNDS)
            backend.quality[event.source].add(event.quality)

    def _canary(self, event: CanaryDecided) -> None:
        name = event.canary if len(self._canaries) < MOST_CANARIES or event.canary in self._canaries else OTHER
        self._canaries[name] = CanaryGauges(event.share, dict(event.evidence), event.wall)
        verdicts = self.totals.canary_verdicts.setdefault(name, {})
        verdict = event.verdict if len(verdicts) < MOST_VERDICTS or event.verdict in verdicts else OTHER
        verdicts[verdict] = verdicts.get(verdict, 0) + 1

    def _new_backend(self, backend_id: str) -> BackendTotals:
        backends = self.totals.backends
        return backends.setdefault(backend_id if len(backends) < MOST_BACKENDS else OTHER, BackendTotals())

    def _new_strategy(self, strategy: str) -> Histogram:
        decisions = self.totals.decisions
        name = strategy if len(decisions) < MOST_STRATEGIES else OTHER
        return decisions.setdefault(name, Histogram.under(DECISION_BOUNDS))

    def _link_counts(self) -> LinkCounts | None:
        if self._link is None:
            return None
        health = self._link()
        return LinkCounts(0 if health.well else 1, health.failures, health.skipped, health.outages)

    def _let_go(self, present: Mapping[str, Gauges]) -> None:
        now = self._now()
        gone = self.totals.backends.keys() - present.keys() - {OTHER}
        self._absent = {name: self._absent.get(name, now) for name in gone}
        for name, since in self._absent.items():
            if now - since >= LINGER_SECONDS:
                self.forget(name)


def _count_tokens(backend: BackendTotals, usage: Any) -> None:
    backend.input_tokens += usage.input_tokens
    backend.output_tokens += usage.output_tokens
    if usage.cached_tokens:
        backend.cached_tokens += usage.cached_tokens
    if usage.reasoning_tokens:
        backend.reasoning_tokens += usage.reasoning_tokens
    if usage.citation_tokens:
        backend.citation_tokens += usage.citation_tokens


def _gauges_of(row: Mapping[str, Any]) -> Gauges:
    breaker = row["breaker"]
    state = breaker["state"] if isinstance(breaker, Mapping) else breaker
    return Gauges(float(row["health"]), _BREAKER[str(state)], int(row["in_flight"]))


def _count_gaps(histogram: Histogram, gaps: Gaps) -> None:
    histogram.counts = list(map(add, histogram.counts, gaps.counts))
    histogram.sum += gaps.sum


def _queue_of(status: Mapping[str, Any]) -> QueueCounts | None:
    return QueueCounts(int(status["waiting"]), int(status["turned_away"])) if "waiting" in status else None


def _budgets_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, BudgetGauges]:
    fields = ("unit", "spent", "reserved", "held", "limit", "exhausted_at")
    return {str(row["budget"]): BudgetGauges(*(row[name] for name in fields)) for row in islice(rows, MOST_BUDGETS)}


def _learned_of(beliefs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, dict[str, Estimate]]]:
    return {
        route: {
            kind: {name: Estimate(value) for name, value in islice(backends.items(), MOST_LEARNED)}
            for kind, backends in kinds.items()
        }
        for route, kinds in beliefs.items()
    }


def _counts_of(health: LedgerHealth) -> LedgerCounts:
    return LedgerCounts(
        health.written,
        health.pending,
        health.dropped,
        health.dropped_cost,
        0 if health.ok else 1,
        health.queued,
        health.queued_bytes,
        1 if health.away else 0,
    )


class _Shown:
    """A snapshot that came from elsewhere, as a collector."""

    def __init__(self, snapshot: Snapshot, learning: Mapping[str, Any]) -> None:
        self._snapshot, self._learning = snapshot, learning

    def collect(self) -> Iterable[Metric]:
        yield from families(self._snapshot, __version__)
        yield from learned_families(self._learning)


def rendered(snapshot: Snapshot, learning: Mapping[str, Any]) -> bytes:
    """The text that Prometheus scrapes, of a snapshot (the sum of several processes, say) and of what is learned."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(snapshot, learning))
    return generate_latest(registry)

"""A snapshot as Prometheus' metric families: integers inside, seconds and dollars outside."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from equipoise.telemetry.totals import (
    NANO,
    BackendTotals,
    BudgetGauges,
    Gauges,
    Histogram,
    LedgerCounts,
    LinkCounts,
    Snapshot,
    WorkerCounts,
)

T = TypeVar("T")
BACKEND, USD = ["backend_id"], "usd"
TOKEN_KINDS = ("input", "output", "cached", "reasoning", "citation")
Samples = Iterable[tuple[list[str], float]]
BUDGET_ROWS: Mapping[str, tuple[Callable[[BudgetGauges], int], str]] = {
    "lb_budget_limit": (
        lambda of: of.limit,
        "What may be spent in the window: dollars, requests or tokens, as `unit` says.",
    ),
    "lb_budget_spent": (lambda of: of.spent, "What was spent in the window, over all gateways that share the budget."),
    "lb_budget_reserved": (lambda of: of.reserved, "What is promised to questions under way."),
    "lb_budget_held": (lambda of: of.held, "Slices that gateways hold, promised or not; those of dead ones left out."),
}


def families(snapshot: Snapshot, version: str) -> Iterator[Metric]:
    """All families, in a fixed order."""
    backends = dict(sorted(snapshot.totals.backends.items()))
    yield from _specified(backends, snapshot)
    yield from _of_backends(backends)
    yield from _at_backends(snapshot.gauges)
    yield from _of_requests(snapshot)
    yield from _of_ledger(snapshot.ledger)
    yield from _of_budgets(snapshot)
    yield from _of_learning(backends, snapshot)
    yield from _of_canaries(snapshot)
    called = (([hook, result], n) for hook, of in sorted(snapshot.hooks.items()) for result, n in sorted(of.items()))
    yield _counter(
        "lb_hook_calls", "Calls of the operator's own code, by what came of them.", ["hook", "result"], called
    )
    yield from _of_workers(snapshot.workers)
    yield from _of_link(snapshot.link)
    python = platform.python_version()
    yield _gauge(
        "equipoise_build_info", "The version that runs; always 1.", ["version", "python"], [([version, python], 1)]
    )


def _of_link(of: LinkCounts | None) -> Iterator[Metric]:
    """No samples where no Redis is shared."""

    def sample(what: Callable[[LinkCounts], int]) -> Samples:
        return [] if of is None else [([], what(of))]

    help_text = "Processes of this gateway that do not get to the shared Redis now."
    yield _gauge("lb_redis_unwell", help_text, [], sample(lambda of: of.unwell))
    help_text = "How often a process found the shared Redis to be gone."
    yield _counter("lb_redis_outages", help_text, [], sample(lambda of: of.outages))
    help_text = "Operations that Redis did not answer in time."
    yield _counter("lb_redis_failures", help_text, [], sample(lambda of: of.failures))
    help_text = "Operations that were not even tried, because Redis was known to be gone."
    yield _counter("lb_redis_skipped", help_text, [], sample(lambda of: of.skipped))


def _at_backends(gauges: Mapping[str, Gauges]) -> Iterator[Metric]:
    yield _gauge("lb_in_flight", "Questions at a backend now.", BACKEND, _of_each(gauges, lambda of: of.in_flight))


def _specified(backends: Mapping[str, BackendTotals], snapshot: Snapshot) -> Iterator[Metric]:
    """The specification's six, with its names and labels. `status` is the verdict on an attempt."""
    gauges = snapshot.gauges
    yield _counter(
        "lb_requests",
        "Attempts at a backend, by verdict.",
        [*BACKEND, "status"],
        (
            ([name, str(status)], count)
            for name, of in backends.items()
            for status, count in sorted(of.verdicts.items())
        ),
    )
    yield _histogram("lb_request_duration_seconds", "An attempt, whole.", BACKEND, _each(backends, _duration))
    yield _histogram(
        "lb_routing_decision_seconds", "Choosing a backend.", ["strategy"], sorted(snapshot.totals.decisions.items())
    )
    yield _gauge("lb_backend_health_score", "Health from 0 to 1.", BACKEND, _of_each(gauges, lambda of: of.health))
    yield _gauge(
        "lb_circuit_breaker_state",
        "0 closed, 1 half-open, 2 open.",
        BACKEND,
        _of_each(gauges, lambda of: of.breaker),
    )
    yield _counter(
        "lb_request_cost", "Dollars booked for attempts.", BACKEND, _of_each(backends, lambda of: of.cost / NANO)
    )


def _of_backends(backends: Mapping[str, BackendTotals]) -> Iterator[Metric]:
    yield _histogram(
        "lb_time_to_first_token_seconds", "Until the first piece of an answer.", BACKEND, _each(backends, _first_token)
    )
    yield _counter(
        "lb_tokens",
        "Tokens reported or estimated, by kind; cached ones are part of the input.",
        [*BACKEND, "kind"],
        (([name, kind], getattr(of, f"{kind}_tokens")) for name, of in backends.items() for kind in TOKEN_KINDS),
    )
    yield _counter(
        "lb_unpriced_requests",
        "Attempts whose price nobody knows; they are booked as 0.",
        BACKEND,
        _of_each(backends, lambda of: of.unpriced),
    )
    yield _counter(
        "lb_disputed_costs",
        "Attempts whose upstream claimed a cost that cannot be true; they are booked by its price.",
        BACKEND,
        _of_each(backends, lambda of: of.disputed),
    )
    yield _counter(
        "lb_stream_interruptions",
        "Streams cut after the first byte was passed on.",
        BACKEND,
        _of_each(backends, lambda of: of.interruptions),
    )
    yield _histogram(
        "lb_chunk_gap_seconds", "Between two pieces of a stream.", BACKEND, _each(backends, lambda of: of.gaps)
    )
    yield _counter("lb_ejections", "Ejections of a backend as an outlier.", BACKEND, _of_each(backends, _ejections))
    yield _counter(
        "lb_hedges", "Attempts beaten by another that was sent beside them.", BACKEND, _of_each(backends, _hedges)
    )
    yield _counter(
        "lb_circuit_breaker_transitions",
        "How often a breaker entered a state.",
        [*BACKEND, "state"],
        (([name, state], count) for name, of in backends.items() for state, count in sorted(of.changes.items())),
    )


def _of_requests(snapshot: Snapshot) -> Iterator[Metric]:
    totals = snapshot.totals
    statuses = (([str(status)], count) for status, count in sorted(totals.statuses.items()))
    yield _counter("lb_responses", "Questions that left, by HTTP status as clients saw it.", ["code"], statuses)
    yield _histogram("lb_response_duration_seconds", "A question, all its attempts.", [], [("", totals.duration)])
    yield _counter("lb_retries", "Attempts beyond the first of a question.", [], [([], totals.retries)])
    yield _counter("lb_late_routing_decisions", "Decisions that took longer than allowed.", [], [([], totals.late)])
    yield _counter("lb_no_backend", "Questions nobody could be asked.", [], [([], totals.nobody)])
    yield _histogram(
        "lb_overhead_seconds", "The gateway's own share of a whole answer's time.", [], [("", totals.overhead)]
    )
    queue = snapshot.queue
    waiting: Samples = [] if queue is None else [([], queue.waiting)]
    yield _gauge("lb_queue_depth", "Questions that wait for a place at a backend now.", [], waiting)
    away: Samples = [] if queue is None else [([], queue.turned_away)]
    yield _counter("lb_turned_away", "Questions turned away because too many waited.", [], away)
    cached = (([result], count) for result, count in sorted(totals.cache.items()))
    yield _counter("lb_cache_requests", "Questions looked up in the response cache, by result.", ["result"], cached)
    help_text = "Dollars that answers given again would have cost."
    yield _counter("lb_cache_saved_cost", help_text, [], [([], totals.cache_saved / NANO)])


def _of_budgets(snapshot: Snapshot) -> Iterator[Metric]:
    """Dollars where the unit is usd; everything else in whole units."""
    labels, budgets = ["budget", "unit"], sorted(snapshot.budgets.items())

    def each(what: Callable[[BudgetGauges], int]) -> Samples:
        return (([name, of.unit], what(of) / NANO if of.unit == USD else what(of)) for name, of in budgets)

    for name, (what, help_text) in BUDGET_ROWS.items():
        yield _gauge(name, help_text, labels, each(what))
    ends = (([name, of.unit], of.exhausted_at) for name, of in budgets if of.exhausted_at is not None)
    help_text = "When it is used up at this pace; absent if it is not."
    yield _gauge("lb_budget_exhausted_timestamp_seconds", help_text, labels, ends)
    ratio: Samples = [] if snapshot.efficiency is None else [([], snapshot.efficiency.value)]
    help_text = "What the cheapest good enough backends would have cost, of what was paid; 0 to 1."
    yield _gauge("lb_cost_efficiency_ratio", help_text, [], ratio)


def _of_learning(backends: Mapping[str, BackendTotals], snapshot: Snapshot) -> Iterator[Metric]:
    scored = (
        ([name, source], histogram) for name, of in backends.items() for source, histogram in sorted(of.quality.items())
    )
    yield _labelled("lb_answer_quality", "Quality of scored answers, by who scored.", [*BACKEND, "source"], scored)
    learned = (
        ([route, backend, kind], belief.value)
        for route, of in sorted(snapshot.learned.items())
        for kind, backends_of in sorted(of.items())
        for backend, belief in sorted(backends_of.items())
    )
    help_text = "What a learning strategy makes of a backend for a kind of question."
    yield _gauge("lb_learned_weight", help_text, ["route", *BACKEND, "kind"], learned)


def _of_canaries(snapshot: Snapshot) -> Iterator[Metric]:
    canaries = sorted(snapshot.canaries.items())
    shares = (([name], of.percentage) for name, of in canaries)
    yield _gauge("lb_canary_percentage", "Per cent of keys that a canary gets.", ["canary"], shares)
    evidence = (([name, what], value) for name, of in canaries for what, value in sorted(of.evidence.items()))
    help_text = "What a canary's last verdict rests on, by measure."
    yield _gauge("lb_canary_evidence", help_text, ["canary", "measure"], evidence)
    verdicts = (
        ([name, verdict], count)
        for name, of in sorted(snapshot.totals.canary_verdicts.items())
        for verdict, count in sorted(of.items())
    )
    yield _counter("lb_canary_decisions", "Verdicts on a canary.", ["canary", "verdict"], verdicts)


def _of_workers(workers: WorkerCounts | None) -> Iterator[Metric]:
    """Only where several processes share the port."""
    if workers is None:
        return
    yield _gauge("equipoise_workers_wanted", "Processes that are to share the port.", [], [([], workers.wanted)])
    yield _gauge("equipoise_workers_ready", "Processes that answer now.", [], [([], workers.ready)])
    help_text = "Processes that ended unasked and were started again."
    yield _counter("equipoise_worker_restarts", help_text, [], [([], workers.restarts)])


def _of_ledger(ledger: LedgerCounts | None) -> Iterator[Metric]:
    def known(what: Callable[[LedgerCounts], float]) -> Samples:
        return [] if ledger is None else [([], what(ledger))]

    yield _counter("equipoise_ledger_written", "Attempts recorded durably.", [], known(lambda of: of.written))
    yield _counter("equipoise_ledger_dropped", "Attempts that could not be recorded.", [], known(lambda of: of.dropped))
    dollars = known(lambda of: of.dropped_cost / NANO)
    yield _counter("equipoise_ledger_dropped_cost", "Dollars of those attempts.", [], dollars)
    yield _gauge("equipoise_ledger_pending", "Attempts waiting to be written.", [], known(lambda of: of.pending))
    yield _gauge("equipoise_ledger_unwell", "Processes that cannot write now.", [], known(lambda of: of.unwell))
    yield _gauge("equipoise_ledger_away", "Processes that PostgreSQL does not answer.", [], known(lambda of: of.away))
    queued = "Records that are safe in the journals of their machines and not yet in PostgreSQL."
    yield _gauge("equipoise_ledger_queued", queued, [], known(lambda of: of.queued))
    yield _gauge("equipoise_ledger_queued_bytes", "Bytes of those records.", [], known(lambda of: of.queued_bytes))


def _duration(of: BackendTotals) -> Histogram:
    return of.duration


def _ejections(of: BackendTotals) -> int:
    return of.ejections


def _hedges(of: BackendTotals) -> int:
    return of.hedges


def _first_token(of: BackendTotals) -> Histogram:
    return of.first_token


def _each(
    backends: Mapping[str, BackendTotals], what: Callable[[BackendTotals], Histogram]
) -> Iterable[tuple[str, Histogram]]:
    return ((name, what(of)) for name, of in backends.items())


def _of_each(things: Mapping[str, T], what: Callable[[T], float]) -> Samples:
    return (([name], what(of)) for name, of in sorted(things.items()))


def _counter(name: str, help_text: str, labels: list[str], samples: Samples) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, help_text: str, labels: list[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(name: str, help_text: str, labels: list[str], of: Iterable[tuple[str, Histogram]]) -> Metric:
    return _labelled(name, help_text, labels, (([label] if labels else [], histogram) for label, histogram in of))


def _labelled(name: str, help_text: str, labels: list[str], of: Iterable[tuple[list[str], Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=labels)
    for values, histogram in of:
        edges = [*map(str, histogram.bounds), "+Inf"]
        buckets = list(zip(edges, map(float, accumulate(histogram.counts)), strict=True))
        family.add_metric(values, buckets, histogram.sum / NANO)
    return family

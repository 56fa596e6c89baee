"""A snapshot as Prometheus' metric families: integers inside, seconds and dollars outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from equipoise.telemetry.totals import NANO, BackendTotals, Histogram, LedgerCounts, Snapshot

T = TypeVar("T")
BACKEND = ["backend_id"]
TOKEN_KINDS = ("input", "output", "cached", "reasoning", "citation")
Samples = Iterable[tuple[list[str], float]]


def families(snapshot: Snapshot, version: str) -> Iterator[Metric]:
    """All families, in a fixed order."""
    backends = dict(sorted(snapshot.totals.backends.items()))
    yield from _specified(backends, snapshot)
    yield from _of_backends(backends)
    yield _gauge(
        "lb_in_flight", "Questions at a backend now.", BACKEND, _of_each(snapshot.gauges, lambda of: of.in_flight)
    )
    yield from _of_requests(snapshot)
    if snapshot.ledger is not None:
        yield from _of_ledger(snapshot.ledger)
    yield _gauge("equipoise_build_info", "The version that runs; always 1.", ["version"], [([version], 1)])


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
        "lb_stream_interruptions",
        "Streams cut after the first byte was passed on.",
        BACKEND,
        _of_each(backends, lambda of: of.interruptions),
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


def _of_ledger(ledger: LedgerCounts) -> Iterator[Metric]:
    yield _counter("equipoise_ledger_written", "Attempts recorded durably.", [], [([], ledger.written)])
    yield _counter("equipoise_ledger_dropped", "Attempts that could not be recorded.", [], [([], ledger.dropped)])
    yield _counter(
        "equipoise_ledger_dropped_cost", "Dollars of those attempts.", [], [([], ledger.dropped_cost / NANO)]
    )
    yield _gauge("equipoise_ledger_pending", "Attempts waiting to be written.", [], [([], ledger.pending)])
    yield _gauge("equipoise_ledger_unwell", "Processes that cannot write now.", [], [([], ledger.unwell)])


def _duration(of: BackendTotals) -> Histogram:
    return of.duration


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
    family = HistogramMetricFamily(name, help_text, labels=labels)
    for label, histogram in of:
        edges = [*map(str, histogram.bounds), "+Inf"]
        buckets = list(zip(edges, map(float, accumulate(histogram.counts)), strict=True))
        family.add_metric([label] if labels else [], buckets, histogram.sum / NANO)
    return family

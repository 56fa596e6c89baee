"""The scrape says what happened, exactly, under the specification's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from equipoise.core.events import AnswerScored, AttemptEnded, BackendChanged, CanaryDecided, Event, RequestEnded
from equipoise.core.gaps import Gaps
from equipoise.core.model import Attempt, CostSource, Verdict
from equipoise.stores import Ledger
from equipoise.telemetry import Metrics, prometheus
from equipoise.telemetry.totals import ANSWER_BOUNDS, BudgetGauges, CanaryGauges, Snapshot, Totals, together
from tests.shell.stores.attempts import attempt

Labels = dict[str, str]

# The parser reads a few hundred samples in 10 ms, so a hundred examples of everything would be a minute of tests.
few = settings(max_examples=25, deadline=None)


def scraped(metrics: Metrics) -> dict[str, list[tuple[Labels, float]]]:
    """Sample name -> [(labels, value)], as Prometheus reads the text."""
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return next(number for found, number in scraped(metrics)[name] if found == labels)


def ended(**changes: Any) -> RequestEnded:
    values: dict[str, Any] = {
        "request_id": "r",
        "route": "auto",
        "tenant": "default",
        "status": 200,
        "duration": 1.0,
        "attempts": 1,
        "cost": 0,
        "backend_id": "web",
        "stream": False,
    }
    return RequestEnded(**values | changes)


def row(backend_id: str, health: float = 1.0, state: str = "closed", in_flight: int = 0) -> dict[str, Any]:
    return {"id": backend_id, "health": health, "breaker": {"state": state}, "in_flight": in_flight}


def told(*events: Event) -> Metrics:
    metrics = Metrics()
    for event in events:
        metrics.observe(event)
    return metrics


def test_the_specifications_metrics_are_there_with_its_names_and_labels() -> None:
    """Six names; renaming one breaks everybody's dashboards."""
    metrics = told(AttemptEnded(attempt(decision_seconds=0.00002)))
    metrics.set_backend_gauges(lambda: [row("web", 0.75, "half_open", 3)])
    assert value(metrics, "lb_requests_total", backend_id="web", status="success") == 1
    assert value(metrics, "lb_request_duration_seconds_sum", backend_id="web") == 1.25
    assert value(metrics, "lb_routing_decision_seconds_count", strategy="cost_optimized") == 1
    assert value(metrics, "lb_backend_health_score", backend_id="web") == 0.75
    assert value(metrics, "lb_circuit_breaker_state", backend_id="web") == 1
    assert value(metrics, "lb_request_cost_total", backend_id="web") == 0.0061
    assert value(metrics, "lb_in_flight", backend_id="web") == 3


@pytest.mark.parametrize(("state", "number"), [("closed", 0), ("half_open", 1), ("open", 2)])
def test_a_breakers_state_is_a_number(state: str, number: int) -> None:
    """0 closed, 1 half-open, 2 open, as the specification has it."""
    metrics = Metrics()
    metrics.set_backend_gauges(lambda: [row("web", state=state)])
    assert value(metrics, "lb_circuit_breaker_state", backend_id="web") == number


def test_tokens_first_token_cuts_and_unpriced_attempts_are_counted() -> None:
    """What operators ask beyond the specification."""
    cut = msgspec.structs.replace(
        attempt().outcome, interrupted=True, cost_source=CostSource.UNPRICED, claimed_cost=10**15
    )
    metrics = told(AttemptEnded(attempt()), AttemptEnded(msgspec.structs.replace(attempt(), outcome=cut)))
    assert value(metrics, "lb_tokens_total", backend_id="web", kind="input") == 2000
    assert value(metrics, "lb_tokens_total", backend_id="web", kind="output") == 200
    assert value(metrics, "lb_time_to_first_token_seconds_sum", backend_id="web") == 0.5
    assert value(metrics, "lb_stream_interruptions_total", backend_id="web") == 1
    assert value(metrics, "lb_unpriced_requests_total", backend_id="web") == 1
    assert value(metrics, "lb_disputed_costs_total", backend_id="web") == 1


def test_decisions_that_take_longer_than_allowed_are_counted() -> None:
    """Whatever the strategy; what takes as long as allowed is not late."""
    metrics = Metrics(late_seconds=0.01)
    for seconds in (0.0099, 0.01, 0.0101, 3.0):
        metrics.observe(AttemptEnded(attempt(decision_seconds=seconds)))
    assert value(metrics, "lb_late_routing_decisions_total") == 2


def test_requests_are_counted_as_clients_saw_them() -> None:
    """By status; attempts beyond the first are retries; nobody to ask is a count of its own."""
    metrics = told(
        ended(attempts=3), ended(), ended(status=503, attempts=0, backend_id=None, error_code="no_healthy_backend")
    )
    assert value(metrics, "lb_responses_total", code="200") == 2
    assert value(metrics, "lb_responses_total", code="503") == 1
    assert value(metrics, "lb_response_duration_seconds_count") == 3
    assert value(metrics, "lb_retries_total") == 2
    assert value(metrics, "lb_no_backend_total") == 1


def test_breaker_transitions_are_counted_by_state() -> None:
    """A state nobody knows makes no label."""
    metrics = told(*(BackendChanged("web", state, "", 0.0) for state in ("open", "half_open", "open", "x" * 99)))
    assert scraped(metrics)["lb_circuit_breaker_transitions_total"] == [
        ({"backend_id": "web", "state": "half_open"}, 1),
        ({"backend_id": "web", "state": "open"}, 2),
    ]


@few
@given(st.lists(st.floats(0, 1000), max_size=30))
def test_buckets_count_what_is_at_or_below_their_bound(durations: list[float]) -> None:
    """Cumulative, with the last at the count; the sum is right to the nanosecond a value."""
    metrics = told(*(AttemptEnded(attempt(duration=duration)) for duration in durations))
    samples = scraped(metrics)
    for labels, count in samples.get("lb_request_duration_seconds_bucket", []):
        assert count == sum(duration <= float(labels["le"]) for duration in durations)
    if durations:
        assert len(samples["lb_request_duration_seconds_bucket"]) == len(ANSWER_BOUNDS) + 1
        total = value(metrics, "lb_request_duration_seconds_sum", backend_id="web")
        assert total == pytest.approx(sum(durations), abs=1e-9 * (len(durations) + 1))


@few
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_backend_id_survives_the_text_form(backend_id: str) -> None:
    """Quotes, backslashes and line ends in a label are escaped; nothing can forge a sample."""
    metrics = told(AttemptEnded(attempt(backend_id=backend_id)))
    assert value(metrics, "lb_request_cost_total", backend_id=backend_id) == 0.0061
    assert len(scraped(metrics)["lb_request_cost_total"]) == 1


def test_labels_are_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many backends (2,000) and strategies the rest is `other`; no count is lost."""
    monkeypatch.setattr(prometheus, "MOST_BACKENDS", 5)
    metrics = Metrics()
    for number in range(100):
        decision = msgspec.structs.replace(attempt().decision, strategy=f"s{number}")
        metrics.observe(AttemptEnded(attempt(backend_id=f"b{number}", decision=decision)))
    samples = scraped(metrics)
    assert len(samples["lb_request_cost_total"]) == 6
    assert len(samples["lb_routing_decision_seconds_count"]) == prometheus.MOST_STRATEGIES + 1
    assert sum(count for _, count in samples["lb_requests_total"]) == 100


def test_a_removed_backend_goes_after_a_while_with_all_its_series() -> None:
    """Its gauges at once, its counters when their last values have surely been scraped; an event between harms nothing."""
    now, rows = [0.0], [row("web"), row("old")]
    metrics = Metrics(now=lambda: now[0])
    metrics.set_backend_gauges(lambda: rows)
    for backend_id in ("web", "old"):
        metrics.observe(AttemptEnded(attempt(backend_id=backend_id)))
    rows.pop()
    assert [labels for labels, _ in scraped(metrics)["lb_in_flight"]] == [{"backend_id": "web"}]
    assert value(metrics, "lb_request_cost_total", backend_id="old") == 0.0061
    now[0] = 601.0
    metrics.render()
    assert b'"old"' not in metrics.render()
    assert b'"web"' in metrics.render()


async def test_the_metric_and_the_ledger_show_the_same_money(tmp_path: Path) -> None:
    """The sum over backends agrees with the ledger's within 1e-9 relative, each backend too."""
    ledger, metrics = Ledger(tmp_path / "l.db", batch_seconds=0.01), Metrics()
    for number in range(500):
        event = AttemptEnded(attempt(f"r{number}", cost=number * 7_654_321 + 1, backend_id=f"b{number % 3}"))
        ledger.observe(event)
        metrics.observe(event)
    shown = {labels["backend_id"]: dollars for labels, dollars in scraped(metrics)["lb_request_cost_total"]}
    assert sum(shown.values()) == pytest.approx(await ledger.total_cost() / 1e9, rel=1e-9)
    for line in await ledger.summary():
        assert shown[line["backend_id"]] == pytest.approx(line["cost"] / 1e9, rel=1e-9)
    ledger.close()


async def test_the_ledgers_own_counts_are_shown(tmp_path: Path) -> None:
    """Written, dropped and their dollars, waiting, unwell."""
    ledger, metrics = Ledger(tmp_path / "l.db", batch_seconds=0.01), Metrics()
    metrics.set_ledger(ledger.health)
    ledger.record(attempt())
    await ledger.flush()
    assert value(metrics, "equipoise_ledger_written_total") == 1
    ledger.close()
    ledger.record(attempt("late"))
    assert value(metrics, "equipoise_ledger_dropped_total") == 1
    assert value(metrics, "equipoise_ledger_dropped_cost_total") == 0.0061
    assert value(metrics, "equipoise_ledger_unwell") == 1


events = st.builds(
    lambda backend_id, cost, duration, verdict: AttemptEnded(
        attempt(backend_id=backend_id, cost=cost, duration=duration, verdict=verdict)
    ),
    st.sampled_from("abc"),
    st.integers(0, 10**15),
    st.floats(0, 400),
    st.sampled_from(Verdict),
)


@few
@given(st.lists(events, max_size=20), st.lists(events, max_size=20))
def test_two_processes_add_up_to_one_that_saw_everything(one: list[Event], other: list[Event]) -> None:
    """Exactly, after a journey as bytes; adding changes neither side."""
    first, second, both = (
        told(*one, ended()),
        told(*other, ended(status=500)),
        told(*one, ended(), *other, ended(status=500)),
    )
    sent = msgspec.json.encode(second.snapshot())
    added = together(first.snapshot(), msgspec.json.decode(sent, type=Snapshot))
    assert added == both.snapshot()
    assert first.snapshot() == told(*one, ended()).snapshot()


def test_no_word_of_a_client_becomes_a_label() -> None:
    """Tenant, session, tags, request id, route and the upstream's error stay out of the scrape."""
    words: dict[str, Any] = {"tenant": "evil-tenant", "session": "evil-session", "tags": ("evil-tag",)}
    hostile: Attempt = attempt("evil-id", error="evil-error", **words)
    metrics = told(AttemptEnded(hostile), ended(tenant="evil", route="evil", request_id="evil", error_code="evil"))
    assert b"evil" not in metrics.render()


def test_what_operators_ask_beyond_is_there_when_it_is_known() -> None:
    """Gaps of streams, overhead, cache, quality, canaries, ejections, budgets, beliefs; absent until somebody knows."""
    metrics = Metrics()
    assert "lb_budget_spent" not in scraped(metrics)
    assert "lb_canary_percentage" not in scraped(metrics)
    gaps = Gaps(7.0, 7.0)
    for seconds in (7.02, 7.04, 10.04):
        gaps.came(seconds)
    metrics.observe(
        AttemptEnded(msgspec.structs.replace(attempt(), outcome=msgspec.structs.replace(attempt().outcome, gaps=gaps)))
    )
    metrics.observe(ended(overhead=0.0004, cache="hit"))
    metrics.observe(ended(cache="evil"))
    metrics.observe(scored(0.8))
    metrics.observe(scored(0.6))
    metrics.observe(scored(0.1, source="evil"))
    metrics.observe(BackendChanged("web", "ejected", "outlier", 0.0))
    lost = msgspec.structs.replace(attempt().outcome, verdict=Verdict.IGNORED, error_code="hedge_lost")
    metrics.observe(AttemptEnded(msgspec.structs.replace(attempt(), outcome=lost)))
    metrics.set_queue(lambda: {"waiting": 3, "turned_away": 2})
    metrics.observe(
        CanaryDecided(canary="new", verdict="hold", share=25.0, message="", evidence={"e_value": 3.0}, wall=1.0)
    )
    metrics.set_money(
        lambda: [
            {
                "budget": "daily",
                "unit": "usd",
                "spent": 10**9,
                "reserved": 0,
                "held": 0,
                "limit": 5 * 10**9,
                "exhausted_at": None,
            },
            {
                "budget": "calls",
                "unit": "requests",
                "spent": 3,
                "reserved": 1,
                "held": 2,
                "limit": 10,
                "exhausted_at": 1e9,
            },
        ],
        lambda: 0.9,
    )
    metrics.set_learned(lambda: {"auto": {"review": {"web": 0.7}}})
    assert value(metrics, "lb_chunk_gap_seconds_count", backend_id="web") == 3
    assert value(metrics, "lb_chunk_gap_seconds_sum", backend_id="web") == pytest.approx(3.04)
    assert value(metrics, "lb_chunk_gap_seconds_bucket", backend_id="web", le="0.025") == 2
    assert value(metrics, "lb_overhead_seconds_count") == 1
    assert scraped(metrics)["lb_cache_requests_total"] == [({"result": "hit"}, 1)]
    assert value(metrics, "lb_answer_quality_sum", backend_id="web", source="judge") == pytest.approx(1.4)
    assert len(scraped(metrics)["lb_answer_quality_count"]) == 1
    assert value(metrics, "lb_ejections_total", backend_id="web") == 1
    assert value(metrics, "lb_hedges_total", backend_id="web") == 1
    assert (value(metrics, "lb_queue_depth"), value(metrics, "lb_turned_away_total")) == (3, 2)
    assert value(metrics, "lb_canary_percentage", canary="new") == 25
    assert value(metrics, "lb_canary_evidence", canary="new", measure="e_value") == 3
    assert value(metrics, "lb_canary_decisions_total", canary="new", verdict="hold") == 1
    assert value(metrics, "lb_budget_spent", budget="daily", unit="usd") == 1
    assert value(metrics, "lb_budget_spent", budget="calls", unit="requests") == 3
    assert scraped(metrics)["lb_budget_exhausted_timestamp_seconds"] == [({"budget": "calls", "unit": "requests"}, 1e9)]
    assert value(metrics, "lb_learned_weight", route="auto", backend_id="web", kind="review") == 0.7


def scored(quality: float, source: str = "judge") -> AnswerScored:
    return AnswerScored(
        request_id="r", attempt=1, backend_id="web", route="auto", tenant="t", kind="general", role="answer",
        quality=quality, variance=0.01, source=source,
    )  # fmt: skip


def test_a_crowd_of_canaries_is_bounded() -> None:
    """An operator's names, but a bound all the same."""
    metrics = Metrics()
    for number in range(100):
        metrics.observe(
            CanaryDecided(canary=f"c{number}", verdict=f"v{number}", share=1.0, message="", evidence={}, wall=0.0)
        )
    assert len(scraped(metrics)["lb_canary_percentage"]) == prometheus.MOST_CANARIES + 1
    assert sum(count for _, count in scraped(metrics)["lb_canary_decisions_total"]) == 100


def test_what_is_now_is_put_beside_and_not_added() -> None:
    """Workers share a budget's spending, each has its own promises; the newest word on a canary counts."""
    one = Snapshot(
        Totals(), budgets={"d": BudgetGauges("usd", 5, 1, 4, 10, 90.0)}, canaries={"c": CanaryGauges(5, {}, 1.0)}
    )
    other = Snapshot(
        Totals(), budgets={"d": BudgetGauges("usd", 6, 2, 4, 10, None)}, canaries={"c": CanaryGauges(10, {}, 2.0)}
    )
    both = together(one, other)
    assert both.budgets == {"d": BudgetGauges("usd", 6, 3, 4, 10, 90.0)}
    assert both.canaries["c"].percentage == 10
    assert msgspec.json.decode(msgspec.json.encode(both), type=Snapshot) == both

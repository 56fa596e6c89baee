"""What is wrong is seen, by the specification's levels, and nothing that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core import alert_rules as rules
from equipoise.core.alert_rules import AlertRules, Levels, Thresholds
from equipoise.core.alerting import Condition, Severity
from equipoise.core.events import AnswerScored, AttemptEnded, BudgetCrossed, CanaryDecided, RequestEnded
from equipoise.core.model import Verdict
from tests.fakes import FakeClock, backend
from tests.shell.stores.attempts import attempt

NOW = 1_790_000_000.0


def row(name: str = "web", **changes: Any) -> dict[str, Any]:
    """A real backend's row, with changes."""
    found = backend(name, FakeClock()).status(0.0)
    found["health"] = 1.0
    return found | changes


def ended(status: int = 200, duration: float = 0.2) -> RequestEnded:
    return RequestEnded(
        request_id="r", route="auto", tenant="t", status=status, duration=duration, attempts=1, cost=0,
        backend_id="web", stream=False,
    )  # fmt: skip


def found(
    it: AlertRules, *rows: dict[str, Any], facts: dict[str, float] | None = None, wall: float = NOW
) -> dict[str, Condition]:
    return {of.rule: of for of in it.conditions(rows or (row(),), facts or {}, wall)}


def watching(**changes: Any) -> AlertRules:
    return AlertRules(Thresholds(**changes))


def test_nothing_wrong_is_nothing_said() -> None:
    """A healthy backend, quick answers, a machine at rest."""
    it = watching()
    for _ in range(100):
        it.observe(ended(), NOW)
    assert found(it, facts={"cpu": 0.2, "memory": 0.5, "disk": 0.1, "ledger_unwell": 0.0}) == {}


@pytest.mark.parametrize(
    ("failed", "severity"),
    [(4, None), (5, Severity.WARNING), (15, Severity.CRITICAL), (30, Severity.EMERGENCY)],
)
def test_error_rates_by_the_specifications_levels(failed: int, severity: Severity | None) -> None:
    """5, 15, 30 per cent of the requests as clients saw them; a 4xx is no failure of ours."""
    it = watching()
    for number in range(100):
        it.observe(ended(503 if number < failed else 404), NOW)
    said = found(it).get(rules.ERRORS)
    assert (said.severity if said else None) == severity


@pytest.mark.parametrize(
    ("seconds", "severity"),
    [(0.99, None), (1.0, Severity.WARNING), (2.0, Severity.CRITICAL), (5.0, Severity.EMERGENCY)],
)
def test_latency_by_the_specifications_levels(seconds: float, severity: Severity | None) -> None:
    """The 95th percentile: six slow of a hundred count, five do not."""
    for slow, expected in ((6, severity), (5, None)):
        it = watching()
        for number in range(100):
            it.observe(ended(duration=seconds if number < slow else 0.1), NOW)
        said = found(it).get(rules.LATENCY)
        assert (said.severity if said else None) == expected


def test_few_or_old_requests_say_nothing() -> None:
    """19 failures are no rate; what is older than the window is over."""
    it = watching()
    for _ in range(19):
        it.observe(ended(500), NOW)
    assert found(it) == {}
    it.observe(ended(500), NOW)
    assert rules.ERRORS in found(it)
    assert found(it, wall=NOW + 301) == {}


def test_nobody_to_ask_is_an_emergency_with_reasons() -> None:
    """One that may be asked is enough."""
    down, up = row("a", why_not="circuit breaker open: boom"), row("b")
    said = found(watching(), down, row("b", why_not="draining", draining=True))[rules.NOBODY]
    assert said.severity is Severity.EMERGENCY
    assert "a: circuit breaker open: boom; b: draining" in said.message
    assert rules.NOBODY not in found(watching(), down, up)


def test_an_open_breaker_is_critical_until_it_is_closed() -> None:
    """Half-open is not yet over."""
    for state in ("open", "half_open"):
        said = found(watching(), row(breaker={"state": state, "reason": "5 failures in a row", "run": 0}))
        assert said[rules.BREAKER].severity is Severity.CRITICAL
        assert said[rules.BREAKER].subject == "web"


def test_health_counts_when_there_is_evidence() -> None:
    """One failure of a new backend is no illness."""
    assert found(watching(), row(health=0.3, requests=9)) == {}
    assert found(watching(), row(health=0.3, requests=10))[rules.UNHEALTHY].severity is Severity.EMERGENCY


@pytest.mark.parametrize(("run", "severity"), [(3, Severity.WARNING), (5, Severity.CRITICAL), (10, Severity.EMERGENCY)])
def test_failures_in_a_row(run: int, severity: Severity) -> None:
    """3, 5, 10."""
    said = found(watching(), row(breaker={"state": "closed", "reason": "", "run": run}))
    assert said[rules.UNHEALTHY].severity is severity


def test_a_backend_that_was_away_too_long_and_one_that_drains() -> None:
    """Availability over the last looks; whoever is drained on purpose is not unhealthy."""
    it = watching()
    for number in range(20):
        state = "open" if number % 5 == 0 else "closed"
        it.conditions([row(breaker={"state": state, "reason": "", "run": 0})], {}, NOW + number)
    said = found(it, row(), wall=NOW + 20)[rules.UNHEALTHY]
    assert (said.severity, said.threshold) == (Severity.CRITICAL, 0.9)
    assert rules.UNHEALTHY not in found(it, row(draining=True, health=0.1), wall=NOW + 20)


def test_a_refused_key_stays_until_an_answer_comes() -> None:
    """Or until the backend is gone; the breaker that opens with it is not told besides."""
    it = watching()
    it.observe(AttemptEnded(attempt(backend_id="web", verdict=Verdict.REFUSED, error="401: invalid key")), NOW)
    opened = row(breaker={"state": "open", "reason": "key refused", "run": 0})
    said = found(it, opened)
    assert said[rules.REFUSED].message == "web refuses our key or quota: 401: invalid key"
    assert rules.BREAKER not in said
    it.observe(AttemptEnded(attempt(backend_id="web")), NOW)
    assert rules.REFUSED not in found(it)


def crossed(share: float, **changes: Any) -> BudgetCrossed:
    values: dict[str, Any] = {
        "budget": "daily", "unit": "requests", "share": share, "spent": round(share * 100), "reserved": 1, "limit": 100,
        "wall": NOW, "renews_at": NOW + 50.0,
    }  # fmt: skip
    return BudgetCrossed(**values | changes)


@pytest.mark.parametrize(
    ("share", "severity"), [(0.7, Severity.WARNING), (0.9, Severity.CRITICAL), (1.0, Severity.EMERGENCY)]
)
def test_a_budget_is_told_until_it_renews(share: float, severity: Severity) -> None:
    """70 and 90 per cent, and all of it."""
    it = watching()
    event = crossed(share)
    it.observe(event, NOW)
    assert it.urgent
    assert found(it)[rules.BUDGET].severity is severity
    assert rules.BUDGET not in found(it, wall=NOW + 51)


@pytest.mark.parametrize(
    ("ends", "renews", "said"),
    [
        (NOW + 180.0, NOW + 3600.0, "; at this pace it is used up in 3 min"),
        (NOW + 5.5 * 3600.0, NOW + 9 * 3600.0, "; at this pace it is used up in 5 h"),
        (None, NOW + 3600.0, "; at this pace it lasts until it renews"),
        (None, None, ""),
    ],
)
def test_a_budgets_alert_says_when_it_will_be_used_up(ends: float | None, renews: float | None, said: str) -> None:
    """For those who read it in a chat."""
    it = watching()
    it.observe(crossed(0.7, exhausted_at=ends, renews_at=renews), NOW)
    message = f"budget daily: 70 requests spent and 1 requests reserved of 100 requests{said}"
    assert found(it)[rules.BUDGET].message == message


def test_an_overrun_is_an_emergency_whatever_its_share() -> None:
    """The upstream billed more than it may."""
    it = watching()
    it.observe(crossed(0.5, overrun=True), NOW)
    assert "an upstream billed more than it could at most" in found(it)[rules.BUDGET].message
    assert "more than its limit" not in found(it)[rules.BUDGET].message  # half of it is spent
    assert found(it)[rules.BUDGET].severity is Severity.EMERGENCY


def test_quality_below_the_minimum() -> None:
    """Twenty scores of one backend; the others are not accused."""
    it = watching(quality=Levels(0.7, 0.6, 0.5, falling=True))
    for quality, name in ((0.65, "web"), (0.9, "papers")):
        for _ in range(20):
            it.observe(
                AnswerScored(
                    request_id="r", attempt=1, backend_id=name, route="auto", tenant="t", kind="general",
                    role="answer", quality=quality, variance=0.01, source="judge",
                ),
                NOW,
            )  # fmt: skip
    said = [of for of in it.conditions([row()], {}, NOW) if of.rule == rules.QUALITY]
    assert [(of.subject, of.severity) for of in said] == [("web", Severity.WARNING)]


@pytest.mark.parametrize(
    ("verdict", "severity"),
    [
        ("rolled_back", Severity.CRITICAL),
        ("hold", Severity.WARNING),
        ("paused", Severity.WARNING),
        ("promoted", Severity.INFO),
    ],
)
def test_a_canarys_verdict_is_announced(verdict: str, severity: Severity) -> None:
    """What went back is bad, what waits is a warning, what goes on is news."""
    event = CanaryDecided(canary="new", verdict=verdict, share=0.25, message="why", evidence={}, wall=NOW)
    said = watching().observe(event, NOW)
    assert said is not None
    assert (said.rule, said.subject, said.severity) == (rules.CANARY, "new", severity)


def test_the_machine_and_the_ledger() -> None:
    """70, 85, 95 per cent (disk 90); a ledger that cannot be written."""
    said = watching().conditions([row()], {"cpu": 0.96, "memory": 0.86, "disk": 0.7, "ledger_unwell": 1.0}, NOW)
    assert {(of.rule, of.subject, of.severity) for of in said} == {
        (rules.MACHINE, "cpu", Severity.EMERGENCY),
        (rules.MACHINE, "memory", Severity.CRITICAL),
        (rules.MACHINE, "disk", Severity.WARNING),
        (rules.LEDGER, "", Severity.CRITICAL),
    }


def test_memory_is_bounded_whatever_comes() -> None:
    """A million requests, thousands of backends and budgets."""
    it = watching()
    for number in range(20_000):
        it.observe(ended(), NOW)
        it.observe(crossed(0.7, budget=f"b{number}"), NOW)
    assert len(it._requests) == rules.MOST_SAMPLES
    assert len(it._budgets) == rules.MOST_SUBJECTS


@given(st.floats(0, 1), st.booleans())
def test_the_worst_level_reached_is_the_one_that_counts(value: float, falling: bool) -> None:
    """Whatever the direction; a level that is left out is never reached."""
    bounds = (0.2, 0.5, 0.8) if not falling else (0.8, 0.5, 0.2)
    reached = Levels(*bounds, falling=falling).of(value)
    passed = [b for b in bounds if (value < b if falling else value >= b)]
    assert (reached[1] if reached else None) == (passed[-1] if passed else None)
    assert Levels(falling=falling).of(value) is None


def test_thresholds_are_the_specifications() -> None:
    """Warning, critical, emergency."""
    levels = msgspec.to_builtins(Thresholds())
    told = {name: (of["warning"], of["critical"], of["emergency"]) for name, of in levels.items() if type(of) is dict}
    assert told["response_seconds"] == (1.0, 2.0, 5.0)
    assert told["error_rate"] == (0.05, 0.15, 0.30)
    assert told["availability"] == (0.95, 0.90, 0.80)
    assert told["health"] == (0.80, 0.60, 0.40)
    assert told["consecutive_failures"] == (3, 5, 10)
    assert told["cpu"] == told["memory"] == (0.70, 0.85, 0.95)
    assert told["disk"] == (0.70, 0.85, 0.90)


def test_every_rule_has_its_section_in_the_runbook_and_its_row_in_the_docs() -> None:
    """An alert without a word of advice is noise."""
    root = Path(__file__).parents[2]
    guide = (root / "PRODUCTION_LOAD_BALANCER_INTEGRATION_GUIDE.md").read_text("utf-8")
    page = (root / "docs" / "observability.md").read_text("utf-8")
    assert [rule for rule in (*rules.RULES, rules.TEST) if f"\n### {rule}\n" not in guide] == []
    assert [rule for rule in rules.RULES if f"| `{rule}` |" not in page] == []

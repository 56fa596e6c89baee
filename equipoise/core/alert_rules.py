"""What is wrong at this instant, by the specification's thresholds. Pure: numbers and events in, conditions out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from equipoise.core.alerting import Condition, Severity, Timing
from equipoise.core.events import AnswerScored, AttemptEnded, BudgetCrossed, CanaryDecided, Event, RequestEnded
from equipoise.core.model import Attempt, Verdict, dollars

NOBODY, UNHEALTHY, BREAKER = "NoHealthyBackend", "BackendUnhealthy", "CircuitBreakerOpen"
REFUSED, ERRORS, LATENCY = "KeyOrQuotaRefused", "HighErrorRate", "HighLatency"
QUALITY, BUDGET, CANARY = "QualityBelowMinimum", "BudgetNearlySpent", "CanaryDecided"
LEDGER, MACHINE, TEST = "LedgerUnwell", "MachineSaturated", "TestAlert"
HEARD = (AttemptEnded, RequestEnded, AnswerScored, BudgetCrossed, CanaryDecided)
"""The events that these rules look at."""
RULES = (NOBODY, UNHEALTHY, BREAKER, REFUSED, ERRORS, LATENCY, QUALITY, BUDGET, CANARY, LEDGER, MACHINE)
COSTS = frozenset({BUDGET})
_REFUSED = Verdict.REFUSED

MOST_SAMPLES, MOST_SCORES, MOST_SUBJECTS = 5_000, 200, 2_000
LOOKS_NEEDED = 10
"""Looks, or attempts, that a share needs before it says anything of a backend."""
HOUR = 3600.0
HALTS = ("roll", "abort", "revert", "fail", "worse")
WAITS = ("hold", "pause", "halt")


class Levels(msgspec.Struct, frozen=True):
    """From which value on it is how bad; None leaves a level out. `falling` means that small values are bad."""

    warning: float | None = None
    critical: float | None = None
    emergency: float | None = None
    falling: bool = False

    def of(self, value: float) -> tuple[Severity, float] | None:
        """The worst level that this value has reached, with its bound."""
        for severity in (Severity.EMERGENCY, Severity.CRITICAL, Severity.WARNING):
            bound: float | None = getattr(self, severity.value)
            if bound is not None and (value < bound if self.falling else value >= bound):
                return severity, bound
        return None


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """The specification's levels. Seconds, shares in [0, 1], counts; `window` seconds of requests are looked at, and
    shares of fewer than `minimum_requests` say nothing."""

    response_seconds: Levels = Levels(1.0, 2.0, 5.0)
    error_rate: Levels = Levels(0.05, 0.15, 0.30)
    availability: Levels = Levels(0.95, 0.90, 0.80, falling=True)
    health: Levels = Levels(0.80, 0.60, 0.40, falling=True)
    consecutive_failures: Levels = Levels(3, 5, 10)
    budget: Levels = Levels(0.0, 0.9, 1.0)
    quality: Levels = Levels(0.7, 0.6, 0.5, falling=True)
    cpu: Levels = Levels(0.70, 0.85, 0.95)
    memory: Levels = Levels(0.70, 0.85, 0.95)
    disk: Levels = Levels(0.70, 0.85, 0.90)
    window: float = 300.0
    minimum_requests: int = 20


def timings(interval: float, *, suppression: float, repeat: float) -> tuple[Timing, dict[str, Timing]]:
    """How patient each rule is. The specification counts evaluations in a row: 3 for response times, 2 for error rates
    and health, 1 for all else; a machine may be busy for a minute."""
    plain = Timing(clear=2 * interval, suppression=suppression, repeat=repeat)
    holds = {LATENCY: 2 * interval, ERRORS: interval, UNHEALTHY: interval, NOBODY: interval, MACHINE: 60.0}
    return plain, {rule: msgspec.structs.replace(plain, hold=hold) for rule, hold in holds.items()}


class AlertRules:
    """Listens to events and, asked, says what is wrong. Memory is bounded whatever comes."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self._requests: deque[tuple[float, float, bool]] = deque(maxlen=MOST_SAMPLES)
        self._scores: dict[str, deque[tuple[float, float]]] = {}
        self._looks: dict[str, deque[tuple[float, bool]]] = {}
        self._refused: dict[str, Condition] = {}
        self._budgets: dict[str, BudgetCrossed] = {}
        self.urgent = False
        """Something came in that is worth a look at once; whoever looks takes it back."""

    def observe(self, event: Event, wall: float) -> Condition | None:
        """Take in an event; what happened and is over at once comes back as a condition to announce."""
        kind = type(event)
        if kind is RequestEnded:
            self._requests.append((wall, event.duration, event.status >= 500))  # type: ignore[attr-defined]
        elif kind is AttemptEnded:
            verdict = event.attempt.outcome.verdict  # type: ignore[attr-defined]
            if verdict is _REFUSED or self._refused:
                self._attempt(event.attempt)  # type: ignore[attr-defined]
        elif isinstance(event, AnswerScored):
            self._remembered(self._scores, event.backend_id, MOST_SCORES).append((wall, event.quality))
        elif isinstance(event, BudgetCrossed) and len(self._budgets) < MOST_SUBJECTS:
            self._budgets[event.budget] = event
            self.urgent = True
        elif isinstance(event, CanaryDecided):
            return _of_canary(event)
        return None

    def conditions(self, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, float], wall: float) -> list[Condition]:
        """Everything that is wrong. `rows` are the backends' status, `facts` shares of the machine in use (cpu, memory,
        disk), `ledger_unwell` and `ledger_away`, each where it is known."""
        found = [condition for row in rows for condition in self._of_backend(row, wall)]
        found += [*_nobody(rows), *self._of_requests(wall), *self._of_quality(wall), *self._of_budgets(wall)]
        self._refused = {name: of for name, of in self._refused.items() if any(row["id"] == name for row in rows)}
        return [*found, *self._refused.values(), *self._of_machine(facts)]

    def _attempt(self, attempt: Attempt) -> None:
        verdict = attempt.outcome.verdict
        if verdict is _REFUSED:
            self.urgent = True
            error = attempt.outcome.error or attempt.outcome.error_code or "refused"
            message = f"{attempt.backend_id} refuses our key or quota: {error[:200]}"
            self._refused[attempt.backend_id] = _condition(REFUSED, Severity.CRITICAL, message, attempt.backend_id)
        elif verdict is Verdict.SUCCESS:
            self._refused.pop(attempt.backend_id, None)

    def _remembered(self, of: dict[str, deque[Any]], name: str, most: int) -> deque[Any]:
        if name not in of and len(of) >= MOST_SUBJECTS:
            return deque(maxlen=1)
        return of.setdefault(name, deque(maxlen=most))

    def _of_backend(self, row: Mapping[str, Any], wall: float) -> Iterable[Condition]:
        name = str(row["id"])
        if row["draining"]:
            self._looks.pop(name, None)
            return
        breaker = row["breaker"]
        if breaker["state"] != "closed" and name not in self._refused:
            message = f"the circuit breaker of {name} is {breaker['state'].replace('_', '-')}: {breaker['reason']}"
            yield _condition(BREAKER, Severity.CRITICAL, message, name)
        usable = self._remembered(self._looks, name, int(MOST_SCORES))
        usable.append((wall, breaker["state"] != "open" and row["status"] != "unhealthy"))
        measured = (
            ("health", self.thresholds.health, float(row["health"]) if row["requests"] >= LOOKS_NEEDED else None),
            ("availability", self.thresholds.availability, _share(usable, wall - self.thresholds.window)),
            ("failures in a row", self.thresholds.consecutive_failures, float(breaker.get("run", 0))),
        )
        for what, levels, value in measured:
            reached = None if value is None else levels.of(value)
            if reached:
                yield _exceeded(UNHEALTHY, name, reached, f"{what} of {name} is {value:.3g}", value or 0.0)

    def _of_requests(self, wall: float) -> Iterable[Condition]:
        seen = [sample for sample in self._requests if sample[0] >= wall - self.thresholds.window]
        if len(seen) < self.thresholds.minimum_requests:
            return
        failed = sum(bad for _, _, bad in seen) / len(seen)
        if reached := self.thresholds.error_rate.of(failed):
            yield _exceeded(ERRORS, "", reached, f"{failed:.1%} of {len(seen)} requests failed", failed)
        durations = sorted(duration for _, duration, bad in seen if not bad)
        if not durations:
            return
        slow = durations[math.ceil(0.95 * len(durations)) - 1]
        if reached := self.thresholds.response_seconds.of(slow):
            yield _exceeded(LATENCY, "", reached, f"95 % of answers take up to {slow:.2f} s", slow)

    def _of_quality(self, wall: float) -> Iterable[Condition]:
        for name, scores in self._scores.items():
            recent = [quality for at, quality in scores if at >= wall - 12 * self.thresholds.window]
            if len(recent) < self.thresholds.minimum_requests:
                continue
            mean = sum(recent) / len(recent)
            if reached := self.thresholds.quality.of(mean):
                text = f"answers of {name} are worth {mean:.2f} on average ({len(recent)} scored)"
                yield _exceeded(QUALITY, name, reached, text, mean)

    def _of_budgets(self, wall: float) -> Iterable[Condition]:
        self._budgets = {name: of for name, of in self._budgets.items() if wall < _lasts_until(of)}
        for name, of in self._budgets.items():
            reached = self.thresholds.budget.of(1.0 if of.overrun else of.share)
            if reached:
                yield _exceeded(BUDGET, name, reached, _of_budget(of), of.share)

    def _of_machine(self, facts: Mapping[str, float]) -> Iterable[Condition]:
        if facts.get("ledger_unwell"):
            yield _condition(LEDGER, Severity.CRITICAL, "the ledger cannot be written: attempts are not recorded")
        elif facts.get("ledger_away"):
            yield _condition(LEDGER, Severity.WARNING, "PostgreSQL does not answer: records wait on this machine")
        for what in ("cpu", "memory", "disk"):
            levels: Levels = getattr(self.thresholds, what)
            reached = levels.of(facts[what]) if what in facts else None
            if reached:
                yield _exceeded(MACHINE, what, reached, f"{facts[what]:.0%} of {what} is in use", facts[what])


def _nobody(rows: Sequence[Mapping[str, Any]]) -> Iterable[Condition]:
    if rows and all(row["why_not"] is not None for row in rows):
        reasons = "; ".join(f"{row['id']}: {row['why_not']}" for row in rows[:10])
        yield _condition(NOBODY, Severity.EMERGENCY, f"no backend may be asked ({reasons})")


def _lasts_until(of: BudgetCrossed) -> float:
    """A budget without a period is believed for an hour; one that stays spent is told again by its next event."""
    return of.wall + HOUR if of.renews_at is None else of.renews_at


def _of_budget(of: BudgetCrossed) -> str:
    def said(amount: int) -> str:
        return f"${dollars(amount)}" if of.unit in ("usd", "dollars", "nano_usd", "nanousd") else f"{amount} {of.unit}"

    more = f", more than its limit {said(of.limit)}" if of.spent > of.limit else f" of {said(of.limit)}"
    why = "; an upstream billed more than it could at most by its price and its limits" if of.overrun else ""
    return f"budget {of.budget}: {said(of.spent)} spent and {said(of.reserved)} reserved{more}{why}{_forecast(of)}"


def _forecast(of: BudgetCrossed) -> str:
    """When it will be used up if spending goes on as it did."""
    if of.overrun or of.spent >= of.limit:
        return ""
    if of.exhausted_at is None:
        return "" if of.renews_at is None else "; at this pace it lasts until it renews"
    minutes = max(1, round((of.exhausted_at - of.wall) / 60.0))
    return f"; at this pace it is used up in {f'{minutes} min' if minutes < 120 else f'{minutes // 60} h'}"


def _of_canary(event: CanaryDecided) -> Condition:
    verdict = event.verdict.lower()
    severity = Severity.WARNING if any(word in verdict for word in WAITS) else Severity.INFO
    if any(word in verdict for word in HALTS):
        severity = Severity.CRITICAL
    text = f"canary {event.canary} at {event.share:.0%}: {event.message}"
    return _condition(CANARY, severity, text, event.canary, event.share)


def _share(looks: deque[tuple[float, bool]], since: float) -> float | None:
    seen = [good for at, good in looks if at >= since]
    return sum(seen) / len(seen) if len(seen) >= LOOKS_NEEDED else None


def _condition(rule: str, severity: Severity, message: str, subject: str = "", value: float | None = None) -> Condition:
    return Condition(rule=rule, severity=severity, message=message, subject=subject, value=value)


def _exceeded(rule: str, subject: str, reached: tuple[Severity, float], text: str, value: float) -> Condition:
    severity, bound = reached
    return Condition(
        rule=rule, severity=severity, message=text, subject=subject, value=round(value, 6), threshold=bound
    )

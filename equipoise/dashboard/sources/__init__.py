"""Every table by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from equipoise.dashboard.facts import Facts
from equipoise.dashboard.filters import Filters
from equipoise.dashboard.sources import attempts, learned, money, regret, standing
from equipoise.dashboard.table import Table

Source: TypeAlias = Callable[[Facts, Filters], Awaitable[Table]]

SOURCES: Mapping[str, Source] = {
    "backends": standing.backends,
    "traffic": attempts.traffic,
    "latency": attempts.latency,
    "errors": attempts.errors,
    "efficiency": attempts.efficiency,
    "requests": attempts.requests,
    "quality": attempts.quality,
    "budgets": standing.budgets,
    "burn": money.burn,
    "spending": money.spending,
    "breakers": standing.breakers,
    "decisions": standing.decisions,
    "alerts": standing.alerts,
    "alert-history": standing.alert_history,
    "audit": standing.audit,
    "beliefs": learned.beliefs,
    "learners": learned.learners,
    "learned-weights": learned.learned_weights,
    "weights": learned.weights,
    "alone": regret.alone,
    "regret": regret.regret,
    "canary": learned.canary,
    "journal": learned.journal,
    "standing": learned.standing,
}

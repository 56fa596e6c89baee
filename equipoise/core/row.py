"""One backend as a row of the table that people look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.core.model import Verdict, dollars

if TYPE_CHECKING:
    from equipoise.core.backend import Backend


def row_of(backend: Backend, now: float) -> dict[str, Any]:
    """Times in seconds, money in dollars."""
    load, totals = backend.load, backend.totals
    return {
        "id": backend.id,
        "type": backend.options.type.value,
        "model": backend.options.model,
        "status": backend.health.status.value,
        "why_not": backend.unwell(now),
        "breaker": {"state": backend.breaker.state.value, "reason": backend.breaker.reason, **backend.breaker.counts},
        "in_flight": load.in_flight,
        "limit": round(backend.limit.value, 1),
        "pace": round(backend.breaker.pace, 2),
        "weight": backend.weight,
        "priority": backend.options.priority,
        "allows": sorted(backend.options.allows),
        "health": round(backend.health.value(now), 4),
        "success_rate": round(backend.health.success.value, 4),
        "response_time": round(load.response_time.value, 4),
        "first_token": round(load.first_token.value, 4),
        "seconds_per_token": round(load.seconds_per_token.value, 6),
        "quality": round(backend.quality.mean, 4),
        "quality_by_kind": {kind: round(own.mean, 4) for kind, own in backend.quality.kinds.items()},
        "requests": totals["requests"],
        "errors": totals[Verdict.FAILURE] + totals[Verdict.REFUSED],
        "no_answers": totals[Verdict.NO_ANSWER],
        "cost_usd": dollars(totals["cost"]),
        "last_probe": backend.health.probed_at,
        "checks": {"scheduled": backend.health.checks, "failed": backend.health.checks_failed},
        "draining": backend.draining,
    }

"""The specification's own formulas, for reports: they are computed and shown under its names, they do not decide.

Times are milliseconds here because the formulas have their constants in milliseconds; shares lie in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from equipoise.core.model import NANO_PER_USD, Candidate


def health_score(
    *,
    availability: float,
    response_time_ms: float,
    error_rate: float,
    quality: float,
    cpu_percent: float = 0.0,
    healthy: bool = True,
) -> float:
    """Return 0.30 availability + 0.25 speed + 0.25 (1 - errors) + 0.15 quality + 0.05 idle CPU; 0 when unhealthy."""
    if not healthy:
        return 0.0
    speed = max(0.0, (2000.0 - response_time_ms) / 2000.0)
    idle = (100.0 - cpu_percent) / 100.0
    return 0.30 * availability + 0.25 * speed + 0.25 * (1.0 - error_rate) + 0.15 * quality + 0.05 * idle


def speed_score(response_time_ms: float) -> float:
    """Return min(1, 2000 / response time), the response time counted as at least 100 ms."""
    return min(1.0, 2000.0 / max(response_time_ms, 100.0))


def quality_score(*, configured: float, historical: float, reliability: float, response_time_ms: float) -> float:
    """Return 0.4 configured quality + 0.3 historical quality + 0.2 reliability + 0.1 speed."""
    return 0.4 * configured + 0.3 * historical + 0.2 * reliability + 0.1 * speed_score(response_time_ms)


def recorded_quality_score(*, quality: float, reliability: float, performance: float, healthy: bool = True) -> float:
    """Return quality x reliability x (0.9 + 0.1 performance), times 0.7 when not healthy: the class's version."""
    score = quality * reliability * (0.9 + 0.1 * performance)
    return score if healthy else 0.7 * score


def performance_score(*, response_time: float, throughput: float, availability: float) -> float:
    """Return 0.5 response time + 0.3 throughput + 0.2 availability, all three as scores in [0, 1]."""
    return 0.5 * response_time + 0.3 * throughput + 0.2 * availability


def estimated_tokens(query: str, context: str = "") -> float:
    """Return a quarter of the characters of query and context, plus 500."""
    return len(query) / 4.0 + len(context) / 4.0 + 500.0


def cost_efficiency(*, estimated_cost: float, quality: float, performance: float) -> float:
    """Return cost / (quality x performance): less is better; infinite where quality or performance is 0."""
    worth = quality * performance
    return estimated_cost / worth if worth > 0.0 else float("inf")


def learned_weight(weight: float, performance: float, learning_rate: float) -> float:
    """Return the weight moved towards the performance by the learning rate, kept in [0.1, 2]."""
    return min(2.0, max(0.1, weight + learning_rate * (performance - weight)))


def report(candidate: Candidate, *, configured_quality: float | None = None) -> dict[str, float]:
    """Return the specification's numbers for one candidate, for `Decision.scores`; costs in dollars.

    Without `configured_quality` the believed quality stands for it too. CPU is not measured and counts as
    idle; the performance score needs a throughput in the specification's units and is left to who has one.
    """
    c = candidate
    milliseconds = c.response_time * 1000.0
    configured = c.quality_mean if configured_quality is None else configured_quality
    speed = speed_score(milliseconds)
    return {
        "health_score": health_score(
            availability=c.success_rate,
            response_time_ms=milliseconds,
            error_rate=1.0 - c.success_rate,
            quality=c.quality_mean,
        ),
        "quality_score": quality_score(
            configured=configured,
            historical=c.quality_mean,
            reliability=c.reliability,
            response_time_ms=milliseconds,
        ),
        "cost_efficiency": cost_efficiency(
            estimated_cost=c.expected_cost / NANO_PER_USD, quality=configured, performance=speed
        ),
    }


def reports(candidates: Iterable[Candidate]) -> dict[str, dict[str, float | None]]:
    """Return `report` of each candidate by its id, fit for JSON: what is infinite is None."""
    told = ((c.backend_id, report(c)) for c in candidates)
    return {name: {k: v if math.isfinite(v) else None for k, v in numbers.items()} for name, numbers in told}


def status_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the specification's words and numbers for one row of `Selection.status`.

    Shares in percent where the name says so, dollars a request; what nothing was measured for yet is None.
    """
    milliseconds, success = row["response_time"] * 1000.0, row["success_rate"]
    requests = row["requests"]
    return {
        "health_status": row["status"],
        "circuit_breaker": row["breaker"],
        "why_not": row["why_not"],
        "health_score": health_score(
            availability=success,
            response_time_ms=milliseconds,
            error_rate=1.0 - success,
            quality=row["quality"],
            healthy=row["status"] != "unhealthy",
        ),
        "response_time_ms": milliseconds,
        "error_rate": 1.0 - success,
        "availability_percentage": 100.0 * success,
        "quality_score": row["quality"],
        "cost_per_request": float(row["cost_usd"]) / requests if requests else None,
    }


def milliseconds(seconds: float) -> float:
    """Return a duration as the specification's fields have it, to the microsecond."""
    return round(seconds * 1000.0, 3)


def seconds(milliseconds: float) -> float:
    """Return a duration from outside as it is used inside."""
    return milliseconds / 1000.0


def share(percentage: float) -> float:
    """Return a percentage as a share in [0, 1]."""
    return percentage / 100.0


def pace(response_time_ms: float, expected_response_time_ms: float) -> float:
    """Return how many times the expected response time an answer took."""
    return response_time_ms / expected_response_time_ms


def mean(values: Iterable[float]) -> float | None:
    """Return the mean, or None of nothing."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else None

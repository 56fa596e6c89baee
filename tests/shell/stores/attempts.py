"""Attempts to record."""

from __future__ import annotations

from typing import Any

from equipoise.core.model import Attempt, Candidate, CostSource, Decision, Outcome, Usage, Verdict


def candidate(backend_id: str) -> Candidate:
    numbers: dict[str, Any] = dict.fromkeys(Candidate.__struct_fields__, 0.5)
    return Candidate(
        **numbers | {"backend_id": backend_id, "in_flight": 2, "expected_cost": 6_100_000, "backend_type": "perplexity"}
    )


DECISION = Decision(
    backend_id="web",
    strategy="cost_optimized",
    route="auto",
    reason="cheapest of two that are good enough",
    probability=0.75,
    compared={"web": 0.1, "graph": 0.30000000000000004},
    probabilities={"web": 0.75, "graph": 0.25},
    excluded={"spare": "breaker open"},
    candidates=(candidate("web"), candidate("graph")),
    kind="current_research",
)


def attempt(request_id: str = "req-1", number: int = 1, *, cost: int = 6_100_000, **changes: Any) -> Attempt:
    outcome = Outcome(
        verdict=changes.pop("verdict", Verdict.SUCCESS),
        duration=changes.pop("duration", 1.25),
        first_token=0.25,
        usage=Usage(input_tokens=1000, output_tokens=100, searches=1),
        cost=cost,
        cost_source=CostSource.METERED,
        error=changes.pop("error", None),
        status=200,
        citations=3,
    )
    values: dict[str, Any] = {
        "wall": 1_800_000_000.25,
        "tenant": "default",
        "tags": ("team:bio", 'odd "tag"'),
        "backend_id": "web",
        "backend_type": "perplexity",
        "model": "sonar",
        "stream": True,
        "decision": DECISION,
        "features": {"length": 0.5, "year": 1.0},
        "question_hash": "d2f1",
    }
    return Attempt(request_id=request_id, number=number, outcome=outcome, **values | changes)

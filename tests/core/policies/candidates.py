"""Candidates and requests with plain numbers, of which a test names only those it is about."""

from __future__ import annotations

from collections import Counter
from typing import Any

from equipoise.core.model import Candidate, Choice, Policy, Question, Request

PLAIN: dict[str, Any] = {
    "weight": 1.0,
    "in_flight": 0,
    "limit": 10.0,
    "health": 1.0,
    "load": 1.0,
    "completion": 1.0,
    "expected_cost": 1_000_000,
    "quality_mean": 0.8,
    "quality_sd": 0.05,
    "quality_low": 0.75,
    "reliability": 1.0,
    "response_time": 1.0,
    "success_rate": 1.0,
    "effective_weight": 1.0,
    "seconds_per_token": 0.02,
}


def candidate(backend_id: str, **numbers: Any) -> Candidate:
    """A candidate like any other but for the given numbers."""
    return Candidate(backend_id=backend_id, **{**PLAIN, **numbers})


def alike(*ids: str, **numbers: Any) -> list[Candidate]:
    """Candidates with nothing to tell them apart but their ids."""
    return [candidate(backend_id, **numbers) for backend_id in ids]


def weighing(**weights: float) -> list[Candidate]:
    """Candidates that differ by weight."""
    return [candidate(backend_id, weight=weight) for backend_id, weight in weights.items()]


def a_request(**fields: Any) -> Request:
    """A request about nothing in particular."""
    return Request(id="req-1", question=Question(messages=[]), **fields)


def choices(policy: Policy, candidates: list[Candidate], count: int, **fields: Any) -> list[Choice]:
    """What a policy answers when asked the same thing so often, nothing being in flight."""
    request = a_request(**fields)
    return [policy.choose(candidates, request) for _ in range(count)]


def shares(made: list[Choice]) -> dict[str, float]:
    """The share of choices each backend got."""
    return {name: count / len(made) for name, count in Counter(c.backend_id for c in made).items()}


def order(made: list[Choice]) -> str:
    """The chosen ids, one letter each."""
    return "".join(c.backend_id for c in made)


def unlikely(expected: dict[str, float], made: list[Choice]) -> float:
    """How many standard deviations the worst share is off its probability."""
    count = len(made)
    seen = shares(made)
    errors = {name: (p * (1.0 - p) / count) ** 0.5 or 1e-12 for name, p in expected.items()}
    return max(abs(seen.get(name, 0.0) - p) / errors[name] for name, p in expected.items())

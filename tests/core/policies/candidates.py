"""Candidates and requests with plain numbers, of which a test names only those it is about."""

from __future__ import annotations

from collections import Counter
from typing import Any

from equipoise.core.events import AnswerScored
from equipoise.core.model import Candidate, Choice, Decision, Outcome, Policy, Question, Request, Verdict

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
    return Request(**{"id": "req-1", "question": Question(messages=[]), **fields})


KINDS = ("metabolomics", "current_research", "methodology", "review")


def seen_as(kind: str) -> tuple[float, ...]:
    """The features of a question of which only the kind is known."""
    return tuple(2.0 if kind == one else 0.0 for one in KINDS)


def answer(policy: Any, backend: str, quality: float | None, *, request: Request | None = None, **fields: Any) -> None:
    """Tell a learning policy of an answer (None: it failed), as a gateway does; fields are `cost`, `decision`, `own`."""
    request = request or a_request()
    decision = fields.get("decision") or Decision(
        backend_id=backend,
        strategy="adaptive_learning",
        route="auto",
        reason="",
        probability=1.0,
        compared={},
        probabilities={},
        excluded={},
        candidates=(),
    )
    verdict = Verdict.FAILURE if quality is None else Verdict.SUCCESS
    outcome = Outcome(verdict=verdict, duration=1.0, cost=fields.get("cost", 0))
    policy.attempted(request, decision, outcome, own=fields.get("own", True))
    if quality is not None:
        policy.scored(scored(request.id, backend, quality, fields.get("variance", 0.0)))


def scored(request_id: str, backend: str, quality: float, variance: float = 0.0) -> AnswerScored:
    """The news of how good an answer was."""
    return AnswerScored(
        request_id=request_id,
        attempt=1,
        backend_id=backend,
        route="auto",
        tenant="default",
        kind="general",
        role="answer",
        quality=quality,
        variance=variance,
        source="judge",
    )


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

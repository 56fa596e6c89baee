"""Who would be asked, and why, without asking: POST /admin/route/explain {"question": "...", "model", "strategy"}."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.core.attempts import Unanswered
from equipoise.core.model import Decision, NoBackendAvailable
from equipoise.gateway.configuring import read_body
from equipoise.gateway.problems import Problem
from equipoise.http import Request

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer

EXPLAIN = "/admin/route/explain"


class ExplainBody(msgspec.Struct, forbid_unknown_fields=True):
    """A question as `ask` would put it."""

    question: str
    model: str = "auto"
    strategy: str | None = None


def operations(balancer: LoadBalancer) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]]:
    """Method and path to what is done there."""

    async def explain(request: Request) -> dict[str, Any]:
        body = read_body(request.body, ExplainBody)
        return explained(balancer, body.question, model=body.model, strategy=body.strategy)

    return {("POST", EXPLAIN): explain}


def explained(balancer: LoadBalancer, question: str, **hints: Any) -> dict[str, Any]:
    """The decision as a document; nobody chosen is an answer too. Raises Problem for a hint that means nothing."""
    try:
        decision = balancer.decide(question, **hints)
    except NoBackendAvailable as error:
        return {"backend": None, "reason": str(error), "excluded": dict(error.reasons)}
    except Unanswered as error:
        raise Problem(error.status, error.code, f"{error.message}.", should_retry=False) from error
    return document(decision)


def document(decision: Decision) -> dict[str, Any]:
    """A decision for people and programs: who, why, who else was compared, who was left out."""
    return {
        "backend": decision.backend_id,
        "route": decision.route,
        "strategy": decision.strategy,
        "reason": decision.reason,
        "probability": decision.probability,
        "kind": decision.kind,
        "scores": dict(decision.scores),
        "excluded": dict(decision.excluded),
        "panic": decision.panic,
        "specified": decision.specified,
    }

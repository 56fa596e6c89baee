"""Who would be asked, and why, without asking.

    POST /v1/route/explain      {"question": "...", "model", "strategy", ...}, or a whole chat completions body; headers
                                count as they do for a question
    POST /admin/route/explain   the same, for operators

It is the decision that `acquire` would make next, found on copies of everything that would move on.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.core.attempts import Unanswered
from equipoise.core.callers import ANYBODY, Caller
from equipoise.core.intake import Hints
from equipoise.core.model import Candidate, Decision, Message, NoBackendAvailable, Question, dollars
from equipoise.gateway.cache_control import UNSAID, Directives, read_directives
from equipoise.gateway.configuring import read_body
from equipoise.gateway.dialects.base import Asked, Malformed
from equipoise.gateway.dialects.chat import read_chat
from equipoise.gateway.hints import read_hints
from equipoise.gateway.problems import of_malformed, of_unanswered, require_allowed
from equipoise.http import Request

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer
    from equipoise.gateway.caching import ResponseCache

EXPLAIN, PUBLIC = "/admin/route/explain", "/v1/route/explain"


class ExplainBody(msgspec.Struct, forbid_unknown_fields=True):
    """A question as `ask` would put it."""

    question: str
    model: str = "auto"
    strategy: str | None = None
    session: str | None = None
    max_tokens: int | None = None
    stream: bool = False


class _Form(msgspec.Struct):
    """Which of the two bodies it is."""

    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def operations(
    balancer: LoadBalancer, cache: ResponseCache | None = None
) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]]:
    """Method and path to what is done there."""

    async def explain(request: Request) -> dict[str, Any]:
        try:
            return of_request(balancer, request, "", cache=cache)
        except Malformed as error:
            raise of_malformed(error) from error

    return {("POST", EXPLAIN): explain}


def of_request(
    balancer: LoadBalancer,
    request: Request,
    request_id: str,
    caller: Caller = ANYBODY,
    cache: ResponseCache | None = None,
) -> dict[str, Any]:
    """The decision that this body would meet as a question. Raises Problem or Malformed."""
    if read_body(request.body, _Form).messages is not msgspec.UNSET:
        asked = read_chat(request.body)
        hints = read_hints(request.headers, asked, request_id, caller)
        wanted = read_directives(request.headers, asked.metadata)
        return explained(balancer, asked.question, hints, caller, cache, wanted)
    body = read_body(request.body, ExplainBody)
    question = Question(messages=[Message("user", body.question)], max_tokens=body.max_tokens, stream=body.stream)
    hints = read_hints(request.headers, Asked(question, body.model), request_id, caller)
    said = {"strategy": body.strategy or hints.strategy, "session": body.session or hints.session}
    wanted = read_directives(request.headers, None)
    return explained(balancer, question, msgspec.structs.replace(hints, **said), caller, cache, wanted)


def explained(
    balancer: LoadBalancer,
    question: Question,
    hints: Hints,
    caller: Caller = ANYBODY,
    cache: ResponseCache | None = None,
    wanted: Directives = UNSAID,
) -> dict[str, Any]:
    """The decision as a document; nobody chosen is an answer too. Raises Problem for a hint that means nothing."""
    try:
        request, warning = balancer.request(question, hints)
    except Unanswered as error:
        raise of_unanswered(error) from error
    require_allowed(caller, request, balancer)
    told: dict[str, Any] = {"config_hash": balancer.config_hash, "seed": balancer.seed, "role": request.role}
    told |= {"data_classes": sorted(request.data_classes)} if request.data_classes else {}
    told |= {"warning": warning} if warning else {}
    told |= {"cache": foreseen} if cache and (foreseen := cache.foresee(request, hints, wanted)) else {}
    try:
        return document(balancer.explain(request)) | told
    except NoBackendAvailable as error:
        return {"backend": None, "reason": str(error), "code": error.code, "excluded": dict(error.reasons)} | told


def document(decision: Decision) -> dict[str, Any]:
    """A decision for people and programs: who, why, who else was compared and how they did, who was left out."""
    return {
        "backend": decision.backend_id,
        "route": decision.route,
        "strategy": decision.strategy,
        "reason": decision.reason,
        "probability": decision.probability,
        "kind": decision.kind,
        "compared": {name: _finite(score) for name, score in decision.compared.items()},
        "scores": decision.scores,
        "probabilities": dict(decision.probabilities),
        "candidates": [_terms(candidate, decision) for candidate in decision.candidates],
        "excluded": dict(decision.excluded),
        "panic": decision.panic,
        "sampled_from": decision.sampled_from,
    }


def _terms(candidate: Candidate, decision: Decision) -> dict[str, Any]:
    """What the score of one candidate is made of: all the numbers a policy sees."""
    numbers = {name: _finite(value) for name, value in msgspec.structs.asdict(candidate).items()}
    score = decision.compared.get(candidate.backend_id)
    named: dict[str, Any] = {"backend": numbers.pop("backend_id"), "score": None if score is None else _finite(score)}
    return named | {"expected_cost_usd": dollars(candidate.expected_cost)} | numbers


def _finite(value: Any) -> Any:
    """JSON knows no infinity and nothing that is no number."""
    return value if not isinstance(value, float) or math.isfinite(value) else None

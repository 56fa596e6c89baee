"""What can be looked up: the names of models, and the story of one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import unquote

from equipoise.core.callers import Caller
from equipoise.core.model import dollars
from equipoise.gateway.dialects.base import encode
from equipoise.gateway.headers import JSON, clean
from equipoise.gateway.problems import Problem
from equipoise.http import Request, Response
from equipoise.stores import StoreError

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer

T = TypeVar("T")
Reuses: TypeAlias = Callable[[str], Awaitable[list[dict[str, Any]]]]
Usage: TypeAlias = Callable[[Caller], Awaitable[dict[str, Any]]]
MODELS, REQUESTS, USAGE = "/v1/models", "/v1/requests/", "/me/usage"
TEMPLATES = (MODELS, MODELS + "/{model}", REQUESTS + "{request_id}", USAGE)
MAX_ID = 256


async def readable(reading: Awaitable[T]) -> T:
    """What the ledger says; raises Problem 503 when it cannot be read."""
    try:
        return await reading
    except StoreError as error:
        raise Problem(503, "ledger_unavailable", str(error)) from error


class Records:
    """Read-only lookups. A tenant is told only of its own requests."""

    def __init__(
        self,
        balancer: LoadBalancer,
        story: Callable[[str], Awaitable[list[dict[str, Any]] | None]],
        usage: Usage | None = None,
        reuses: Reuses | None = None,
    ) -> None:
        self._balancer, self._story, self._usage, self._reuses = balancer, story, usage, reuses

    def serves(self, path: str) -> bool:
        """Whether `one` knows what this path is about."""
        return path in (MODELS, USAGE) or path.startswith((MODELS + "/", REQUESTS))

    async def one(self, request: Request, caller: Caller, request_id: str, *, everyone: bool) -> Response:
        """All models, one model, one request, or what this caller has used; raises Problem 404."""
        if request.path == MODELS:
            return _json({"object": "list", "data": [_model(name) for name in self._models(caller)]}, request_id)
        if request.path == USAGE:
            return _json(await self._used(caller), request_id)
        if request.path.startswith(REQUESTS):
            wanted = unquote(request.path[len(REQUESTS) :])
            return _json(await self._told(wanted, None if everyone else caller.tenant), request_id)
        return _json(self._one_model(unquote(request.path[len(MODELS) + 1 :]), caller), request_id)

    def _models(self, caller: Caller) -> list[str]:
        """The names this caller may ask for."""
        names = self._balancer.models()
        if caller.routes is None and caller.strategies is None:
            return names
        return [name for name in names if self._may(caller, name)]

    def _may(self, caller: Caller, name: str) -> bool:
        routes = self._balancer.selection.routes
        leads = self._balancer.intake.router.resolve(name)
        if not caller.reaches(leads.route, leads.pinned):
            return False
        strategy = leads.strategy or routes[leads.route].strategy
        return leads.pinned is not None or caller.strategies is None or strategy in caller.strategies

    async def _used(self, caller: Caller) -> dict[str, Any]:
        if self._usage is None:
            raise Problem(404, "no_ledger", "No ledger is kept, so nobody knows what was used.", should_retry=False)
        return await readable(self._usage(caller))

    def _one_model(self, name: str, caller: Caller) -> dict[str, Any]:
        if name not in self._models(caller):
            shown = clean(name).decode("latin-1")
            raise Problem(404, "model_not_found", f"There is no model {shown!r}.", param="model", should_retry=False)
        return _model(name)

    async def _told(self, wanted: str, tenant: str | None) -> dict[str, Any]:
        attempts = await readable(self._story(wanted)) if 0 < len(wanted) <= MAX_ID else None
        mine = [row for row in attempts or () if tenant is None or row.get("tenant") == tenant]
        again = [row for row in await self._given_again(wanted) if tenant in (None, row["tenant"])]
        if not again and all(row.get("parent") == wanted for row in mine):
            raise Problem(404, "request_not_found", "No record of this request is kept.", should_retry=False)
        return _summary(wanted, mine, again)

    async def _given_again(self, wanted: str) -> list[dict[str, Any]]:
        return await readable(self._reuses(wanted)) if self._reuses is not None and 0 < len(wanted) <= MAX_ID else []


def _summary(request_id: str, attempts: list[dict[str, Any]], again: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole of it first, then every attempt with its decision, what a graph asked for it, and what was given again."""
    told = {"cache": again} if again else {}
    if again and all(row.get("parent") == request_id for row in attempts):
        return _answered_before(request_id, again[-1]) | told
    inner = [row for row in attempts if row.get("parent") == request_id]
    attempts = [row for row in attempts if row.get("parent") != request_id]
    last = attempts[-1]
    cost = sum(row["cost"] for row in (*attempts, *inner))
    return {
        "id": request_id,
        "object": "equipoise.request",
        "question_hash": last["question_hash"],
        "answered_by": last["backend_id"] if last["verdict"] == "success" else None,
        "strategy": last["strategy"],
        "reason": last["decision"]["reason"],
        "cost_usd": dollars(cost),
        "attempts": attempts,
        "inner": inner,
        **told,
    }


def _answered_before(request_id: str, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": request_id,
        "object": "equipoise.request",
        "answered_by": record["backend_id"],
        "reason": f"the same question was answered for {record['source']}",
        "cost_usd": dollars(0),
        "attempts": [],
        "inner": [],
    }


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "equipoise"}


def _json(body: dict[str, Any], request_id: str) -> Response:
    return Response(200, (JSON, (b"x-request-id", request_id.encode())), encode(body))

"""What can be looked up: the names of models, and the story of one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from equipoise.core.model import dollars
from equipoise.gateway.dialects.base import encode
from equipoise.gateway.headers import JSON, clean
from equipoise.gateway.problems import Problem
from equipoise.http import Request, Response
from equipoise.stores import StoreError

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer

T = TypeVar("T")
MODELS, REQUESTS = "/v1/models", "/v1/requests/"
TEMPLATES = (MODELS, MODELS + "/{model}", REQUESTS + "{request_id}")
MAX_ID = 256


async def readable(reading: Awaitable[T]) -> T:
    """What the ledger says; raises Problem 503 when it cannot be read."""
    try:
        return await reading
    except StoreError as error:
        raise Problem(503, "ledger_unavailable", str(error)) from error


class Records:
    """Read-only lookups. A tenant is told only of its own requests."""

    def __init__(self, balancer: LoadBalancer, story: Callable[[str], Awaitable[list[dict[str, Any]] | None]]) -> None:
        self._balancer, self._story = balancer, story

    def serves(self, path: str) -> bool:
        """Whether `one` knows what this path is about."""
        return path == MODELS or path.startswith((MODELS + "/", REQUESTS))

    async def one(self, request: Request, tenant: str, request_id: str, *, everyone: bool) -> Response:
        """All models, one model or one request; raises Problem 404."""
        if request.path == MODELS:
            return _json({"object": "list", "data": [_model(name) for name in self._balancer.models()]}, request_id)
        if request.path.startswith(REQUESTS):
            wanted = unquote(request.path[len(REQUESTS) :])
            return _json(await self._told(wanted, None if everyone else tenant), request_id)
        return _json(self._one_model(unquote(request.path[len(MODELS) + 1 :])), request_id)

    def _one_model(self, name: str) -> dict[str, Any]:
        if name not in self._balancer.models():
            shown = clean(name).decode("latin-1")
            raise Problem(404, "model_not_found", f"There is no model {shown!r}.", param="model", should_retry=False)
        return _model(name)

    async def _told(self, wanted: str, tenant: str | None) -> dict[str, Any]:
        attempts = await readable(self._story(wanted)) if 0 < len(wanted) <= MAX_ID else None
        mine = [row for row in attempts or () if tenant is None or row.get("tenant") == tenant]
        if not mine:
            raise Problem(404, "request_not_found", "No record of this request is kept.", should_retry=False)
        return _summary(wanted, mine)


def _summary(request_id: str, attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole of it first, then every attempt with its decision."""
    last = attempts[-1]
    cost = sum(row["cost"] for row in attempts)
    return {
        "id": request_id,
        "object": "equipoise.request",
        "question_hash": last["question_hash"],
        "answered_by": last["backend_id"] if last["verdict"] == "success" else None,
        "strategy": last["strategy"],
        "reason": last["decision"]["reason"],
        "cost_usd": dollars(cost),
        "attempts": attempts,
    }


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "equipoise"}


def _json(body: dict[str, Any], request_id: str) -> Response:
    return Response(200, (JSON, (b"x-request-id", request_id.encode())), encode(body))

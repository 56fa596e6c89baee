"""Old and new side by side: one router for both, and the seven switches of the move.

Phases, a split of traffic by key, shadow copies and rollback are `equipoise.migration` and `equipoise migrate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from equipoise.backends.base import BackendError
from equipoise.migration import IncumbentClient

from ._values import PRODUCTION_LB_FEATURES
from .production_load_balancer import ProductionLoadBalancer

__all__ = ["PRODUCTION_LB_FEATURES", "HybridQueryRouter", "RoutingResult"]


@dataclass(frozen=True)
class RoutingResult:
    """What either router says: who should answer, how sure it is, and what it gave itself (`prediction`).

    `result` is there when the question was answered too, in the form of `send_query`. Unpacks as
    `backend_id, confidence`, the pair that `select_optimal_backend` gives.
    """

    source: str
    backend_id: str | None
    confidence: float | None
    routing_decision: str | None = None
    reasoning: tuple[str, ...] = ()
    prediction: Any = field(default=None, repr=False)
    result: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.backend_id, self.confidence))

    @property
    def text(self) -> str | None:
        """The words of the answer, if there is one."""
        return None if self.result is None else self.result.get("text")


class HybridQueryRouter:
    """Routes by the new balancer while `real_api_health_checks` is on, by the old router otherwise; one result type.

    The old router has `route_query` or `route_query_with_health_monitoring`, plain or a coroutine function.
    `feature_flags` is the table PRODUCTION_LB_FEATURES itself unless another is given; what is changed in it counts
    from the next question on.
    """

    def __init__(
        self, old_router: object, new_lb: ProductionLoadBalancer, feature_flags: dict[str, bool] | None = None
    ) -> None:
        self.old_router, self.new_lb = old_router, new_lb
        self.feature_flags = PRODUCTION_LB_FEATURES if feature_flags is None else feature_flags
        self._old = IncumbentClient(old_router)

    async def route_query(self, query: str, context: Mapping[str, Any] | None = None) -> RoutingResult:
        """Decide and send nothing (an old router that answers at once does; its answer is in `result`).

        Raises RuntimeError when nobody may be asked, and whatever the old router raises.
        """
        if self.new_lb.features != self.feature_flags:
            self.new_lb.update_features(self.feature_flags)
        if self.feature_flags.get("real_api_health_checks", False):
            backend_id, confidence = await self.new_lb.select_optimal_backend(query, context)
            reasons = (self.new_lb.routing_history[-1].reason,)
            return RoutingResult("new", backend_id, confidence, reasoning=reasons)
        said = await self._old.predict(query, context)
        result = None if said.text is None else {"success": True, "text": said.text, "response": said.original}
        return RoutingResult(
            "old", said.backend_id, said.confidence, said.routing_decision, said.reasoning, said.original, result
        )

    async def answer_query(self, query: str, context: Mapping[str, Any] | None = None, **options: Any) -> RoutingResult:
        """Decide and answer. Where the old router only decides, the new balancer asks one of the kind it names."""
        try:
            routed = await self.route_query(query, context)
        except (RuntimeError, BackendError) as error:
            return RoutingResult("none", None, None, result={"success": False, "error": str(error)})
        if routed.result is not None:
            return routed
        backend_id = routed.backend_id
        if backend_id not in self.new_lb.balancer.clients:
            asked = {**(context or {}), "query": query}
            backend_id = await self.new_lb.select_backend(routed.routing_decision or "either", asked)
        result: dict[str, Any] = {"success": False, "error": "No available backends"}
        if backend_id is not None:
            result = await self.new_lb.send_query(backend_id, query, **options)
        return replace(routed, backend_id=backend_id, result=result)

"""Our own field of a body: who answered, after how many attempts, for how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.core.model import dollars

if TYPE_CHECKING:
    from equipoise.balancer import Reply


def story(reply: Reply) -> dict[str, Any]:
    """What headers say too, for those who only see bodies; a corpus where the backend that answered names one."""
    told: dict[str, Any] = {
        "backend": reply.backend_id,
        "strategy": reply.strategy,
        "attempts": len(reply.attempts),
        "cost_usd": dollars(reply.cost),
        "cost_source": reply.cost_source.value,
        "fallback_from": reply.fallback_from,
    }
    return told if reply.corpus is None else told | {"corpus": reply.corpus}

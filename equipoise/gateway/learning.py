"""What is learned, for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from equipoise.balancer import LoadBalancer
from equipoise.http import Request

LEARNING = "/admin/learning"


def operations(balancer: LoadBalancer) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]]:
    """Method and path to what is done there."""

    async def show(request: Request) -> dict[str, Any]:
        return balancer.learning.status() if balancer.learning is not None else {}

    return {("GET", LEARNING): show}

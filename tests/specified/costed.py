"""What can be observed to change with the fields about cost."""

from __future__ import annotations

import time
from typing import Any

from lightrag_integration import PRODUCTION_LB_FEATURES
from tests.specified.conftest import QUESTION, backend_config


def dear_and_cheap(bench: Any) -> tuple[Any, Any]:
    """As good as each other."""
    return bench.nowhere("dear", cost_per_1k_tokens=5.0), bench.nowhere("cheap", cost_per_1k_tokens=0.01)


async def dear_often(it: Any) -> bool:
    """A learner turns to the cheap one only where cost counts."""
    chosen = [(await it.select_optimal_backend(QUESTION))[0] for _ in range(60)]
    return chosen.count("dear") > 15


async def of_enable_cost_optimization(bench: Any) -> list[bool]:
    """Equal but for the price."""
    its = [
        bench.balance(*dear_and_cheap(bench), strategy="adaptive_learning", enable_cost_optimization=on)
        for on in (True, False)
    ]
    return [await dear_often(it) for it in its]


async def of_cost_optimization_target(bench: Any) -> list[float]:
    """Told beside the efficiency."""
    its = [bench.balance(bench.nowhere(), cost_optimization_target=target) for target in (0.8, 0.5)]
    return [it.get_metrics_summary()["cost_efficiency"]["target"] for it in its]


async def of_cost_tracking_window_hours(bench: Any) -> list[float | None]:
    """What was paid two hours ago is remembered, or not."""
    engine, seen = await bench.engine("lightrag"), []
    for hours in (24.0, 1.0):
        of = backend_config("a", "lightrag", engine, cost_per_1k_tokens=1.0)
        it = bench.balance(of, cost_tracking_window_hours=hours)
        await it.send_query("a", QUESTION)
        seen.append(it.balancer.efficiency.ratio(time.time() + 7_200.0))
    return seen


async def cost_optimization(bench: Any) -> list[bool]:
    """The switch, all others being on."""
    features = dict.fromkeys(PRODUCTION_LB_FEATURES, True)
    its = [
        bench.balance(
            *dear_and_cheap(bench), features={**features, "cost_optimization": on}, strategy="adaptive_learning"
        )
        for on in (True, False)
    ]
    return [await dear_often(it) for it in its]


CHECKS = {
    "enable_cost_optimization": of_enable_cost_optimization,
    "cost_optimization_target": of_cost_optimization_target,
    "cost_tracking_window_hours": of_cost_tracking_window_hours,
}

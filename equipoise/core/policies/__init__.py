"""The strategies: one file each, one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from equipoise.core.model import Chance, Policy, Strategy
from equipoise.core.policies.adaptive_learning import AdaptiveLearning
from equipoise.core.policies.configured import NO_OPTIONS, Configured
from equipoise.core.policies.cost_optimized import CostOptimized
from equipoise.core.policies.exploring import Exploring
from equipoise.core.policies.health_aware import HealthAware
from equipoise.core.policies.performance_based import PerformanceBased
from equipoise.core.policies.quality_based import QualityBased
from equipoise.core.policies.round_robin import RoundRobin
from equipoise.core.policies.weighted import Weighted
from equipoise.core.policies.weighted_round_robin import WeightedRoundRobin

PolicyMaker: TypeAlias = Callable[..., Policy]
"""A class (or function) called with the keywords `chance` and `options`: a built-in policy or a user's own."""

STRATEGIES: dict[str, PolicyMaker] = {
    Strategy.ROUND_ROBIN: RoundRobin,
    Strategy.WEIGHTED: Weighted,
    Strategy.HEALTH_AWARE: HealthAware,
    Strategy.WEIGHTED_ROUND_ROBIN: WeightedRoundRobin,
    Strategy.COST_OPTIMIZED: CostOptimized,
    Strategy.PERFORMANCE_BASED: PerformanceBased,
    Strategy.ADAPTIVE_LEARNING: AdaptiveLearning,
    Strategy.QUALITY_BASED: QualityBased,
}


def make_policy(name: str | PolicyMaker, *, chance: Chance, options: Mapping[str, float] = NO_OPTIONS) -> Policy:
    """Return a fresh policy: a strategy by its name, or any class that takes the keywords `chance` and `options`.

    The option `exploration_floor` (a share of decisions; 0 turns it off) goes with every strategy; the others belong to
    one. Raises ValueError for a name or an option nobody knows.
    """
    maker: PolicyMaker
    if isinstance(name, str):
        if name not in STRATEGIES:
            raise ValueError(f"unknown strategy {name!r} (known: {', '.join(sorted(STRATEGIES))})")
        maker = STRATEGIES[name]
    else:
        maker = name
    floor = options.get("exploration_floor", getattr(maker, "exploration_floor", 0.0))
    own = {key: value for key, value in options.items() if key != "exploration_floor"}
    policy = maker(chance=chance, options=own)
    return Exploring(policy, floor=floor, chance=chance) if floor != 0.0 else policy


__all__ = ["STRATEGIES", "Configured", "PolicyMaker", "make_policy"]

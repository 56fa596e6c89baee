"""The routes: who may answer what, by which strategy, and how often a question is repeated."""

from __future__ import annotations

from equipoise.build.cache import cache_of
from equipoise.config import Config, RouteConfig
from equipoise.config.strategies import OwnStrategy
from equipoise.core.model import NANO_PER_USD, Strategy
from equipoise.core.retry import RetryOptions
from equipoise.core.routing import HedgeOptions, Route
from equipoise.waiting import WaitingOptions


def routes_of(config: Config) -> dict[str, Route]:
    named = config.routes or {"auto": RouteConfig()}
    return {name: _route(name, route, config) for name, route in named.items()}


def _route(name: str, of: RouteConfig, config: Config) -> Route:
    floor = config.minimum_quality_threshold if config.enable_quality_based_routing else 0.0
    return Route(
        name=name,
        backends=of.backends or tuple(config.backend_instances),
        strategy=_strategy(of.strategy or config.strategy, config),
        fallback=tuple(_step(target, config) for target in of.fallback),
        timeout=of.timeout_seconds or config.timeout_seconds,
        min_quality=floor if of.min_quality is None else of.min_quality,
        explore=of.explore,
        sticky=of.sticky,
        prefix_characters=of.prefix_affinity.characters if of.prefix_affinity else 0,
        hedge=_hedge(of),
        escalate=of.escalate,
        exploration_floor=config.exploration_floor if of.exploration_floor is None else of.exploration_floor,
        options=_options(of, config),
        data_classes=_data_classes(name, of, config),
        cache=cache_of(of, config),
    )


def guesses_nothing(config: Config) -> bool:
    """Is a model name that nobody knows refused? Where a route says what its questions hold, `auto` must not stand in."""
    said = config.strict_models
    return any(route.data_class for route in config.routes.values()) if said is None else said


def _data_classes(name: str, of: RouteConfig, config: Config) -> frozenset[str]:
    """What its questions hold: its own, and on a graph's way to its models all that the graph may be shown.

    On the wire nothing says which question such a call is for, and one may come after that question is over; so each is
    taken for the most delicate there may be.
    """
    graphs = (backend for backend in config.backend_instances.values() if name in backend.llm_via)
    return frozenset(of.data_class).union(*(graph.allows for graph in graphs))


def _options(of: RouteConfig, config: Config) -> dict[str, dict[str, float]]:
    """The options of each strategy; where cost is not to count, money has no price."""
    options = {
        name: config.strategy_options.get(name, {}) | of.strategy_options.get(name, {})
        for name in config.strategy_options | of.strategy_options
    }
    if not config.enable_cost_optimization:
        learning = Strategy.ADAPTIVE_LEARNING.value
        options[learning] = options.get(learning, {}) | {"price": 0.0, "budget_per_request_usd": 0.0}
    return options


def _hedge(of: RouteConfig) -> HedgeOptions | None:
    hedge = of.hedge
    per_hour = int(hedge.max_usd_per_hour * NANO_PER_USD)
    return HedgeOptions(share=hedge.share, per_hour=per_hour) if hedge.enabled else None


def _step(target: str, config: Config) -> tuple[str, ...]:
    """One step of a fallback chain: a backend, or all backends of another route."""
    if target in config.backend_instances:
        return (target,)
    return config.routes[target].backends or tuple(config.backend_instances)


def _strategy(strategy: Strategy | OwnStrategy, config: Config) -> str:
    learns = strategy is Strategy.ADAPTIVE_LEARNING
    return (Strategy.HEALTH_AWARE if learns and not config.enable_adaptive_routing else strategy).value


def retry_of(config: Config) -> RetryOptions:
    of = config.retry
    return RetryOptions(
        max_attempts=of.max_attempts,
        share=of.share,
        floor_per_second=of.floor_per_second,
        burst=of.burst,
        backoff_base=of.backoff_base_seconds,
        backoff_cap=of.backoff_cap_seconds,
    )


def waiting_of(config: Config) -> WaitingOptions:
    return WaitingOptions(places=config.queue.places, seconds=config.queue.max_wait_seconds)

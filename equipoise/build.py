"""The one door through which a configuration enters: it goes in, objects come out, and nobody behind reads it again."""

from __future__ import annotations

import asyncio
import importlib
import random
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from equipoise.backends import make_client
from equipoise.backends.base import BackendClient, ProbeResult
from equipoise.backends.prober import Prober, Schedule
from equipoise.backends.transport import Patience, endpoint
from equipoise.balancer import Background, LoadBalancer
from equipoise.config import BackendConfig, Config, RouteConfig
from equipoise.config.load import load
from equipoise.config.save import config_hash
from equipoise.config.strategies import OwnStrategy
from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerOptions
from equipoise.core.features import classify
from equipoise.core.intake import Intake
from equipoise.core.model import BackendType, Chance, Policy, Strategy
from equipoise.core.policies import PolicyMaker, make_policy
from equipoise.core.pricing import Price, price_for
from equipoise.core.retry import RetryOptions
from equipoise.core.routing import STRATEGY_NAMES, Route, Router
from equipoise.core.selection import Selection
from equipoise.http import Pool, PoolLimits, client_context
from equipoise.stores.ledger import Ledger
from equipoise.telemetry.prometheus import Metrics

MOST_CONNECTIONS = 1024
LEAST_CONNECTIONS = 100  # the specification's floor


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class Estate(msgspec.Struct):
    """Everything a gateway stands on: the balancer with what observes it. `ledger` and `metrics` may be switched off."""

    balancer: LoadBalancer
    ledger: Ledger | None
    metrics: Metrics | None
    config_hash: str


def load_balancer(source: str | Path | Mapping[str, Any] | Config) -> LoadBalancer:
    """A balancer from a file, a mapping or a Config. Raises ConfigurationError naming everything that is wrong."""
    return build(source if isinstance(source, Config) else load(source).config).balancer


def build(config: Config, on_error: Callable[[str], None] = lambda message: None) -> Estate:
    """Turn a configuration into objects. Opens the ledger; contacts nobody.

    `on_error` is told, in another thread, when the ledger cannot be written. Raises stores.StoreError if it cannot be
    opened.
    """
    clock, chance = SystemClock(), random.Random(config.seed)  # noqa: S311 - for balancing, not for secrets
    fingerprint = config_hash(config)
    backends = [backend_of(name, of, config, chance, clock) for name, of in config.backend_instances.items()]
    clients = {name: client_of(of) for name, of in config.backend_instances.items()}
    routes = _routes(config)
    own = own_policies(config, routes)
    selection = Selection(backends, routes, _policies(chance, own), clock=clock, chance=chance, region=config.region)
    router = Router(
        routes,
        tuple(clients),
        aliases=config.aliases,
        strategies=(*STRATEGY_NAMES, *own),
        strict=config.strict_models,
    )
    ledger = _ledger(config, on_error)
    late = config.routing_decision_timeout_ms / 1000.0
    metrics = Metrics(late_seconds=late) if config.enable_prometheus_metrics else None
    background: list[Background] = [ClosedWithTheBalancer(ledger)] if ledger else []
    if config.enable_real_time_monitoring:
        background.append(_prober(config, selection, clients))
    balancer = LoadBalancer(
        selection,
        clients,
        Intake(router, classify, clock=clock, chance=random.SystemRandom()),
        chance=chance,
        retry=_retry(config),
        background=background,
        config_hash=fingerprint,
    )
    balancer.observers += [sink.observe for sink in (ledger, metrics) if sink is not None]
    if metrics is not None:
        metrics.set_backend_gauges(lambda: balancer.selection.status())  # it can be replaced
        if ledger is not None:
            metrics.set_ledger(ledger.health)
    return Estate(balancer, ledger, metrics, fingerprint)


class ClosedWithTheBalancer:
    """The ledger writes what it still holds when the balancer closes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def start(self) -> None:
        """Open already."""

    async def close(self) -> None:
        """Write what is left, beside the loop."""
        await asyncio.to_thread(self._ledger.close)


def price_of(config: BackendConfig) -> Price | None:
    """The price of a backend as configured or published; None when nobody knows it."""
    option = config.price.model_dump(exclude_none=True) if config.price else None
    search = config.extra_body.get("web_search_options") or config.extra_body
    size = str(search.get("search_context_size", "low")) if isinstance(search, Mapping) else "low"
    return price_for(
        config.backend_type, config.model or "", config.api, option, config.cost_per_1k_tokens, search_context_size=size
    )


def model_of(of: BackendConfig) -> str:
    """What answers there, as far as it is known before an answer: a graph goes by its way of searching."""
    graph = f"lightrag/{of.mode}" if of.backend_type is BackendType.LIGHTRAG else ""
    return of.model or of.preset or graph


def backend_of(name: str, of: BackendConfig, config: Config, chance: Chance, clock: SystemClock) -> Backend:
    """What is remembered of one upstream, from what the operator said of it."""
    breaker = BreakerOptions(
        enabled=of.circuit_breaker_enabled and config.global_circuit_breaker_enabled,
        failure_threshold=of.failure_threshold,
        recovery_seconds=of.recovery_timeout_seconds,
        half_open_probes=of.half_open_max_requests,
    )
    options = BackendOptions(
        id=name,
        type=of.backend_type,
        model=model_of(of),
        weight=of.weight,
        priority=of.priority,
        region=of.region,
        corpus=of.corpus,
        price=price_of(of),
        quality=of.quality_score,
        reliability=of.reliability_score,
        expected_seconds=of.expected_response_time_ms / 1000,
        timeout=of.timeout_seconds,
        supports=frozenset(of.supports),
        context_tokens=of.context_length,
        max_concurrent=of.max_concurrent_requests,
        per_minute=of.max_requests_per_minute,
        probe_threshold=of.consecutive_failures_threshold,
        breaker=breaker,
    )
    backend = Backend(options, chance, clock.monotonic())
    if of.drained:
        backend.drain()
    return backend


def client_of(of: BackendConfig) -> BackendClient:
    """The client that speaks to one upstream."""
    if of.backend_type is BackendType.FUNCTION:
        return make_client(of.backend_type, function=function_named(of.function or ""))
    return make_client(
        of.backend_type,
        endpoint_url=of.endpoint_url,
        api_key=of.api_key.reveal() if of.api_key else None,
        options=_options(of),
        headers={name: value.reveal() for name, value in of.headers.items()},
        pool=pool_of(of),
        patience=Patience(first_byte=of.first_byte_timeout_seconds, idle=of.idle_timeout_seconds),
        probe_timeout=of.health_check_timeout_seconds,
        **_own_options(of),
    )


def _options(of: BackendConfig) -> dict[str, Any]:
    """Fields for every request. LightRAG is asked for the passages it used: its cost is estimated from them."""
    if of.backend_type is BackendType.LIGHTRAG:
        return {"include_chunk_content": True, **of.extra_body}
    return dict(of.extra_body)


def _own_options(of: BackendConfig) -> dict[str, Any]:
    """What only one kind of client takes."""
    match of.backend_type:
        case BackendType.LIGHTRAG:
            return {"mode": of.mode}
        case BackendType.PERPLEXITY if of.api == "agent":
            return {"model": of.model, "preset": of.preset, "api": of.api}
        case BackendType.PERPLEXITY:
            return {"model": of.model, "api": of.api}
        case _:
            return {"model": of.model}


def pool_of(of: BackendConfig) -> Pool:
    """The connections to one upstream."""
    origin, _ = endpoint(str(of.endpoint_url))
    tls: ssl.SSLContext | None = client_context(of.ca_file) if of.ca_file else None
    connections = max(LEAST_CONNECTIONS, of.max_concurrent_requests or MOST_CONNECTIONS)
    return Pool(origin, limits=PoolLimits(connections=connections), tls=tls)


def function_named(name: str) -> Callable[..., Any]:
    """The object that `module:attribute` names. Raises ImportError or AttributeError when there is none."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def _routes(config: Config) -> dict[str, Route]:
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
        exploration_floor=config.exploration_floor if of.exploration_floor is None else of.exploration_floor,
        options={
            name: config.strategy_options.get(name, {}) | of.strategy_options.get(name, {})
            for name in config.strategy_options | of.strategy_options
        },
    )


def _step(target: str, config: Config) -> tuple[str, ...]:
    """One step of a fallback chain: a backend, or all backends of another route."""
    if target in config.backend_instances:
        return (target,)
    return config.routes[target].backends or tuple(config.backend_instances)


def _strategy(strategy: Strategy | OwnStrategy, config: Config) -> str:
    learns = strategy is Strategy.ADAPTIVE_LEARNING
    return (Strategy.HEALTH_AWARE if learns and not config.enable_adaptive_routing else strategy).value


def own_policies(config: Config, routes: Mapping[str, Route]) -> dict[str, PolicyMaker]:
    """The user's own classes by their names, each made once to see that it can be.

    Raises ImportError or AttributeError where there is none, ValueError where it refuses its options.
    """
    said = {route.strategy for route in routes.values()} | {name for of in routes.values() for name in of.options}
    makers: dict[str, PolicyMaker] = {name: function_named(name) for name in sorted(said) if ":" in name}
    for name, maker in makers.items():
        for route in routes.values():
            _made(name, maker, route)
    return makers


def _made(name: str, maker: PolicyMaker, route: Route) -> None:
    try:
        policy = make_policy(maker, chance=random.Random(0), options=route.options_of(name))  # noqa: S311
    except (TypeError, ValueError) as error:
        raise ValueError(f"the strategy {name} cannot be made for route {route.name}: {error}") from error
    if not callable(getattr(policy, "choose", None)):
        raise ValueError(f"the strategy {name} has no method choose(candidates, request)")  # noqa: TRY004


def _policies(chance: Chance, own: Mapping[str, PolicyMaker]) -> Callable[[Route, str], Policy]:
    """Makes the policy of a strategy on a route."""

    def make(route: Route, strategy: str) -> Policy:
        return make_policy(own.get(strategy, strategy), chance=chance, options=route.options_of(strategy))

    return make


def _retry(config: Config) -> RetryOptions:
    of = config.retry
    return RetryOptions(
        max_attempts=of.max_attempts,
        share=of.share,
        floor_per_second=of.floor_per_second,
        burst=of.burst,
        backoff_base=of.backoff_base_seconds,
        backoff_cap=of.backoff_cap_seconds,
    )


def _ledger(config: Config, on_error: Callable[[str], None]) -> Ledger | None:
    path = config.ledger_path
    return Ledger(path, batch_seconds=config.ledger.batch_seconds, on_error=on_error) if path else None


def _prober(config: Config, selection: Selection, clients: Mapping[str, BackendClient]) -> Prober:
    def probed(name: str, result: ProbeResult) -> None:
        selection.probed(name, healthy=result.healthy, error=result.error, details=result.details)

    schedules = {
        name: Schedule(of.health_check_interval_seconds, of.health_check_timeout_seconds)
        for name, of in config.backend_instances.items()
    }
    return Prober(
        clients,
        probed,
        schedules=schedules,
        parallel=config.max_concurrent_health_checks,
        batch=config.health_check_batch_size,
    )

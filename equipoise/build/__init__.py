"""The one door through which a configuration enters: it goes in, objects come out, and nobody behind reads it again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.balancer import Background, LoadBalancer
from equipoise.build.alerts import alerts_of
from equipoise.build.backends import backend_of, client_of, model_of, pool_of
from equipoise.build.background import ClosedWithTheBalancer, ledger_of, prober_of, under_way_of
from equipoise.build.budgets import budgets_of, leasing_of
from equipoise.build.cache import reuses_of
from equipoise.build.clock import SystemClock
from equipoise.build.content import contents_of
from equipoise.build.hooks import hooks_of, tracing_of
from equipoise.build.learning import describer_of, with_learning
from equipoise.build.metrics import connected
from equipoise.build.objects import function_named
from equipoise.build.policies import own_policies, policies_of
from equipoise.build.prices import price_of
from equipoise.build.quality import Lasting, with_scorer
from equipoise.build.routes import guesses_nothing, retry_of, routes_of, waiting_of
from equipoise.build.shared import link_of
from equipoise.config import Config
from equipoise.config.load import load
from equipoise.config.save import config_hash
from equipoise.core.budget import Budgets
from equipoise.core.efficiency import CostEfficiency
from equipoise.core.intake import Intake
from equipoise.core.model import Chance, Clock
from equipoise.core.routing import STRATEGY_NAMES, Router
from equipoise.core.selection import Selection
from equipoise.stores.contents import Contents
from equipoise.stores.leasing import Leasing
from equipoise.stores.ledger import Ledger
from equipoise.stores.quality import QualityRecords
from equipoise.stores.reuses import Reuses
from equipoise.telemetry.alerts import AlertDesk
from equipoise.telemetry.hooks import Hooks
from equipoise.telemetry.prometheus import Metrics

if TYPE_CHECKING:
    from equipoise.stores.redis_link import RedisLink
    from equipoise.telemetry.tracing import Tracing

__all__ = [
    "ClosedWithTheBalancer",
    "Estate",
    "Lasting",
    "SystemClock",
    "backend_of",
    "build",
    "client_of",
    "function_named",
    "load_balancer",
    "model_of",
    "own_policies",
    "pool_of",
    "price_of",
    "selection_of",
]


def selection_of(
    config: Config, clock: Clock, chance: Chance, budgets: Budgets | None = None
) -> tuple[Selection, tuple[str, ...]]:
    """Who decides, by this clock, and the names of the user's own strategies. A simulation stands on the same."""
    backends = [backend_of(name, of, config, chance, clock) for name, of in config.backend_instances.items()]
    routes = routes_of(config)
    own = own_policies(config, routes)
    selection = Selection(
        backends,
        routes,
        policies_of(chance, own),
        clock=clock,
        chance=chance,
        region=config.region,
        budgets=budgets,
        panic=config.cascade_failure_prevention,
    )
    return selection, tuple(own)


def efficiency_of(config: Config, selection: Selection) -> CostEfficiency:
    """How much of what is paid was needed, by the floors of quality of this configuration's routes."""
    floors = {name: route.min_quality for name, route in selection.routes.items()}
    hours, target = config.cost_tracking_window_hours, config.cost_optimization_target
    return CostEfficiency(hours * 3600.0, lambda route: floors.get(route, 0.0), target=target)


class Estate(msgspec.Struct):
    """Everything a gateway stands on: the balancer with what observes it. `ledger` and `metrics` may be switched off."""

    balancer: LoadBalancer
    ledger: Ledger | None
    metrics: Metrics | None
    config_hash: str
    leasing: Leasing
    alerts: AlertDesk | None = None
    quality: QualityRecords | None = None
    hooks: Hooks | None = None
    tracing: Tracing | None = None
    contents: Contents | None = None
    reuses: Reuses | None = None
    link: RedisLink | None = None


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
    clients = {name: client_of(of) for name, of in config.backend_instances.items()}
    selection, own = selection_of(config, clock, chance, budgets_of(config))
    describer = describer_of(config, selection)
    router = Router(
        selection.routes,
        tuple(clients),
        aliases=config.aliases,
        strategies=(*STRATEGY_NAMES, *own),
        strict=guesses_nothing(config),
    )
    ledger = ledger_of(config, on_error)
    late = config.routing_decision_timeout_ms / 1000.0
    metrics = Metrics(late_seconds=late) if config.enable_prometheus_metrics else None
    under_way = under_way_of(ledger, config.ledger.batch_seconds, on_error)
    background: list[Background] = [ClosedWithTheBalancer(each) for each in (ledger, under_way) if each is not None]
    if config.enable_real_time_monitoring:
        background.append(prober_of(config, selection, clients))
    link = link_of(config)
    leasing = leasing_of(config, lambda: balancer.selection.budgets, clock, on_error, link)
    background += [leasing] if link is None else [link, leasing]
    balancer = LoadBalancer(
        selection,
        clients,
        Intake(router, describer.kind, clock=clock, chance=random.SystemRandom(), features=describer.features),
        chance=chance,
        retry=retry_of(config),
        waiting=waiting_of(config),
        background=background,
        config_hash=fingerprint,
        seed=config.seed,
        replenish=leasing.more,
        efficiency=efficiency_of(config, selection),
    )
    alerts = alerts_of(config, lambda: balancer.selection.status(), ledger)  # it can be replaced
    balancer.background += [alerts] if alerts else []
    balancer.observers += [sink.observe for sink in (ledger, under_way, metrics, alerts) if sink is not None]
    if metrics is not None:
        balancer.background += connected(metrics, balancer, ledger, config)
        metrics.set_link(link.health if link is not None else None)
    reuses = reuses_of(config, balancer, on_error)
    records = with_scorer(config, balancer, ledger, on_error)
    hooks, tracing = hooks_of(config), tracing_of(config)
    if tracing is not None:
        balancer.observers.append(tracing.observe)
        balancer.background.append(ClosedWithTheBalancer(tracing))
    if metrics is not None and hooks is not None:
        metrics.set_hooks(hooks.status)
    with_learning(config, balancer, describer, link)
    contents = contents_of(config, on_error)
    balancer.background += [ClosedWithTheBalancer(contents)] if contents is not None else []
    return Estate(
        balancer, ledger, metrics, fingerprint, leasing, alerts, records, hooks, tracing, contents, reuses, link
    )

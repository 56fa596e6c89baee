"""Putting a move together: from objects (`side_by_side`) or from a configuration (`from_config`)."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeGuard

from msgspec.structs import replace

from equipoise.backends.base import BackendClient
from equipoise.backends.prober import Prober
from equipoise.backends.transport import Patience
from equipoise.balancer import LoadBalancer
from equipoise.build import Estate, SystemClock, backend_of, client_of, function_named, pool_of
from equipoise.build.canary import rules_of
from equipoise.build.metrics import look_at
from equipoise.build.store import state_in
from equipoise.canary.shadow import Shadow
from equipoise.config import Config
from equipoise.config.migration import IncumbentConfig, MigrationConfig
from equipoise.core.allowance import Allowance
from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerOptions
from equipoise.core.canary import Rules
from equipoise.core.model import NANO_PER_USD, BackendType, Policy, Strategy
from equipoise.core.policies import make_policy
from equipoise.core.rollout import SHADOW, Criteria
from equipoise.core.routing import Route
from equipoise.core.selection import Selection
from equipoise.migration.checks import Check, Look, Target, check_all
from equipoise.migration.features import Features, Switched
from equipoise.migration.incumbent import Answerer, HTTPIncumbent, IncumbentClient
from equipoise.migration.keeping import Keeping, stored
from equipoise.migration.migration import Migration
from equipoise.migration.settings import INCUMBENT, Settings
from equipoise.migration.split import SplitBalancer
from equipoise.migration.tallies import Tallies
from equipoise.migration.watching import Watching
from equipoise.reply import Reply
from equipoise.stores import Ledger
from equipoise.stores.state import StateStore

CLIENT = ("send", "stream", "probe", "close")
NO_BREAKER = BreakerOptions(enabled=False)
DEFAULT_SETTINGS = Settings()


def side_by_side(
    candidate: LoadBalancer,
    incumbent: object,
    *,
    store: StateStore | str | Path,
    settings: Settings = DEFAULT_SETTINGS,
    options: BackendOptions | None = None,
    checks: Callable[[], Awaitable[Sequence[Check]]] | None = None,
    ledger: Ledger | None = None,
    on_trouble: Callable[[str], None] = lambda message: None,
    wall: Callable[[], float] = time.time,
) -> Migration:
    """An old side and a new one behind one `migration.balancer`, which takes over the candidate: start and close that.

    `incumbent` is a BackendClient, an object with `route_query_with_health_monitoring` or `route_query`, or a callable;
    a router that only decides is answered for by the candidate's backends. `store` is the file of the state. Without
    `checks`, both sides' probes, resources and stores are looked at. Raises StoreError if the file cannot be opened.
    """
    if candidate.scorer is None:
        settings = replace(settings, pending={**settings.pending, "quality_score_minimum": "a scorer"})
    opened = store if isinstance(store, StateStore) else StateStore(store)
    client = incumbent if _is_client(incumbent) else IncumbentClient(incumbent, answerers(candidate))
    probing = _make_switchable(candidate)
    tallies = Tallies(opened)
    balancer = SplitBalancer(
        candidate, control_of(candidate, options), client, settings=settings, tallies=tallies, state=stored(opened)[1]
    )
    keeping = Keeping(opened, balancer, tallies, Features(balancer, probing), on_trouble)
    balancer.shadow = _shadow(balancer, tallies, settings)
    balancer.beside(keeping)
    if balancer.shadow is not None:
        balancer.beside(balancer.shadow)
    looked = checks or _own_checks(balancer, opened, ledger)
    migration = Migration(balancer, keeping, settings, looked, wall=wall)
    if settings.rules is not None:
        migration.measured = Watching(migration, opened, settings.rules, on_trouble).watch.table
    return migration


def control_of(candidate: LoadBalancer, options: BackendOptions | None = None) -> Selection:
    """The old side as a selection of one backend, without a breaker: before the move nothing kept questions from it."""
    clock, chance = candidate.selection.clock, random.Random(0)  # noqa: S311 - one backend: nothing is left to chance
    how = options or BackendOptions(id=INCUMBENT, type=BackendType.FUNCTION, timeout=600.0, breaker=NO_BREAKER)
    backend = Backend(replace(how, id=INCUMBENT), chance, clock.monotonic())
    routes = {
        name: Route(name=name, backends=(INCUMBENT,), strategy=Strategy.ROUND_ROBIN.value, timeout=route.timeout)
        for name, route in candidate.selection.routes.items()
    }

    def policy(route: Route, strategy: str) -> Policy:
        return make_policy(strategy, chance=chance)

    return Selection([backend], routes, policy, clock=clock, chance=chance)


def answerers(candidate: LoadBalancer) -> Mapping[str, Answerer]:
    """Who answers for a router that only decides: by kind (the first of each) and by backend id."""
    found: dict[str, Answerer] = {}
    for name, backend in candidate.selection.backends.items():
        answerer = Answerer(candidate.clients[name], backend.options.price, backend.options.allows)
        found.setdefault(backend.options.type.value, answerer)
        found.setdefault(name, answerer)
    return found


def from_config(
    config: Config,
    estate: Estate,
    *,
    configuration: Look = tuple,
    on_trouble: Callable[[str], None] = lambda message: None,
) -> Migration | None:
    """The move that a configuration describes, or None where it describes none; the estate's balancer becomes the split.

    `configuration` looks at the file before each phase. Raises StoreError, or ValueError, ImportError, AttributeError
    for an old side that cannot be had.
    """
    of = config.migration
    if of is None:
        return None
    client = incumbent_client(of.incumbent, answerers(estate.balancer))
    backend = backend_of(INCUMBENT, of.incumbent, config, random.Random(0), SystemClock())  # noqa: S311
    store = StateStore(state_in(config))
    targets = [*_targets(config, estate.balancer), _target(of.incumbent, client)]
    look = partial(
        check_all,
        targets,
        environ=os.environ,
        folder=store.database.folder,
        store=store,
        ledger=estate.ledger,
        configuration=configuration,
    )
    migration = side_by_side(
        estate.balancer,
        client,
        store=store,
        settings=settings_of(of, rules_of(config) if of.automatic_rollback else None),
        options=backend.options,
        checks=look,
        on_trouble=on_trouble,
    )
    estate.balancer = migration.balancer
    if estate.metrics is not None:
        look_at(estate.metrics, migration.balancer)
        estate.metrics.set_backend_gauges(lambda: migration.balancer.status()["backends"])
    return migration


def incumbent_client(of: IncumbentConfig, who_answers: Mapping[str, Answerer]) -> BackendClient:
    """The old side's client: a Python object, an endpoint of its own kind, or one of the kinds we speak."""
    if of.question_field is not None:
        return HTTPIncumbent(
            str(of.endpoint_url),
            question_field=of.question_field,
            options=of.extra_body,
            api_key=of.api_key.reveal() if of.api_key else None,
            headers={name: value.reveal() for name, value in of.headers.items()},
            pool=pool_of(of),
            patience=Patience(first_byte=of.first_byte_timeout_seconds, idle=of.idle_timeout_seconds),
            probe_path=of.health_check_path,
            probe_timeout=of.health_check_timeout_seconds,
        )
    if of.backend_type is BackendType.FUNCTION:
        return IncumbentClient(function_named(of.function or ""), who_answers)
    return client_of(of)


def settings_of(of: MigrationConfig, rules: Rules | None = None) -> Settings:
    """The section as plain values; both sides are compared by these rules, if any."""
    return Settings(
        criteria=Criteria(**of.criteria.model_dump()),
        holds={phase: minutes * 60 for phase, minutes in of.hold_minutes.items()},
        salt=of.salt,
        tenants_are_keys=of.split_by_tenant,
        shadow_share=of.shadow.share,
        shadow_per_hour=round(of.shadow.max_usd_per_hour * NANO_PER_USD),
        shadow_parallel=of.shadow.parallel,
        validation_cost=round(of.validation.max_usd * NANO_PER_USD),
        validation_queries=of.validation.queries,
        rescue=of.rescue,
        rules=rules,
    )


def _targets(config: Config, candidate: LoadBalancer) -> list[Target]:
    return [
        Target(name=name, client=candidate.clients[name], url=of.endpoint_url, has_key=of.api_key is not None)
        for name, of in config.backend_instances.items()
    ]


def _target(of: IncumbentConfig, client: BackendClient) -> Target:
    return Target(name=INCUMBENT, client=client, url=of.endpoint_url, has_key=of.api_key is not None)


def _own_checks(
    balancer: SplitBalancer, store: StateStore, ledger: Ledger | None
) -> Callable[[], Awaitable[Sequence[Check]]]:
    targets = [Target(name=name, client=client) for name, client in balancer.clients.items()]
    return partial(check_all, targets, environ=os.environ, folder=store.database.folder, store=store, ledger=ledger)


def _is_client(incumbent: object) -> TypeGuard[BackendClient]:
    return all(callable(getattr(incumbent, name, None)) for name in CLIENT)


def _make_switchable(candidate: LoadBalancer) -> Switched | None:
    """Probing, where the configuration wants it, as something a phase can switch."""
    for index, background in enumerate(candidate.background):
        if isinstance(background, Prober):
            candidate.background[index] = switched = Switched(background, on=False)
            return switched
    return None


def _shadow(balancer: SplitBalancer, tallies: Tallies, settings: Settings) -> Shadow | None:
    if not settings.shadow_share or not settings.shadow_per_hour:
        return None

    def compared(old: Reply, new: Reply, overlap: float) -> None:
        amounts = {"compared": 1, "overlap": overlap, "old_seconds": old.duration, "new_seconds": new.duration}
        tallies.add(balancer.state.era, SHADOW, **amounts, old_cost=old.cost, new_cost=new.cost)

    return Shadow(
        balancer.answer,
        balancer.for_shadow,
        compared,
        wanted=lambda: balancer.state.phase == 1 and balancer.state.percentage == 0,
        share=settings.shadow_share,
        allowance=Allowance(settings.shadow_per_hour, settings.shadow_parallel, balancer.selection.clock),
        chance=random.Random(),  # noqa: S311 - a sample, not a secret
        parallel=settings.shadow_parallel,
        queue=settings.shadow_queue,
    )

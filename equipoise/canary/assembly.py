"""Putting a canary together from a configuration: the estate's balancer gets a place for a candidate beside it."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.build import Estate
from equipoise.build.canary import plan_of, rules_of
from equipoise.build.metrics import look_at
from equipoise.build.store import ledger_in, state_in
from equipoise.canary.canary import Canary
from equipoise.canary.candidates import Candidates
from equipoise.canary.replaying import over
from equipoise.canary.settings import Settings
from equipoise.canary.sides import CanaryBalancer
from equipoise.config import Config
from equipoise.core.model import NANO_PER_USD
from equipoise.stores.state import SharedState, StateStore

FOLDER = "canary"


def from_config(
    config: Config,
    estate: Estate,
    control: Callable[[], Config],
    on_trouble: Callable[[str], None] = lambda message: None,
) -> Canary:
    """A canary that can be started; `control` gives the configuration that is gone by. Raises StoreError."""
    of = config.canary
    store = _state_of(config, estate)
    balancer = CanaryBalancer(estate.balancer, salt=of.salt, sticky_by=of.sticky_by, rescue=of.rescue)
    settings = Settings(
        rules=rules_of(config),
        plan=plan_of(of),
        copy_share=of.copies.share,
        copies_per_hour=round(of.copies.max_usd_per_hour * NANO_PER_USD),
        copies_at_once=of.copies.parallel,
        require_replay=of.require_replay,
    )
    over_hosts = config.shared.postgres is not None or estate.link is not None
    candidates = Candidates(config.state_path / FOLDER, control, store if over_hosts else None)
    replay = over(ledger_in(config))
    canary = Canary(balancer, store, candidates, settings, replay=replay, on_trouble=on_trouble)
    estate.balancer = balancer
    if estate.metrics is not None:
        look_at(estate.metrics, balancer)
    return canary


def _state_of(config: Config, estate: Estate) -> SharedState:
    """Where all gateways that are one look: PostgreSQL, else Redis, else this host's file."""
    if estate.link is None or config.shared.postgres is not None:
        return StateStore(state_in(config))
    from equipoise.stores.redis_state import RedisState

    return RedisState(estate.link)

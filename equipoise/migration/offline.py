"""A plan without a gateway: what an order would do, and which checks would fail, as seen from this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from equipoise.build import client_of
from equipoise.build.store import state_in
from equipoise.config import BackendConfig, Config
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import Loaded, load
from equipoise.config.migration import IncumbentConfig
from equipoise.core.rollout import Order, State
from equipoise.migration.assembly import incumbent_client, settings_of
from equipoise.migration.checks import (
    FAILED,
    OK,
    WARNING,
    Check,
    Target,
    connectivity,
    disk,
    environment,
    health_endpoint,
    memory,
)
from equipoise.migration.migration import planned
from equipoise.migration.settings import INCUMBENT, TOPIC, Settings
from equipoise.stores.database import Database

Document = dict[str, Any]


async def plan_offline(
    file: Path | None, order: Order, *, now: float, environ: Mapping[str, str] | None = None
) -> Document:
    """The plan of an order as a document like `Migration.plan`'s, with `gateway` false. Asks nobody but free probes.

    What is wrong with the configuration is a failed check. Raises ValueError for an order that makes no sense.
    """
    order.target()
    checks: list[Check] = []
    try:
        loaded = load(file)
    except ConfigurationError as error:
        checks = [Check("configuration", FAILED, str(error)), disk(Path.home()), memory()]
        return {**planned(State(), order, now, Settings(), checks, ()), "gateway": False}
    checks = await _checks(loaded, os.environ if environ is None else environ)
    of = loaded.config.migration
    settings = settings_of(of) if of else Settings()
    state = await asyncio.to_thread(stored_state, state_in(loaded.config))
    return {**planned(state, order, now, settings, checks, ()), "gateway": False}


def stored_state(database: Database) -> State:
    """The state that a gateway left there; the state before everything where there is no such file."""
    if not database.exists():
        return State()
    with database.reading("the state") as connection:
        row = connection.execute("SELECT value FROM state WHERE name = ?", (TOPIC,)).fetchone()
    return msgspec.json.decode(row["value"], type=State) if row else State()


async def _checks(loaded: Loaded, environ: Mapping[str, str]) -> list[Check]:
    config = loaded.config
    of = config.migration
    told = Check("configuration", OK, f"{loaded.source} is good")
    if of is None:
        told = Check("configuration", FAILED, f"{loaded.source} has no migration: section, so there is no old side")
    targets, broken = _targets(config)
    found = [environment(targets, environ)]
    found += await asyncio.gather(*(connectivity(target) for target in targets))
    found += await asyncio.gather(*(health_endpoint(target) for target in targets))
    for target in targets:
        await target.client.close()
    return [*found, *broken, told, _room(config.state_path), memory()]


def _targets(config: Config) -> tuple[list[Target], list[Check]]:
    """Whoever can be looked at without running anybody's code: objects of the old application stay unloaded."""
    sides: dict[str, BackendConfig] = dict(config.backend_instances)
    if config.migration is not None:
        sides[INCUMBENT] = config.migration.incumbent
    targets, notes = [], []
    for name, of in sides.items():
        if of.function is not None:
            notes.append(
                Check(f"health endpoint: {name}", WARNING, f"not looked at: {of.function} runs in the gateway")
            )
            continue
        try:
            client = incumbent_client(of, {}) if isinstance(of, IncumbentConfig) else client_of(of)
        except (ValueError, OSError) as error:
            notes.append(Check(f"health endpoint: {name}", FAILED, str(error)))
            continue
        targets.append(Target(name=name, client=client, url=of.endpoint_url, has_key=of.api_key is not None))
    return targets, notes


def _room(state: Path) -> Check:
    """Room where the state will be, which may not exist yet."""
    return disk(next((folder for folder in (state, *state.parents) if folder.exists()), Path("/")))

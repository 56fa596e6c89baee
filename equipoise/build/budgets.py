"""The budgets: from what an operator said to what is counted, and who renews it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from equipoise.build.clock import SystemClock
from equipoise.config import Config
from equipoise.config.budgets import BudgetConfig
from equipoise.core.account import GRACE, LEAD, SPARE, BudgetOptions, Unit
from equipoise.core.budget import Budgets
from equipoise.core.pacing import Pacer
from equipoise.core.pricing import nano_dollars
from equipoise.core.selection import LONGEST_STREAM
from equipoise.core.window import Window
from equipoise.stores.leases import LeaseStore
from equipoise.stores.leasing import Leasing
from equipoise.stores.sqlite_leases import SqliteLeases

if TYPE_CHECKING:
    from equipoise.stores.redis_link import RedisLink

FAIL_CLOSED = "fail_closed"
SECONDS = {"hour": 3600.0, "day": 86_400.0, "month": 30 * 86_400.0}
ORDINARY = "ordinary"
"""What is left of a budget for those who have no priority is a budget of its own: NAME:ordinary."""


def budgets_of(config: Config) -> Budgets:
    """All budgets, their windows and, where spending is paced, their pacers; the accounts of known scopes are open."""
    said = list(options_of(config))
    windows = {of.name: window_of(config.budgets[of.name.partition(":")[0]]) for of in said}
    budgets = Budgets(said, windows)
    if config.enable_cost_optimization:
        budgets.pacers = {of.name: Pacer(of.limit) for of in said if _is_paced(config, of.name)}
    budgets.longest = GRACE + longest_answer(config)
    keys = config.keys
    budgets.known_scopes(
        backends=config.backend_instances, tenants={"default", *(key.tenant for key in keys.values())}, keys=keys
    )
    return budgets


def longest_answer(config: Config) -> float:
    """Seconds that an attempt may take at most, by anybody's deadline."""
    backends = [of.timeout_seconds for of in config.backend_instances.values()]
    routes = [min(route.timeout_seconds or config.timeout_seconds, LONGEST_STREAM) for route in config.routes.values()]
    return max(config.timeout_seconds, *backends, *routes)


def _is_paced(config: Config, name: str) -> bool:
    return name in config.budgets and config.budgets[name].paced


def options_of(config: Config) -> Iterator[BudgetOptions]:
    """What each budget counts."""
    for name, of in config.budgets.items():
        unit, limit = _amount(of)
        ahead = _ahead(config)
        yield _options(name, of, unit, limit, frozenset(), ahead)
        if of.hold_back:
            left = int(limit * (1.0 - of.hold_back))
            yield _options(f"{name}:{ORDINARY}", of, unit, left, frozenset(of.priority_tenants), ahead)


def _ahead(config: Config) -> tuple[float, int]:
    """What each process holds ahead: seconds of demand, and reservations when there is none."""
    redis = config.shared.redis
    return (LEAD, 0) if redis is None else (redis.lead_seconds, SPARE)


def _options(
    name: str, of: BudgetConfig, unit: Unit, limit: int, exempt: frozenset[str], ahead: tuple[float, int]
) -> BudgetOptions:
    return BudgetOptions(
        name=name,
        limit=limit,
        unit=unit,
        backend=of.backend,
        tenant=of.tenant,
        key=of.key,
        tag=of.tag,
        named=of.named,
        exempt=exempt,
        alerts=tuple(sorted(of.alerts)),
        lead=ahead[0],
        spare=ahead[1],
    )


def _amount(of: BudgetConfig) -> tuple[Unit, int]:
    if of.usd is not None:
        return Unit.USD, nano_dollars(of.usd)
    return (Unit.REQUESTS, of.requests) if of.requests is not None else (Unit.TOKENS, of.tokens or 0)


def window_of(of: BudgetConfig) -> Window:
    """When a budget begins anew."""
    if of.window == "total":
        return Window()
    if of.rolling:
        return Window(length=SECONDS[of.window])
    return Window(bounds=calendar(of.window, of.time_zone))


def calendar(unit: str, time_zone: str) -> Callable[[float], tuple[float, float]]:
    """The hour, day or month an instant lies in, where that clock hangs: a day may have 23 or 25 hours."""
    zone = ZoneInfo(time_zone)

    def bounds(wall: float) -> tuple[float, float]:
        if unit == "hour":
            began = wall // 3600 * 3600
            return began, began + 3600
        here = datetime.fromtimestamp(wall, zone)
        first = here.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if unit == "month":
            first = first.replace(day=1)
            following = (first + timedelta(days=32)).replace(day=1)
        else:
            following = first + timedelta(days=1)
        return first.timestamp(), following.timestamp()

    return bounds


def leasing_of(
    config: Config,
    budgets: Callable[[], Budgets],
    clock: SystemClock,
    on_error: Callable[[str], None],
    link: RedisLink | None = None,
) -> Leasing:
    """Who renews the slices of this process: from the Redis of the fleet where there is one, else from this machine's file."""
    folder: Path = config.state_path
    redis = config.shared.redis
    return Leasing(
        budgets,
        (lambda: SqliteLeases(folder / "budgets.sqlite3")) if link is None else over_hosts(config, link),
        secrets.token_hex(6),
        clock=clock,
        folder=None if sys.platform == "win32" else folder,
        on_error=on_error,
        keep_seconds=alone_for(config) if link is not None else 0.0,
        fail_closed=redis is not None and redis.when_gone == FAIL_CLOSED,
    )


def alone_for(config: Config) -> float:
    """How many seconds a gateway goes on with its shares without Redis."""
    of = config.shared.redis
    return 0.0 if of is None or of.when_gone == FAIL_CLOSED else of.local_seconds


def over_hosts(config: Config, link: RedisLink) -> Callable[[], LeaseStore]:
    """Opens the store of headroom in Redis. Raises ValueError where a limit is more than can be counted there."""
    from equipoise.stores.redis_leases import MOST, RedisLeases

    for of in options_of(config):
        if of.limit > MOST:
            raise ValueError(f"budgets.{of.name}: at most {of.unit.written(MOST)} can be shared through Redis")
    return lambda: RedisLeases(link, alone_for(config))

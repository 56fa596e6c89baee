"""What runs beside the questions: the ledger and the health probes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from equipoise.backends.base import BackendClient, ProbeResult
from equipoise.backends.prober import Prober, Schedule
from equipoise.build.store import ledger_in
from equipoise.config import Config
from equipoise.core.accounting import bill_of
from equipoise.core.backend import Backend
from equipoise.core.events import AttemptEnded
from equipoise.core.model import Attempt, Clock, Decision, Outcome, Usage, Verdict
from equipoise.core.selection import Selection
from equipoise.stores.ledger import Ledger

if TYPE_CHECKING:
    from equipoise.stores.under_way import UnderWay

DAY = 86_400.0
SURELY_WRITTEN = 2.0
"""Seconds, beside some batches, after which the record of an attempt is in the ledger unless the disk is ill."""
PROBE = "probe"
"""Strategy, route, role and tag of what a health probe has used."""


class Closable(Protocol):
    """Something whose closing may take a moment."""

    def close(self) -> None: ...


class ClosedWithTheBalancer:
    """The ledger writes what it still holds when the balancer closes; other files close, too."""

    def __init__(self, of: Closable) -> None:
        self._of = of

    async def start(self) -> None:
        """Open already."""

    async def close(self) -> None:
        """Write what is left, beside the loop."""
        await asyncio.to_thread(self._of.close)


def ledger_of(config: Config, on_error: Callable[[str], None]) -> Ledger | None:
    database, of = ledger_in(config), config.ledger
    if database is None:
        return None
    return Ledger(
        database,
        batch_seconds=of.batch_seconds,
        max_rows=of.max_records,
        max_age=of.keep_days * DAY,
        on_error=on_error,
    )


def under_way_of(ledger: Ledger | None, batch_seconds: float, on_error: Callable[[str], None]) -> UnderWay | None:
    """Where attempts are noted while they last; what earlier processes left there is booked now.

    None on Windows, and where the disk has no room for it, which is told.
    """
    if ledger is None or sys.platform == "win32":
        return None
    from equipoise.stores.under_way import UnderWay, left_behind

    folder = ledger.database.folder
    for attempt in left_behind(folder):
        ledger.record(attempt)
    try:
        return UnderWay(folder, keep_seconds=SURELY_WRITTEN + 4.0 * batch_seconds)
    except OSError as error:
        on_error(f"what is under way is not noted in {folder}: {error.strerror or error}")
        return None


def probe_record(backend: Backend, result: ProbeResult, clock: Clock) -> Attempt:
    """What a probe that is not free has used, as the record of an attempt of ours."""
    bill = bill_of(backend.options.price, result.usage or Usage(requests=0), None)
    return Attempt(
        request_id=f"probe-{backend.id}-{backend.health.checks}",
        number=1,
        wall=clock.wall(),
        tenant="default",
        tags=(PROBE,),
        backend_id=backend.id,
        backend_type=backend.options.type.value,
        model=backend.options.model,
        stream=False,
        decision=Decision(
            backend_id=backend.id,
            strategy=PROBE,
            route=PROBE,
            reason="a deep health probe",
            probability=1.0,
            compared={},
            probabilities={},
            excluded={},
            candidates=(),
        ),
        outcome=Outcome(
            verdict=Verdict.IGNORED,
            duration=result.seconds,
            usage=result.usage or Usage(requests=0),
            cost=bill.cost,
            cost_source=bill.source,
            price_source=bill.price,
            error=result.error,
        ),
        role=PROBE,
    )


def prober_of(config: Config, selection: Selection, clients: Mapping[str, BackendClient]) -> Prober:
    def probed(name: str, result: ProbeResult) -> None:
        selection.probed(
            name, healthy=result.healthy, error=result.error, details=result.details, completed=result.completed
        )
        if result.usage is not None:
            told = AttemptEnded(probe_record(selection.backends[name], result, selection.clock))
            for observer in selection.observers:
                observer(told)

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

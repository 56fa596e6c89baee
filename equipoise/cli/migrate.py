"""`equipoise migrate plan|apply|status|rollback`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.cli import migrate_report as report
from equipoise.cli import migrating
from equipoise.cli.agreeing import agree
from equipoise.cli.exits import OK, UNREACHABLE, USAGE, Failure
from equipoise.cli.output import Output, as_documents, tell
from equipoise.core.rollout import Order

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
Document = dict[str, Any]


def plan(
    *,
    phase: int | None = None,
    percentage: float | None = None,
    force: bool = False,
    config: ConfigFile = None,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Say what an order would do and which checks and gates hold it back; changes nothing, spends nothing.

    Asks the running gateway; where none answers, the configuration and this machine are looked at instead.

    Parameters
    ----------
    phase: int
        The phase to begin (default: the next one).
    percentage: float
        Instead of a phase: exactly so many percent of the traffic.
    force: bool
        Pass over the order of phases and hold times.
    config: Path
        Where no gateway answers: the file; otherwise the one that `serve` would take.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    return _shown(asyncio.run(_planned(_order(phase, percentage, force), config, admin_url)), output, json)


def apply(
    *,
    phase: int | None = None,
    percentage: float | None = None,
    force: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    who: str | None = None,
    why: str = "",
    config: ConfigFile = None,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Begin a phase on the running gateway, after its checks, gates and validation queries (these cost money).

    Exit code 0 when it was done, 1 when a check or a gate failed, 4 when the order of phases or a hold time forbids it.

    Parameters
    ----------
    phase: int
        The phase to begin (default: the next one).
    percentage: float
        Instead of a phase: exactly so many percent; runs the gates of every phase passed and waits for no hold time.
    force: bool
        Pass over the order of phases, hold times, failed checks and gates; no validation query is sent.
    dry_run: bool
        Only print the plan.
    yes: bool
        Do not ask before moving live traffic.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    config: Path
        For --dry-run where no gateway answers.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    order = _order(phase, percentage, force)
    if dry_run:
        return _shown(asyncio.run(_planned(order, config, admin_url)), output, json)
    agree(yes, "This moves live traffic.")
    return _shown(asyncio.run(_applied(order, who, why, migrating.admin_url(admin_url))), output, json)


def status(*, admin_url: str | None = None, output: Output = None, json: bool = False) -> int:
    """Show phase, evidence, gates and the journal of a running gateway's migration.

    Parameters
    ----------
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    found = asyncio.run(migrating.fetch_status(migrating.admin_url(admin_url)))
    if not as_documents(found, output, json):
        report.standing(found)
    return OK


def rollback(
    phase: int | None = None,
    *,
    dry_run: bool = False,
    yes: bool = False,
    who: str | None = None,
    why: str = "",
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Go back to an earlier phase of the running gateway, at once and from any phase; nothing is waited for.

    Parameters
    ----------
    phase: int
        The phase to go back to; 0 is before the first (default: the one before).
    dry_run: bool
        Only say from where to where.
    yes: bool
        Do not ask before moving live traffic.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    url = migrating.admin_url(admin_url)
    if not dry_run:
        agree(yes, "This moves live traffic back.")
    return _shown(asyncio.run(_rolled_back(phase, who, why, url, dry_run=dry_run)), output, json)


def _order(phase: int | None, percentage: float | None, force: bool) -> Order:
    if phase is not None and percentage is not None:
        raise Failure("say either --phase or --percentage", USAGE)
    order = Order(phase=phase, percentage=percentage, force=force)
    try:
        if phase is not None or percentage is not None:
            order.target()
    except ValueError as error:
        raise Failure(str(error), USAGE) from error
    return order


async def _planned(order: Order, config: Path | None, given: str | None) -> Document:
    url = migrating.admin_url(given)
    try:
        body = await _body(order, url)
        return await migrating.send_apply(url, body | {"dry_run": True})
    except Failure as failure:
        if failure.code != UNREACHABLE:
            raise
        tell(f"no gateway answers at {url} (`equipoise serve` starts one): planned from the configuration")
    without = Order(phase=1) if order.phase is None and order.percentage is None else order
    return await migrating.offline_plan(config, without)


async def _applied(order: Order, who: str | None, why: str, url: str) -> Document:
    body = await _body(order, url)
    tell("checks, gates and validation queries: this may take a while")
    return await migrating.send_apply(url, body | {"who": who or migrating.myself(), "why": why})


async def _body(order: Order, url: str) -> Document:
    """What to post; without a phase or a percentage it is the next phase."""
    if order.percentage is not None:
        return {"percentage": order.percentage, "force": order.force}
    phase = order.phase if order.phase is not None else await migrating.next_phase(url)
    return {"phase": phase, "force": order.force}


async def _rolled_back(phase: int | None, who: str | None, why: str, url: str, *, dry_run: bool) -> Document:
    if phase is None or dry_run:
        now = await migrating.fetch_status(url)
        phase = max(0, int(now["phase"]) - 1) if phase is None else phase
    if dry_run:
        return {"outcome": "planned", "before": now, "after": {"phase": phase}, "rollback": True}
    return await migrating.send_rollback(url, {"phase": phase, "who": who or migrating.myself(), "why": why})


def _shown(found: Document, output: str | None, json: bool) -> int:
    if not as_documents(found, output, json):
        report.outcome(found)
    return migrating.exit_code(found)

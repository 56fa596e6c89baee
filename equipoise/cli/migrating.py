"""The migration of a running gateway, as functions: what the commands, and scripts, are made of."""

from __future__ import annotations

import getpass
import os
import socket
import time
from pathlib import Path
from typing import Any

from equipoise.cli.exits import OK, PROBLEMS, REFUSED, USAGE, Failure
from equipoise.cli.remote import ADMIN, Remote
from equipoise.core.rollout import LAST, Order
from equipoise.gateway.migrating import APPLY, CHECKS, ROLLBACK, STATE, VALIDATE

Document = dict[str, Any]
QUICK, LONG = 10.0, 900.0
CODES = {"refused": REFUSED, "check_failed": PROBLEMS, "gate_failed": PROBLEMS}


def admin_url(given: str | None) -> str:
    """The admin listener to speak to: the option, EQUIPOISE_ADMIN_URL, or the default."""
    return given or os.environ.get("EQUIPOISE_ADMIN_URL") or ADMIN


def myself() -> str:
    """Who gives an order, for the journal."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def exit_code(document: Document) -> int:
    """0: done, or nothing to do; 1: a check or a gate failed; 4: refused (order of phases, hold time, overtaken)."""
    return CODES.get(str(document.get("outcome")), OK)


async def fetch_status(url: str) -> Document:
    """Where the move stands. Raises Failure: 3 when no gateway answers, 1 when it has no migration."""
    async with Remote(url, seconds=QUICK) as remote:
        return dict(await remote.get(STATE))


async def send_apply(url: str, body: Document) -> Document:
    """An order: {"phase" or "percentage", "force", "dry_run", "who", "why"}; waits for its validation queries."""
    return await _post(url, APPLY, body)


async def send_rollback(url: str, body: Document) -> Document:
    """Back: {"phase", "who", "why"}."""
    return await _post(url, ROLLBACK, body)


async def fetch_checks(url: str) -> Document:
    """The pre-deployment checks, done now by the gateway."""
    return await _post(url, CHECKS, {})


async def send_validate(url: str, phase: int) -> Document:
    """A phase's validation queries, asked now; they cost money."""
    return await _post(url, VALIDATE, {"phase": phase})


async def offline_plan(config: Path | None, order: Order) -> Document:
    """The plan of an order without a gateway and without keys; what is missing shows as failed checks."""
    from equipoise.migration.offline import plan_offline

    try:
        return await plan_offline(config, order, now=time.time())
    except ValueError as error:
        raise Failure(str(error), USAGE) from error


async def next_phase(url: str) -> int:
    """The phase that comes next there. Raises Failure (2) after the last."""
    phase = int((await fetch_status(url))["phase"])
    if phase >= LAST:
        raise Failure(f"phase {LAST} has begun: there is none after it", USAGE)
    return phase + 1


async def _post(url: str, path: str, body: Document) -> Document:
    async with Remote(url, seconds=LONG) as remote:
        return dict(await remote.post(path, body))

"""A migration over the admin listener.

    GET  /admin/migration            state, evidence, gates, journal
    POST /admin/migration/apply      {"phase": 2} or {"percentage": 25}, and "force", "dry_run", "who", "why"
    POST /admin/migration/rollback   {"phase": 1, "who": "ann", "why": "slow answers"}
    POST /admin/migration/checks     {}: the pre-deployment checks, done now
    POST /admin/migration/validate   {"phase": 2}: that phase's validation queries, which cost money

Whatever was understood is answered with 200 and an `outcome`, obeyed or not; 400 for an order that makes no sense, 404
(`no_migration`) where the configuration has no such section, 503 where the state cannot be read or written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from equipoise.core.rollout import Order
from equipoise.gateway.configuring import read_body
from equipoise.gateway.problems import Problem
from equipoise.http import Request
from equipoise.migration import Migration
from equipoise.stores import StoreError

T = TypeVar("T")
Operation: TypeAlias = Callable[[Request], Awaitable[dict[str, Any]]]
STATE = "/admin/migration"
APPLY, ROLLBACK, CHECKS, VALIDATE = f"{STATE}/apply", f"{STATE}/rollback", f"{STATE}/checks", f"{STATE}/validate"
NOBODY = "nobody said who"


class ApplyBody(msgspec.Struct, forbid_unknown_fields=True):
    """An order: a phase, or exactly this percentage."""

    phase: int | None = None
    percentage: float | None = None
    force: bool = False
    dry_run: bool = False
    who: str = NOBODY
    why: str = ""


class PhaseBody(msgspec.Struct, forbid_unknown_fields=True):
    """A phase to go back to, or to try."""

    phase: int
    who: str = NOBODY
    why: str = ""


class NoBody(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing to say."""


def operations(migration: Migration | None) -> Mapping[tuple[str, str], Operation]:
    """Method and path to what is done there."""
    if migration is None:
        return dict.fromkeys(PATHS, _absent)
    desk = Desk(migration)
    return dict(zip(PATHS, (desk.status, desk.apply, desk.rollback, desk.checks, desk.validate), strict=True))


PATHS = (("GET", STATE), ("POST", APPLY), ("POST", ROLLBACK), ("POST", CHECKS), ("POST", VALIDATE))


class Desk:
    """Turns bodies into orders and what comes of them into documents."""

    def __init__(self, migration: Migration) -> None:
        self._migration = migration

    async def status(self, request: Request) -> dict[str, Any]:
        """Where the move stands."""
        return await _sound(self._migration.status())

    async def apply(self, request: Request) -> dict[str, Any]:
        """Go on."""
        body = read_body(request.body, ApplyBody)
        return await _sound(self._migration.apply(Order(**msgspec.structs.asdict(body))))

    async def rollback(self, request: Request) -> dict[str, Any]:
        """Go back."""
        body = read_body(request.body, PhaseBody)
        return await _sound(self._migration.rollback(body.phase, who=body.who, why=body.why))

    async def checks(self, request: Request) -> dict[str, Any]:
        """Look at everything a phase depends on."""
        read_body(request.body, NoBody)
        return {"checks": await _sound(self._migration.checks())}

    async def validate(self, request: Request) -> dict[str, Any]:
        """Ask the new side a phase's questions."""
        body = read_body(request.body, PhaseBody)
        return {"phase": body.phase, "validation": await _sound(self._migration.validate(body.phase))}


async def _absent(request: Request) -> dict[str, Any]:
    text = "This gateway's configuration has no migration: section."
    raise Problem(404, "no_migration", text, should_retry=False)


async def _sound(work: Awaitable[T]) -> T:
    try:
        return await work
    except ValueError as error:
        raise Problem(400, "invalid_request_error", f"{error}.", should_retry=False) from error
    except StoreError as error:
        raise Problem(503, "state_unavailable", str(error)) from error

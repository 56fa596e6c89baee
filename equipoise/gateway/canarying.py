"""A canary over the admin listener.

    GET  /admin/canary             where it stands, the evidence, what is waited for, the journal
    POST /admin/canary/start       {"candidate": "strategy: cost_optimized\\n", "name": "new.yaml", "at": 5}, and "whole"
    POST /admin/canary/promote     {} is one rung, {"full": true} all of them
    POST /admin/canary/set-weight  {"weight": 12.5}: exactly so many percent of keys
    POST /admin/canary/pause, /resume, /abort, /undo

All take "who", "why" and "dry_run". Whatever was understood is answered with 200 and an `outcome`; 400 for what makes no
sense now, 409 (`candidate_refused`) for a candidate that cannot be, 404 (`no_canary`) where there can be none, 503 where
the state cannot be read or written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias

import msgspec

from equipoise.core.ladder import Command
from equipoise.gateway.configuring import read_body
from equipoise.gateway.problems import Problem
from equipoise.http import Request
from equipoise.stores import StoreError

Document: TypeAlias = dict[str, Any]
Operation: TypeAlias = Callable[[Request], Awaitable[Document]]
STATE, START = "/admin/canary", "/admin/canary/start"
NOBODY = "nobody said who"
COMMANDS = {f"{STATE}/{command.value}": command for command in Command}
WORDS = {
    Command.PROMOTE: "One rung up, or all of them.",
    Command.PAUSE: "Stay on this rung.",
    Command.RESUME: "Climb again.",
    Command.ABORT: "The control takes everything.",
    Command.UNDO: "Back to the rung before.",
    Command.SET_WEIGHT: "Exactly so many percent of keys.",
}


class StartBody(msgspec.Struct, forbid_unknown_fields=True):
    """A candidate as YAML, what to call it, and with how many percent of keys it begins."""

    candidate: str
    name: str = "candidate"
    at: float = 5.0
    whole: bool = False
    force: bool = False
    dry_run: bool = False
    who: str = NOBODY
    why: str = ""


class CommandBody(msgspec.Struct, forbid_unknown_fields=True):
    """An order; `full` is promote's, `weight` set-weight's."""

    full: bool = False
    weight: float | None = None
    dry_run: bool = False
    who: str = NOBODY
    why: str = ""


class Refused(Exception):
    """A candidate that cannot be; the message says why."""


class Steered(Protocol):
    """Whoever holds the canary. Raises Refused, ValueError for what makes no sense now, StoreError."""

    async def start(self, body: StartBody) -> Document: ...

    async def order(self, command: Command, body: CommandBody) -> Document: ...

    async def status(self) -> Document: ...


def operations(of: Steered | None) -> Mapping[tuple[str, str], Operation]:
    """Method and path to what is done there; without a canary each says that there can be none."""
    if of is None:
        return dict.fromkeys((("GET", STATE), ("POST", START), *(("POST", path) for path in COMMANDS)), _absent)

    async def status(request: Request) -> Document:
        return await _sound(of.status())

    async def start(request: Request) -> Document:
        return await _sound(of.start(read_body(request.body, StartBody)))

    async def order(command: Command, request: Request) -> Document:
        return await _sound(of.order(command, read_body(request.body, CommandBody)))

    ordering = {("POST", path): partial(order, command) for path, command in COMMANDS.items()}
    return {("GET", STATE): status, ("POST", START): start, **ordering}


async def _absent(request: Request) -> Document:
    text = "There can be no canary here: the gateway moves house (/admin/migration), or its state cannot be kept."
    raise Problem(404, "no_canary", text, should_retry=False)


async def _sound(work: Awaitable[Document]) -> Document:
    try:
        return await work
    except Refused as error:
        raise Problem(409, "candidate_refused", str(error), should_retry=False) from error
    except ValueError as error:
        raise Problem(400, "invalid_request_error", f"{error}.", should_retry=False) from error
    except StoreError as error:
        raise Problem(503, "state_unavailable", str(error)) from error

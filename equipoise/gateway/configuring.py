"""The configuration over the admin listener.

    POST /admin/reload   {}: read the file and the environment again; "dry_run" only looks
    POST /admin/config   {"set": {"backend_instances.papers.weight": 2}, "unset": ["strategy"]}, and "dry_run"
    POST /admin/save     {}: write what was changed at run time into the file; "dry_run" says what that is

409 (`configuration_refused`) where the new configuration is wrong, the old one stays; 403 (`read_only`) where the
configuration says that nothing is to be changed here; 400 for what cannot be changed at run time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from equipoise.gateway.problems import Problem
from equipoise.http import Request

T = TypeVar("T")
Operation: TypeAlias = Callable[[Request], Awaitable[dict[str, Any]]]
RELOAD, CHANGE, SAVE = "/admin/reload", "/admin/config", "/admin/save"
REFUSED, READ_ONLY = "configuration_refused", "read_only"


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Values by dotted field, and fields that go back to what the file says."""

    set: dict[str, bool | int | float | str] = {}
    unset: list[str] = []
    dry_run: bool = False


class DoBody(msgspec.Struct, forbid_unknown_fields=True):
    """To do it, or only to say what would come of it."""

    dry_run: bool = False


class Configurable(Protocol):
    """Whoever holds the configuration. All raise Problem."""

    async def reload(self, *, dry_run: bool = False) -> dict[str, Any]: ...

    async def change(self, values: Mapping[str, Any], unset: list[str], *, dry_run: bool) -> dict[str, Any]: ...

    async def save(self, *, dry_run: bool = False) -> dict[str, Any]: ...


def operations(of: Configurable) -> Mapping[tuple[str, str], Operation]:
    """Method and path to what is done there."""

    async def reload(request: Request) -> dict[str, Any]:
        return await of.reload(dry_run=read_body(request.body, DoBody).dry_run)

    async def change(request: Request) -> dict[str, Any]:
        body = read_body(request.body, ChangeBody)
        return await of.change(body.set, body.unset, dry_run=body.dry_run)

    async def save(request: Request) -> dict[str, Any]:
        return await of.save(dry_run=read_body(request.body, DoBody).dry_run)

    return {("POST", RELOAD): reload, ("POST", CHANGE): change, ("POST", SAVE): save}


class WeightBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the weight of a backend becomes."""

    weight: float


def read_body(body: bytes, kind: type[T]) -> T:
    """A body in JSON; none is an empty one. Raises Problem 400."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "invalid_request_error", f"The body cannot be read: {error}.", should_retry=False) from error

"""Which backends there are, over the admin listener, while questions are being answered.

    POST /admin/backends/{id}/add     {"settings": {"backend_type": "lightrag", "endpoint_url": "http://..."}}
    POST /admin/backends/{id}/update  {"settings": {"weight": 2, "endpoint_url": "http://..."}}
    POST /admin/backends/{id}/remove  {}

All take "dry_run". What is changed here decides to whom questions and keys are sent, so unlike a drain it is refused
(403, `admin_key_required`) where the listener has no key of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from equipoise.gateway.configuring import DoBody, read_body
from equipoise.gateway.problems import Problem
from equipoise.http import Request

ADD, UPDATE, REMOVE = "add", "update", "remove"
Command: TypeAlias = Callable[[str, Request], Awaitable[dict[str, Any]]]


class SettingsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Fields of one backend, as its configuration has them."""

    settings: dict[str, Any]
    dry_run: bool = False


class Rearrangeable(Protocol):
    """Whoever holds the configuration. All raise Problem."""

    async def add(self, backend_id: str, settings: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]: ...

    async def update(self, backend_id: str, settings: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]: ...

    async def remove(self, backend_id: str, *, dry_run: bool) -> dict[str, Any]: ...


def commands(of: Rearrangeable) -> Mapping[str, Command]:
    """Verb to what is done with a backend's id and the request."""

    async def add(backend_id: str, request: Request) -> dict[str, Any]:
        body = read_body(request.body, SettingsBody)
        return await of.add(backend_id, body.settings, dry_run=body.dry_run)

    async def update(backend_id: str, request: Request) -> dict[str, Any]:
        body = read_body(request.body, SettingsBody)
        return await of.update(backend_id, body.settings, dry_run=body.dry_run)

    async def remove(backend_id: str, request: Request) -> dict[str, Any]:
        return await of.remove(backend_id, dry_run=read_body(request.body, DoBody).dry_run)

    return {ADD: add, UPDATE: update, REMOVE: remove}


def key_required(what: str = "Backends are added, updated and removed") -> Problem:
    """403: without a key of its own this listener believes anybody on this machine."""
    message = (
        f"{what} only where the admin listener has a key of its own: "
        "set listen.admin_key, or EQUIPOISE_ADMIN_KEY, and restart."
    )
    return Problem(403, "admin_key_required", message, should_retry=False)

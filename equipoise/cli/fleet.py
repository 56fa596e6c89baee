"""Backends that come, change and go while a gateway runs: an overlay, like every other change at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from equipoise.cli.running import Document, Running
from equipoise.config.changes import Changing, brought
from equipoise.gateway.problems import Problem

INSTANCES = "backend_instances"


class Fleet:
    """Adds, updates and removes the backends of a running gateway; all raise Problem 400, 403, 404 or 409.

    Questions under way end at the backend they are at; what is known of backends that stay is kept.
    """

    def __init__(self, running: Running) -> None:
        self._running = running

    async def add(self, backend_id: str, settings: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """One more backend. 409 if there is one of this name."""
        fields = _checked(settings)
        if backend_id in self._ids():
            raise Problem(409, "backend_exists", f"There is a backend {backend_id} already.", should_retry=False)

        def added(changes: Changing) -> None:
            _forget(changes, backend_id)
            changes[INSTANCES, backend_id] = fields

        return await self._running.rearrange(added, dry_run=dry_run)

    async def update(self, backend_id: str, settings: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """Other values for some of its fields. 404 if there is none of this name."""
        fields = _checked(settings)
        self._require(backend_id)

        def updated(changes: Changing) -> None:
            for name, value in fields.items():
                changes.pop((INSTANCES, backend_id, name), None)  # a change made later is laid over later
                changes[INSTANCES, backend_id, name] = value

        return await self._running.rearrange(updated, dry_run=dry_run)

    async def remove(self, backend_id: str, *, dry_run: bool = False) -> Document:
        """No such backend any more; its questions under way are answered. 404 if there is none of this name."""
        self._require(backend_id)

        def removed(changes: Changing) -> None:
            _forget(changes, backend_id)
            changes[INSTANCES, backend_id] = None

        return await self._running.rearrange(removed, dry_run=dry_run)

    def _ids(self) -> Mapping[str, Any]:
        return self._running.loaded.config.backend_instances

    def _require(self, backend_id: str) -> None:
        if backend_id not in self._ids():
            raise Problem(404, "backend_not_found", "There is no backend of this name.", param="id")


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return brought(settings)
    except ValueError as error:
        raise Problem(400, "invalid_request_error", f"{error}.", param="settings", should_retry=False) from error


def _forget(changes: Changing, backend_id: str) -> None:
    """Everything that was changed of this backend before."""
    for path in [path for path in changes if path[:2] == (INSTANCES, backend_id)]:
        del changes[path]

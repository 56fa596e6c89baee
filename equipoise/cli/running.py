"""The configuration a gateway goes by: the one place where it is replaced, changed and written back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from equipoise.build import Estate
from equipoise.cli.exits import Failure
from equipoise.config import Config
from equipoise.config.changes import Changing, brings_code, field_named, is_gone, shown_change, unknown
from equipoise.config.errors import ConfigurationError, dotted
from equipoise.config.errors import Path as FieldPath
from equipoise.config.load import Loaded, load
from equipoise.config.save import config_hash, leaves, plain
from equipoise.config.secret import without_secrets
from equipoise.config.tree import DEFAULT
from equipoise.config.writing import write_back
from equipoise.gateway.auditing import Auditor
from equipoise.gateway.configuring import READ_ONLY, REFUSED
from equipoise.gateway.problems import Problem
from equipoise.swap import built_beside, take_over

Document = dict[str, Any]
DRY = "not done: dry run"
RESTART = (
    "listen",
    "server",
    "ledger",
    "audit",
    "jwt",
    "cors",
    "state_dir",
    "shared",
    "enable_prometheus_metrics",
    "routing_decision_timeout_ms",
    "migration",
    "canary",
    "idempotency",
    "cache",
    "alert",
    "hooks",
    "content",
    "tracing",
    "metrics",
    "grafana",
    "learning.instance",
    "enable_grafana_dashboards",
    "log.format",
    "log.access",
)
"""What is fixed while the process runs; a reload says that it waits."""
logger = logging.getLogger("equipoise.configuration")


class Running:
    """Holds what was loaded and what was changed since; every change is validated whole, then swapped in one breath.

    `admit` refuses a configuration (Failure) that must not be served; `applied` is told of each that is,
    `settled` of each time that what is gone by was settled anew.
    """

    def __init__(
        self, loaded: Loaded, estate: Estate, flags: Mapping[str, Any], admit: Callable[[Config], None]
    ) -> None:
        self.loaded, self.applied = loaded, list[Callable[[Config], None]]()
        self.changes: dict[FieldPath, Any] = {}
        self.settled: list[Callable[[], None]] = []
        self.auditor: Auditor | None = None
        self._began, self._estate, self._flags, self._admit = loaded.config, estate, dict(flags), admit
        self._times: dict[FieldPath, float] = {}
        self._refused: Document | None = None
        self._swaps, self._since, self._lock = 0, time.time(), asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def reload(self, *, dry_run: bool = False) -> Document:
        """Read file and environment again; what was changed at run time stays on top. Raises Problem 409."""
        async with self._lock:
            if dry_run:
                return self._told(await self._loaded(self.changes), DRY)
            try:
                return await self._go_by(self.changes)
            except Problem as problem:
                self._refused = {"at": time.time(), "why": problem.message}
                logger.warning("the new configuration is refused, the old one stays", extra={"why": problem.message})
                raise

    async def change(self, values: Mapping[str, Any], unset: list[str], *, dry_run: bool = False) -> Document:
        """Change single fields. Raises Problem 400, 403, 404 or 409."""
        self._require_writable()
        try:
            wanted = {field_named(name): value for name, value in values.items()}
            gone = [field_named(name) for name in unset]
        except ValueError as error:
            raise Problem(400, "invalid_request_error", f"{error}.", should_retry=False) from error
        self._require_known([*wanted, *gone])
        if (code := brings_code(wanted)) is not None:
            text = f"{code}: code and files come from the configuration file only."
            raise Problem(400, "invalid_request_error", text, param=code, should_retry=False)
        async with self._lock:
            changes = {path: value for path, value in {**self.changes, **wanted}.items() if path not in gone}
            if dry_run:
                return self._told(await self._loaded(changes), DRY)
            return await self._go_by(changes)

    async def rearrange(self, change: Callable[[Changing], None], *, dry_run: bool) -> Document:
        """Go by other changes, made in a copy of the present ones. Raises Problem 403 or 409."""
        self._require_writable()
        async with self._lock:
            changes = dict(self.changes)
            change(changes)
            if dry_run:
                return self._told(await self._loaded(changes), DRY)
            return await self._go_by(changes)

    async def drain(self, backend_id: str, *, draining: bool) -> None:
        """Give a backend no new questions, or take it back, at once. Raises KeyError, or Problem 403."""
        self._require_writable()
        balancer = self._estate.balancer
        (balancer.drain if draining else balancer.resume)(backend_id)
        await self._keep(("backend_instances", backend_id, "drained"), draining)

    async def weigh(self, backend_id: str, weight: float) -> None:
        """Change a backend's weight at once. Raises KeyError, ValueError, or Problem 403."""
        self._require_writable()
        if weight == 0.0:
            raise ValueError("a weight is above 0: drain a backend that is to get no questions")
        self._estate.balancer.set_weight(backend_id, weight)
        await self._keep(("backend_instances", backend_id, "weight"), weight)

    async def _keep(self, path: FieldPath, value: Any) -> None:
        """Keep what was done already; its place among the changes waits while the configuration cannot be replaced."""
        async with self._lock:
            changes = {**self.changes, path: value}
            try:
                await self._go_by(changes)
            except Problem as problem:  # the file is wrong just now, or a migration holds the configuration
                self.changes, self._times = changes, {**self._times, path: time.time()}
                logger.warning("done, beside a configuration that is not replaced", extra={"why": problem.message})
                self._tell_settled()

    async def save(self, *, dry_run: bool = False) -> Document:
        """Write what was changed at run time into the file. Raises Problem 403 or 409."""
        self._require_writable()
        async with self._lock:
            file, changes = self.loaded.file, self.changes
            if file is None or file.suffix == ".toml":
                hint = "`equipoise config show` prints what a file would hold"
                raise _refusal(f"there is no YAML or JSON file to write to ({self.loaded.source}); {hint}")
            if dry_run:
                return {
                    "outcome": DRY,
                    "file": str(file),
                    "saved": [dotted(path) for path in changes],
                    "overridden": {},
                }
            try:
                lasting = await asyncio.to_thread(write_back, file, changes, self._flags)
            except (OSError, ValueError, ConfigurationError) as error:
                raise _refusal(f"{file} was not written: {error}") from error
            kept = {path: value for path, value in changes.items() if path in lasting}
            found: Document = {"outcome": "saved", "file": str(file)}
            if self._began.migration is None:
                await self._go_by(kept)
            self.changes = kept
            names = [dotted(path) for path in changes if path not in lasting]
            return found | {"saved": names, "overridden": {dotted(path): place for path, place in lasting.items()}}

    async def adopt(self, changes: Mapping[FieldPath, Any]) -> None:
        """Go by the file as it is now with these changes on top, as another process does. Raises Problem 409."""
        async with self._lock:
            try:
                await self._go_by(changes)
            except Problem:
                self._steer(changes)
                raise

    def _steer(self, changes: Mapping[FieldPath, Any]) -> None:
        """Drains and weights hold even beside a configuration that is not replaced."""
        balancer = self._estate.balancer
        for path, value in changes.items():
            if len(path) == 3 and path[0] == "backend_instances" and path[1] in balancer.selection.backends:
                name = str(path[1])
                if path[2] == "drained":
                    (balancer.drain if value else balancer.resume)(name)
                elif path[2] == "weight":
                    balancer.set_weight(name, value)

    def health(self) -> Document:
        """For /health: what is gone by since when, and why a newer one is not."""
        state = {"hash": config_hash(self.loaded.config), "source": self.loaded.source, "since": self._since}
        return {**state, "replaced": self._swaps, "unsaved_changes": len(self.changes), "refused": self._refused}

    def document(self) -> Document:
        """For /admin/config_dump: every value, masked, where those that were said came from, and what is not saved."""
        data = plain(self.loaded.config, everything=True)
        places = {dotted(path): self.loaded.tree.said(path) for path, _ in leaves(data)}
        return {
            "config": data,
            "origins": {name: place for name, place in places.items() if place != DEFAULT},
            "changes": [self._change(path) for path in self.changes],
            "needs_restart": self._waiting(),
            **self.health(),
        }

    def unsaved(self) -> list[str]:
        """The changes that a stop would lose."""
        return [f"{dotted(path)} = {shown_change(path, value)}" for path, value in self.changes.items()]

    async def close(self) -> None:
        """End what clears up behind a swap."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _change(self, path: FieldPath) -> Document:
        return {"field": dotted(path), "value": shown_change(path, self.changes[path]), "since": self._times.get(path)}

    async def _go_by(self, changes: Mapping[FieldPath, Any]) -> Document:
        if self._began.migration is not None:
            raise _refusal("while migration: is configured only a restart replaces the configuration; drain works")
        loaded = await self._loaded(changes)
        if loaded.config == self.loaded.config:
            self._settle(loaded, changes)
            return self._told(loaded, "unchanged")
        try:
            self._admit(loaded.config)
            fresh = await asyncio.to_thread(built_beside, loaded.config)
        except (Failure, ValueError, OSError, ImportError, AttributeError) as error:
            raise _refusal(f"it is well-formed but cannot be used: {error}") from error
        self._swap(loaded, take_over(self._estate.balancer, fresh, loaded.config))
        self._settle(loaded, changes)
        logger.info("configuration replaced", extra={"hash": config_hash(loaded.config), "source": loaded.source})
        return self._told(loaded, "replaced")

    async def _loaded(self, changes: Mapping[FieldPath, Any]) -> Loaded:
        try:
            return await asyncio.to_thread(partial(load, self.loaded.file, flags=self._flags, changes=changes))
        except ConfigurationError as error:
            raise _refusal(str(error)) from error

    def _swap(self, loaded: Loaded, clearing_up: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(clearing_up, name="swap")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        logging.getLogger("equipoise").setLevel(loaded.config.log.level.upper())
        for applied in self.applied:
            applied(loaded.config)
        self._swaps, self._since = self._swaps + 1, time.time()

    def _settle(self, loaded: Loaded, changes: Mapping[FieldPath, Any]) -> None:
        """This is what is gone by now; changes of what is gone are dropped, and the warnings say which."""
        self.loaded, self._refused, now = loaded, None, time.time()
        self.changes = {path: value for path, value in changes.items() if not is_gone(loaded.tree.data, path)}
        self._times = {path: self._times.get(path, now) for path in self.changes}
        for warning in loaded.warnings:
            logger.warning(warning)
        self._tell_settled()

    def _tell_settled(self) -> None:
        for settled in self.settled:
            settled()

    def _told(self, loaded: Loaded, outcome: str) -> Document:
        found = {"outcome": outcome, "hash": config_hash(loaded.config), "source": loaded.source}
        return {**found, "warnings": list(loaded.warnings), "needs_restart": self._waiting(loaded.config)}

    def _waiting(self, config: Config | None = None) -> list[str]:
        """Fields whose new value only a restart brings."""
        new = dict(leaves(plain(config or self.loaded.config, everything=True)))
        old = dict(leaves(plain(self._began, everything=True)))
        names = {dotted(path) for path in new.keys() | old.keys() if new.get(path) != old.get(path)}
        return sorted(name for name in names if name.startswith(RESTART))

    def _require_writable(self) -> None:
        if self.loaded.config.read_only:
            text = "This configuration is read-only: change its file."
            raise Problem(403, READ_ONLY, text, should_retry=False)

    def _require_known(self, paths: list[FieldPath]) -> None:
        for path in paths:
            if is_gone(plain(self.loaded.config), path) and path not in self.changes:
                raise Problem(404, "not_found", f"{unknown(path)}.", should_retry=False)


def _refusal(why: str) -> Problem:
    return Problem(409, REFUSED, without_secrets(why), should_retry=False)

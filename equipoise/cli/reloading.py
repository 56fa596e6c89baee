"""When a configuration is read again: on SIGHUP, and when one of its files has changed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from equipoise.cli.running import Document, Running
from equipoise.config.load import Loaded
from equipoise.config.save import leaves
from equipoise.config.secret import FILE, Secret
from equipoise.gateway.problems import Problem

BY_SIGNAL, BY_FILE = "(SIGHUP)", "(changed file)"
"""Who reloads without a name: no key can be called so."""
INTERVAL = 1.0
"""Seconds between two looks."""
SETTLING = 0.05
"""Seconds a file must have been quiet: who writes in two steps is not read between them."""
Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class Reloading:
    """Runs beside a gateway. Paths are followed through links, so that the swap of a ConfigMap's link is a change."""

    def __init__(self, running: Running, seen: Signature, interval: float = INTERVAL) -> None:
        self._running, self._seen, self._interval = running, seen, interval
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Reloading:
        self.watch()
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        return self

    def watch(self) -> None:
        """Begin to look at the files."""
        self._start(self._watch(), "watch the configuration")

    async def __aexit__(self, *error: object) -> None:
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._running.close()

    def _start(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hang_up(self) -> None:
        self._start(self._reload(BY_SIGNAL), "SIGHUP")

    async def _reload(self, who: str) -> None:
        try:
            await reloaded(self._running, who)
        except Problem:
            return  # logged, and /health says so

    async def _watch(self) -> None:
        paths, seen = files_of(self._running.loaded), self._seen
        while True:
            await asyncio.sleep(self._interval)
            if files_of(self._running.loaded) != paths:  # another configuration has other files: their state is news
                paths, seen = files_of(self._running.loaded), ()
            now = await asyncio.to_thread(signature, paths)
            if now == seen or not self._running.loaded.config.watch_file:
                continue
            while (settled := await self._a_moment_later(paths)) != now:
                now = settled
            seen = now
            await self._reload(BY_FILE)

    async def _a_moment_later(self, paths: list[Path]) -> Signature:
        await asyncio.sleep(SETTLING)
        return await asyncio.to_thread(signature, paths)


async def reloaded(running: Running, who: str) -> Document:
    """Read the configuration again where no request asks for it; the audit journal hears of it. Raises Problem 409."""
    if running.auditor is None:
        return await running.reload()
    return await running.auditor.around(who, "reload", running.loaded.source, running.reload)


def files_of(loaded: Loaded) -> list[Path]:
    """The configuration's file, .env, and every file a secret is read from."""
    own = [] if loaded.file is None else [loaded.file]
    return [*own, Path(".env"), *dict.fromkeys(_secret_files(loaded.config.model_dump()))]


def _secret_files(data: dict[str, Any]) -> Iterator[Path]:
    for _, value in leaves(data):
        if isinstance(value, Secret) and (value.reference or "").startswith(FILE):
            yield Path(str(value.reference).removeprefix(FILE)).expanduser()


def signature(paths: list[Path]) -> Signature:
    """What changes with each file: its inode, time and size, or nothing where there is none."""
    return tuple(_one(path) for path in paths)


def _one(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

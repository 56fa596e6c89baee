"""Asks every backend now and then whether it is there; free of charge, a few at a time, never all at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from equipoise.backends.base import BackendClient, ProbeResult

Report: TypeAlias = Callable[[str, ProbeResult], None]


class Schedule(msgspec.Struct, frozen=True):
    """How often one backend is probed and how long a probe may take, in seconds."""

    interval: float = 30.0
    timeout: float = 10.0


class Prober:
    """Probes `clients` (by backend id), each by its own schedule, and tells `report` what was found.

    Intervals are jittered, so that many gateways do not knock together; at most `parallel` probes run at a time and at
    most `batch` start together. One that hangs delays no other, and nothing waits for a probe: a backend may be used
    before its first one.
    """

    def __init__(
        self,
        clients: Mapping[str, BackendClient],
        report: Report,
        *,
        schedules: Mapping[str, Schedule] | None = None,
        jitter: float = 0.2,
        parallel: int = 10,
        batch: int = 5,
        chance: random.Random | None = None,
    ) -> None:
        self._clients, self._report = dict(clients), report
        self._schedules, self._jitter, self._batch = dict(schedules or {}), jitter, batch
        self._places = asyncio.Semaphore(parallel)
        self._chance = chance or random.Random()  # noqa: S311 - a schedule, not a secret
        self._due: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[ProbeResult]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; the first probes are due at once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="prober")

    async def close(self) -> None:
        """End, cutting off probes under way."""
        tasks: list[asyncio.Task[Any]] = [*self._under_way.values()]
        if self._task is not None:
            tasks.append(self._task)
        self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def replace(self, clients: Mapping[str, BackendClient]) -> None:
        """Probe these from now on; new ones are due at once, those that stay keep their schedule."""
        self._clients = dict(clients)
        self._due = {name: due for name, due in self._due.items() if name in clients}

    async def round(self, names: list[str] | None = None) -> dict[str, ProbeResult]:
        """Probe all backends, or those named, now; report and return what was found."""
        wanted = [name for name in (self._clients if names is None else names) if name in self._clients]
        async with asyncio.TaskGroup() as group:
            probes = {name: group.create_task(self._probe(name, self._clients[name])) for name in wanted}
        return {name: probe.result() for name, probe in probes.items()}

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for name in self._next(loop.time()):
                self._due[name] = loop.time() + self._pause(name)
                task = loop.create_task(self._probe(name, self._clients[name]), name=f"probe {name}")
                self._under_way[name] = task
                task.add_done_callback(partial(self._over, name, self._clients[name]))
            now = loop.time()
            await asyncio.sleep(
                max(0.05, min((self._due.get(name, now) for name in self._clients), default=now + 1.0) - now)
            )

    def _over(self, name: str, client: BackendClient, task: asyncio.Task[ProbeResult]) -> None:
        """A client that breaks down over its probe has failed it: no check ends without a result."""
        self._under_way.pop(name, None)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._clients.get(name) is client:
            told = f"the probe broke down: {type(error).__name__}"
            self._report(name, ProbeResult(healthy=False, seconds=0.0, error=told, completed=False))

    def _next(self, now: float) -> list[str]:
        """Those to probe now; one whose last probe still waits or runs has missed this one, and failed it."""
        due = [name for name in self._clients if self._due.get(name, now) <= now]
        for name in due:
            if name in self._under_way:
                self._due[name] = now + self._pause(name)
                missed = "the check before it is not over"
                self._report(name, ProbeResult(healthy=False, seconds=0.0, error=missed, completed=False))
        return [name for name in due if name not in self._under_way][: self._batch]

    async def _probe(self, name: str, client: BackendClient) -> ProbeResult:
        began, limit = asyncio.get_running_loop().time(), self._schedule(name).timeout
        async with self._places:
            try:
                async with asyncio.timeout(limit):
                    result = await client.probe()
            except TimeoutError:
                seconds = asyncio.get_running_loop().time() - began
                told = f"no answer to the probe in {limit:g} s"
                result = ProbeResult(healthy=False, seconds=seconds, error=told, completed=False)
        if self._clients.get(name) is client:
            self._report(name, result)
        return result

    def _schedule(self, name: str) -> Schedule:
        return self._schedules.get(name, Schedule())

    def _pause(self, name: str) -> float:
        return self._schedule(name).interval * (1 + self._chance.uniform(-self._jitter, self._jitter))

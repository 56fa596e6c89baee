"""Asks every backend now and then whether it is there; free of charge, a few at a time, never all at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import TypeAlias

from equipoise.backends.base import BackendClient, ProbeResult

Report: TypeAlias = Callable[[str, ProbeResult], None]


class Prober:
    """Probes `clients` (by backend id) about every `interval` seconds and tells `report` what each found.

    Each has its own jittered schedule, so that many gateways do not knock together; at most `parallel` probes run at a
    time, each for at most `timeout` seconds. Nothing waits for a probe: a backend may be used before its first one.
    """

    def __init__(
        self,
        clients: Mapping[str, BackendClient],
        report: Report,
        *,
        interval: float = 30.0,
        jitter: float = 0.2,
        parallel: int = 8,
        timeout: float = 10.0,
        chance: random.Random | None = None,
    ) -> None:
        self._clients, self._report = dict(clients), report
        self._interval, self._jitter, self._timeout = interval, jitter, timeout
        self._places = asyncio.Semaphore(parallel)
        self._chance = chance or random.Random()  # noqa: S311 - a schedule, not a secret
        self._due: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first probes are due at once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="prober")

    async def stop(self) -> None:
        """End, cutting off probes under way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

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
            now = loop.time()
            due = [name for name in self._clients if self._due.get(name, now) <= now]
            for name in due:
                self._due[name] = now + self._pause()
            await self.round(due)
            await asyncio.sleep(max(0.05, min(self._due.values(), default=now + 1.0) - loop.time()))

    async def _probe(self, name: str, client: BackendClient) -> ProbeResult:
        began = asyncio.get_running_loop().time()
        async with self._places:
            try:
                async with asyncio.timeout(self._timeout):
                    result = await client.probe()
            except TimeoutError:
                seconds = asyncio.get_running_loop().time() - began
                result = ProbeResult(healthy=False, seconds=seconds, error="the probe took too long")
        if self._clients.get(name) is client:
            self._report(name, result)
        return result

    def _pause(self) -> float:
        return self._interval * (1 + self._chance.uniform(-self._jitter, self._jitter))

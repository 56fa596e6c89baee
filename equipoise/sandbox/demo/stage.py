"""What the demo plays on: four backend processes, a configuration for them, and the gateway process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from pathlib import Path
from typing import Any

from equipoise.http import HTTPError, Pool, Timeouts
from equipoise.sandbox.demo.asking import read_json
from equipoise.sandbox.demo.processes import BackendProcess, DemoFailed, GatewayProcess
from equipoise.sandbox.profile import seeded
from equipoise.sandbox.snippet import configuration

QUICK = Timeouts(connect=2.0, first_byte=10.0, total=10.0)
RECOVERY = """
    failure_threshold: 3
    recovery_timeout_seconds: 0.5
    health_check_interval_seconds: 0.5
    health_check_timeout_seconds: 2
    timeout_seconds: 15"""
"""A minute's patience with a dead backend would outlast the demo."""
REST = """
strategy: adaptive_learning
seed: {seed}
timeout_seconds: 20
state_dir: {directory}
routes:
  auto: {{}}
retry: {{max_attempts: 4, share: 1.0, burst: 50}}
listen: {{host: 127.0.0.1, port: 0}}
log: {{level: warning, access: false}}
"""


class Stage:
    """The processes, started on entry and all ended on exit; raises DemoFailed when one does not start."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory, self._seed = directory, seed
        self.profiles = seeded(seed)
        self.backends = {profile.name: BackendProcess(profile, seed) for profile in self.profiles}
        self.gateway = GatewayProcess(directory / "equipoise.yaml", directory / "gateway.log")
        self._pools: dict[str, Pool] = {}

    async def __aenter__(self) -> Stage:
        try:
            await asyncio.gather(*(backend.start(free_port()) for backend in self.backends.values()))
            self._write_configuration()
            await self.gateway.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        for pool in self._pools.values():
            await pool.close()
        await self.gateway.stop()
        await asyncio.gather(*(backend.stop() for backend in self.backends.values()))

    def _write_configuration(self) -> None:
        urls = {name: backend.url for name, backend in self.backends.items()}
        text = configuration(urls, self.profiles, RECOVERY) + REST.format(seed=self._seed, directory=self._directory)
        (self._directory / "equipoise.yaml").write_text(text)

    def pool(self, url: str) -> Pool:
        """The connections to one origin, kept for the whole demo."""
        return self._pools.setdefault(url, Pool(url))

    async def get(self, url: str, path: str) -> Any:
        """A JSON document from the gateway or a backend; raises DemoFailed when there is none."""
        try:
            response = await self.pool(url).request("GET", path, timeouts=QUICK, retry_stale=True)
            body = await response.read()
        except HTTPError as error:
            raise DemoFailed(f"GET {path}: {error}") from error
        if response.status != 200:
            raise DemoFailed(f"GET {path} gave {response.status}: {body[:200].decode(errors='replace')}")
        return read_json(body)

    async def in_flight(self, name: str) -> int:
        """How many questions a backend is answering right now, by its own count."""
        return int((await self.get(self.backends[name].url, "/__stats"))["in_flight"])


def free_port() -> int:
    """A port nobody listens on, below those the kernel gives to outgoing connections (from 32768 on Linux).

    A backend must find its port free when it is revived, and one from that range could have been given away meanwhile.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port

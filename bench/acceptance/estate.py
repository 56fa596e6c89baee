"""What is measured: the shipped gateway as a process before three backends of this machine that cost it next to nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from bench.chaos.contestants import process
from equipoise.http import Pool

PRICES = {"dear": (2.5, 10.0), "middle": (0.5, 2.0), "cheap": (0.15, 0.6)}
"""Dollars a million tokens of prompt and answer, for the three backends; all are said to be equally good."""
PROBE_EVERY = 1.0


class Estate:
    """Three backends and the gateway before them; `url` and `admin` are its two listeners."""

    def __init__(self, url: str, admin: str, backends: dict[str, asyncio.subprocess.Process], ports: list[int]) -> None:
        self.url, self.backends, self.ports = url, backends, ports
        self.admin = Pool(admin)
        self._pools = {name: Pool(f"http://127.0.0.1:{port}") for name, port in zip(backends, ports, strict=True)}

    async def rows(self) -> dict[str, dict[str, Any]]:
        """The gateway's backends by id."""
        found = await self._json("/admin/backends")
        return {row["id"]: row for row in found["backends"]}

    async def bill(self) -> dict[str, Any]:
        """The ledger's sum."""
        return await self._json("/admin/ledger/summary")

    async def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name, labels of one name summed up."""
        response = await self.admin.request("GET", "/metrics")
        found: dict[str, float] = {}
        for line in (await response.read()).decode().splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name = name.partition("{")[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found

    async def probes(self, name: str) -> int:
        """How many free probes a backend has been asked."""
        response = await self._pools[name].request("GET", "/__stats")
        return int(json.loads(await response.read())["probes"])

    def connections(self) -> int:
        """Connections to the three backends that are open now, as the kernel counts them."""
        ports = {f"{port:04X}" for port in self.ports}
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(line[3] == "01" and line[2].rpartition(":")[2] in ports for line in lines)

    async def close(self) -> None:
        for pool in (self.admin, *self._pools.values()):
            await pool.close()

    async def _json(self, path: str) -> dict[str, Any]:
        response = await self.admin.request("GET", path)
        return dict(json.loads(await response.read()))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Estate]:
    """Everything, for as long as the block runs."""
    async with AsyncExitStack() as stack:
        backends, ports = {}, []
        for name in PRICES:
            (folder / name).mkdir()
            command = (sys.executable, "-m", "bench.chaos.backend", "0")
            backends[name] = await stack.enter_async_context(process(*command, folder=folder / name))
            ports.append(int(await _line(backends[name])))
        config = folder / "equipoise.json"
        config.write_text(json.dumps(_configuration(dict(zip(backends, ports, strict=True)), folder)))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EQUIPOISE_")}
        command = (sys.executable, "-m", "equipoise", "serve", "-c", str(config), "--port", "0")
        gateway = await stack.enter_async_context(process(*command, folder=folder, environ=environ))
        urls = [found[0] for _ in range(2) if (found := re.search(r"http://[\d.:]+", await _line(gateway)))]
        if len(urls) < 2:
            raise RuntimeError((folder / "log").read_text())
        estate = Estate(urls[0], urls[1], backends, ports)
        stack.push_async_callback(estate.close)
        yield estate


async def _line(of: asyncio.subprocess.Process) -> str:
    assert of.stdout is not None
    return (await of.stdout.readline()).decode()


def _configuration(ports: Mapping[str, int], folder: Path) -> dict[str, Any]:
    instances = {
        name: {
            "backend_type": "local_llm",
            "endpoint_url": f"http://127.0.0.1:{ports[name]}/v1",
            "model": "m",
            "quality_score": 0.9,
            "health_check_interval_seconds": PROBE_EVERY,
            "price": {"input": prompt, "output": answer},
        }
        for name, (prompt, answer) in PRICES.items()
    }
    return {
        "backend_instances": instances,
        "state_dir": str(folder),
        "log": {"access": False},
        "quality_sampling_rate": 0.0,  # all three say the same words: scoring them would only make them differ by chance
    }

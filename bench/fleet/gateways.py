"""Gateways of several workers, each with a state directory of its own: the shipped command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

from bench.fleet.upstream import PRICE
from equipoise.core.model import dollars

LOST = "lost"


class Gateway:
    """One `equipoise serve --workers N`."""

    def __init__(self, folder: Path, file: Path) -> None:
        self.folder, self._file, self.alive = folder, file, False
        self.url = self.admin_url = ""
        self.pids: list[int] = []

    async def start(self, workers: int) -> None:
        """Start it and wait until it answers. Raises RuntimeError."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EQUIPOISE_")}
        arguments = ["--config", str(self._file), "--state-dir", str(self.folder), "--workers", str(workers)]
        with (self.folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "equipoise", "serve", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environ,
            )
        assert self.process.stdout is not None
        lines = [await asyncio.to_thread(self.process.stdout.readline) for _ in range(5)]
        if not all(lines):
            raise RuntimeError(f"a gateway did not start: {(self.folder / 'stderr').read_text()}")
        self.url, self.admin_url = lines[0].split()[-1], lines[1].split()[-1].removesuffix("/dashboard")
        self.alive, self.pids = True, [self.process.pid]
        if workers > 1:
            told = await asyncio.to_thread(self._fetch, "/admin/backends")
            self.pids += [row["pid"] for row in told["workers"]["running"]]

    def kill(self) -> None:
        """kill -9 of the parent and all workers: the host is gone."""
        self.alive = False
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    async def stop(self) -> None:
        """End it as operators do."""
        if self.process.poll() is None:
            self.process.terminate()
            await asyncio.to_thread(self.process.communicate, timeout=30)
        self.alive = False

    def recorded(self) -> list[tuple[str, int, bool]]:
        """(request, nano-dollars, whether it is a possible cost) of all attempts in its ledger."""
        with closing(sqlite3.connect(self.folder / "ledger.sqlite3")) as ledger:
            rows = ledger.execute("SELECT request_id, cost, error_code FROM attempts").fetchall()
        return [(request, cost, code == LOST) for request, cost, code in rows]

    def _fetch(self, path: str) -> dict[str, dict[str, list[dict[str, int]]]]:
        with urllib.request.urlopen(self.admin_url + path, timeout=10) as response:
            found: dict[str, dict[str, list[dict[str, int]]]] = json.load(response)
            return found


def fleet(folder: Path, count: int, upstream: int, redis: str, cap: int) -> list[Gateway]:
    """So many gateways on one budget of `cap` nano-dollars; not started."""
    found = []
    for number in range(count):
        home = folder / f"host-{number}"
        home.mkdir()
        file = home / "equipoise.yaml"
        file.write_text(
            f"""backend_instances:
  up:
    backend_type: local_llm
    endpoint_url: http://127.0.0.1:{upstream}/v1
    model: m
    price: {{output: {PRICE}}}
budgets: {{all: {{usd: {dollars(cap)}, window: total}}}}
shared: {{redis: {{url: "{redis}", lead_seconds: 6}}}}
listen: {{port: 0, admin_port: 0}}
log: {{level: warning}}
"""
        )
        found.append(Gateway(home, file))
    return found

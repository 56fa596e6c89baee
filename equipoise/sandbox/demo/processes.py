"""The demo's processes: sandbox backends that can be killed and revived, and the gateway in front of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from equipoise.sandbox.profile import Profile

PATIENCE = 20.0
"""Seconds a process may take to say where it listens, on a busy machine."""


class DemoFailed(Exception):
    """The demo cannot go on; the message says which process did what."""


async def _start(*command: str, stdin: int = PIPE, log: Path | None = None) -> Process:
    environment = os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    stderr = log.open("ab") if log else None
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, stdin=stdin, stdout=PIPE, stderr=stderr, env=environment
        )
    finally:
        if stderr is not None:
            stderr.close()


async def _line(process: Process, name: str) -> str:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    except TimeoutError:
        raise DemoFailed(f"{name} said nothing for {PATIENCE:.0f} s") from None
    if not line:
        code = await process.wait()
        raise DemoFailed(f"{name} ended with code {code} before it listened")
    return line.decode().strip()


class BackendProcess:
    """One sandbox backend as a child; after `kill` it can be started again on the port it had."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.profile, self._seed = profile, seed
        self._process: Process | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self, port: int | None = None) -> None:
        """Start and wait until it listens, on `port` or where it was before; raises DemoFailed."""
        where = str(self.port if port is None else port)
        command = ("equipoise.sandbox", self.profile.name, "--port", where, "--seed", str(self._seed))
        self._process = await _start(*command)
        said = await _line(self._process, self.profile.name)
        self.port = json.loads(said)["port"]

    async def kill(self) -> int:
        """SIGKILL, as a crash would; returns the pid it had."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        return self._process.pid

    async def stop(self) -> None:
        """End it if it still runs."""
        if self.alive:
            await self.kill()


class GatewayProcess:
    """`equipoise serve` as a child: its first lines say where it listens."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config, self._log = config, log
        self._process: Process | None = None
        self.url = self.admin_url = ""

    async def start(self) -> None:
        """Start and wait for the addresses of both listeners; raises DemoFailed with the end of its log."""
        self._process = await _start("equipoise", "serve", "-c", str(self._config), stdin=DEVNULL, log=self._log)
        try:
            said = ""
            while not self.admin_url:
                said += await _line(self._process, "the gateway") + "\n"
                self.url, self.admin_url = addresses(said)
        except DemoFailed as failed:
            raise DemoFailed(f"{failed}\n{self.log_end()}") from None

    def log_end(self) -> str:
        """The last lines it wrote to stderr."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:]) if self._log.exists() else ""

    async def stop(self) -> int | None:
        """SIGTERM, so that it drains; returns its exit code."""
        if self._process is None:
            return None
        if self._process.returncode is not None:
            return self._process.returncode
        self._process.terminate()
        try:
            return await asyncio.wait_for(self._process.wait(), 10.0)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


def addresses(said: str) -> tuple[str, str]:
    """The first two different origins in what the gateway said: public and admin; "" for what is still missing."""
    origins = list(dict.fromkeys(re.findall(r"http://[\w.\[\]:-]+:\d+", said)))
    return (*origins[:2], "", "")[0:2] if len(origins) >= 2 else (origins[0] if origins else "", "")

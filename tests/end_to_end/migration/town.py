"""Processes of a move: both sides, the gateway, the commands, and people who never stop asking."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from equipoise.http import HTTPError, Pool

PIPE = asyncio.subprocess.PIPE
ASK = "/v1/chat/completions"
BODY = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What is a metabolite?"}]}).encode()
PAUSE = 0.02


async def python(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
    """A Python of ours, with nothing of this machine's configuration."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("EQUIPOISE_", "OPENAI_"))}
    return await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, env=environ, **options)


class Town:
    """Everything that runs; `ports` stay the same when the gateway is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "equipoise.yaml"
        self.url = self.admin = ""
        self._ports = ("0", "0")
        self.gateway: asyncio.subprocess.Process
        self.engines: asyncio.subprocess.Process

    async def begin(self) -> None:
        """Both sides, then the gateway."""
        self.engines = await python("tests.end_to_end.migration.engines", stdin=PIPE, stdout=PIPE)
        assert self.engines.stdout is not None
        about = json.loads(await self.engines.stdout.readline())
        self.config.write_text(json.dumps(self._configuration(about)))
        await self.serve()

    async def serve(self) -> None:
        """Start the gateway; returns when it listens."""
        port, admin_port = self._ports
        command = ("serve", "-c", str(self.config), "--port", port, "--admin-port", admin_port)
        with (self.folder / "gateway.log").open("ab") as log:
            self.gateway = await python("equipoise", *command, stdout=PIPE, stderr=log)
        assert self.gateway.stdout is not None
        first, second = [(await self.gateway.stdout.readline()).decode() for _ in range(2)]
        self.url, self.admin = (re.search(r"http://[\d.:]+", line)[0] for line in (first, second))  # type: ignore[index]
        self._ports = (self.url.rpartition(":")[2], self.admin.rpartition(":")[2])

    async def kill(self) -> None:
        """No goodbye."""
        self.gateway.kill()
        await self.gateway.wait()

    async def end(self) -> None:
        """The gateway drains, the sides follow."""
        if self.gateway.returncode is None:
            self.gateway.terminate()
            await self.gateway.wait()
        assert self.engines.stdin is not None
        self.engines.stdin.close()
        await self.engines.wait()

    async def spoil(self, **faults: float) -> None:
        """The new side has these faults from now on."""
        assert self.engines.stdin is not None
        self.engines.stdin.write(json.dumps(faults).encode() + b"\n")
        await self.engines.stdin.drain()

    async def command(self, *arguments: str) -> tuple[int, Any]:
        """`equipoise migrate ...`: its exit code and document."""
        run = await python(
            "equipoise", "migrate", *arguments, "--json", "--admin-url", self.admin, stdout=PIPE, stderr=PIPE
        )
        out, err = await run.communicate()
        assert run.returncode is not None
        return run.returncode, json.loads(out) if out else err.decode()

    def _configuration(self, about: dict[str, str]) -> dict[str, Any]:
        new = {
            "backend_type": "openai_direct",
            "endpoint_url": about["new"],
            "api_key": "sandbox",
            "model": "gpt-4o-mini",
            "price": {"input": 0.15, "output": 0.6},
        }
        return {
            "backend_instances": {"new_llm": new},
            "state_dir": str(self.folder / "state"),
            "log": {"access": False},
            "quality_sampling_rate": 0.0,  # the engines are no experts: this is about traffic, not about words
            "migration": {
                "incumbent": {"endpoint_url": about["old"], "question_field": "query"},
                "hold_minutes": {},
                "criteria": {"quality_score_minimum": 0.0},
                "shadow": {"share": 0.05},
            },
        }


class Crowd:
    """People who ask one question after the other, each under the keys of a shared supply.

    `sides` counts answers; `cut` when an answer was lost with its connection, `failed` every answer that was none, `expelled` the
    keys that the old side answered after the new one had. Who finds nobody listening waits and asks again: that
    question was never in anybody's hands.
    """

    def __init__(self, town: Town, people: int = 16) -> None:
        self.town, self.people = town, people
        self.sides: Counter[str] = Counter()
        self.cut, self.failed = list[float](), list[str]()
        self.new_for, self.expelled = set[str](), set[str]()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, keys: Iterable[str]) -> None:
        """Start asking; ends when the keys do."""
        supply = iter(keys)
        self._tasks = [asyncio.create_task(self._person(supply)) for _ in range(self.people)]

    async def finished(self) -> None:
        """Everybody has his answers."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Enough."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _person(self, keys: Any) -> None:
        pool = Pool(self.town.url)
        try:
            for key in keys:
                while not await self._asked(pool, key):
                    await asyncio.sleep(PAUSE)
        finally:
            await pool.close()

    async def _asked(self, pool: Pool, key: str) -> bool:
        headers = [(b"content-type", b"application/json"), (b"x-equipoise-session", key.encode())]
        try:
            response = await pool.request("POST", ASK, headers=headers, body=BODY)
            body = await response.read()
        except HTTPError as error:
            if not error.maybe_processed:
                return False
            self.cut.append(time.monotonic())
            return True
        side = response.headers.get(b"x-equipoise-canary", b"nobody").decode()
        if response.status != 200 or not json.loads(body)["choices"][0]["message"]["content"]:
            self.failed.append(f"{response.status} {body[:200]!r}")
        self.sides[side] += 1
        if side == "candidate":
            self.new_for.add(key)
        elif key in self.new_for:
            self.expelled.add(key)
        return True

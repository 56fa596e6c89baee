"""What happens in the demo: questions at a steady pace, one backend killed in the middle of answering, and revived."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Protocol

from equipoise.sandbox.demo.asking import Fate, Heard, ask
from equipoise.sandbox.demo.processes import DemoFailed
from equipoise.sandbox.demo.questions import DemoQuestion
from equipoise.sandbox.demo.stage import Stage

A_QUESTION_EVERY = 0.11
"""Seconds between two questions."""
AT_ONCE = 12
KILL_AT, REVIVE_AT = 0.36, 0.58
"""Shares of the questions after which the backend dies and comes back."""
BUSY_WITHIN = 1.0
"""Seconds to wait for the moment when the victim is answering something."""


class Watcher(Protocol):
    """Whoever shows the demo while it runs."""

    def happened(self, text: str) -> None: ...

    def heard(self, heard: Heard) -> None: ...


class Plot:
    """Plays on a stage; `heard` holds what every question came to, `killed` the victim."""

    def __init__(self, stage: Stage, asked: list[DemoQuestion], watcher: Watcher) -> None:
        self._stage, self._asked, self._watcher = stage, asked, watcher
        self._pool = stage.pool(stage.gateway.url)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.heard: list[Heard] = []
        self.killed = ""
        self._awaited = ""

    async def play(self) -> None:
        """Ask everything; returns when the last question is answered and the victim is back. Raises DemoFailed."""
        try:
            await self._play()
        except ExceptionGroup as group:
            failed = group.subgroup(DemoFailed)
            raise (DemoFailed(str(failed.exceptions[0])) if failed else group) from group

    async def _play(self) -> None:
        deeds = {round(KILL_AT * len(self._asked)): self._kill, round(REVIVE_AT * len(self._asked)): self._revive}
        began, done = time.monotonic(), asyncio.Lock()
        async with asyncio.TaskGroup() as tasks:
            for number, question in enumerate(self._asked):
                if number in deeds:
                    tasks.create_task(self._in_turn(done, deeds[number]()))
                await self._slots.acquire()
                tasks.create_task(self._one(question))
                await asyncio.sleep(max(0.0, began + (number + 1) * A_QUESTION_EVERY - time.monotonic()))

    async def _one(self, question: DemoQuestion) -> None:
        try:
            heard = await ask(self._pool, question)
        finally:
            self._slots.release()
        self.heard.append(heard)
        self._watcher.heard(heard)
        if heard.backend == self._awaited and heard.fate is Fate.ANSWERED:
            self._awaited = ""
            self._watcher.happened(f"{heard.backend} answers again")

    async def _in_turn(self, done: asyncio.Lock, deed: Coroutine[None, None, None]) -> None:
        async with done:
            await deed

    async def _kill(self) -> None:
        """Kill the backend that answers most, while it is answering."""
        answers = Counter(heard.backend for heard in self.heard if heard.fate is Fate.ANSWERED)
        self.killed = max(self._stage.backends, key=lambda name: (answers[name], name))
        busy = await self._wait_until_busy(self.killed)
        pid = await self._stage.backends[self.killed].kill()
        self._watcher.happened(f"killed {self.killed} (kill -9 {pid}) with {busy} answers in flight")

    async def _wait_until_busy(self, name: str) -> int:
        until = time.monotonic() + BUSY_WITHIN
        busy = await self._stage.in_flight(name)
        while not busy and time.monotonic() < until:
            busy = await self._stage.in_flight(name)
        return busy

    async def _revive(self) -> None:
        backend = self._stage.backends[self.killed]
        await backend.start()
        self._awaited = self.killed
        self._watcher.happened(f"revived {self.killed} on port {backend.port}")

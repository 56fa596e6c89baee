"""Compares both sides of a move after every question, and rolls back by itself what is worse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from equipoise.canary.watch import Watch
from equipoise.core.canary import Finding, Rules
from equipoise.core.events import CanaryDecided
from equipoise.core.ladder import rolled_back
from equipoise.core.rollout import PHASES
from equipoise.migration.migration import Migration
from equipoise.migration.settings import TOPIC
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import StateStore

LOOK_EVERY = 0.5
PARALLEL = 1
"""The phase to which a move is rolled back: both sides run, nobody is sent to the new one."""
BY_ITSELF = "equipoise"


class Watching:
    """Runs beside a move. A comparison goes on from phase to phase and begins anew after a step back.

    At 100 percent nobody is compared; there, only failures in a row still roll back.
    """

    def __init__(
        self,
        migration: Migration,
        store: StateStore,
        rules: Rules,
        on_trouble: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._migration, self._on_trouble, self._trouble = migration, on_trouble, ""
        self.watch = Watch(rules, store, TOPIC, self.look)
        self._task: asyncio.Task[None] | None = None
        self._rolling: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        balancer = migration.balancer
        balancer.watch = self.watch
        balancer.observers.append(self.watch.observe)
        balancer.beside(self)

    async def start(self) -> None:
        """Go on with the comparison that was under way."""
        self.watch.begin(self._migration.state.comparison)
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="migration is watched")

    async def close(self) -> None:
        """Stop, and write what was seen."""
        self._over.set()
        for task in (self._task, self._rolling):
            if task is not None:
                await task
        await self._sync()

    def look(self) -> None:
        """Judge now; a rollback begins in this breath."""
        state = self._migration.state
        if state.percentage <= 0 or self._rolling is not None or self.watch.era != state.comparison:
            return
        judged = self.watch.judged()
        if judged.finding in (Finding.HARM, Finding.BROKEN):
            message = rolled_back(judged, self.watch.candidates)
            work = self._roll_back(message, judged.e_value)
            self._rolling = asyncio.get_running_loop().create_task(work, name="rollback")

    async def _roll_back(self, message: str, e_value: float) -> None:
        try:
            await self._migration.rollback(PARALLEL, who=BY_ITSELF, why=message)
        finally:
            self._rolling = None
        self._migration.balancer.tell(
            CanaryDecided(
                canary=TOPIC,
                verdict="rolled_back",
                share=PHASES[PARALLEL].percentage / 100.0,
                message=message,
                evidence={"candidate_requests": float(self.watch.candidates), "e_value": e_value},
                wall=self._migration.state.since,
            )
        )
        self.watch.begin(self._migration.state.comparison)

    async def _keep(self) -> None:
        while not self._over.is_set():
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._over.wait()
            except TimeoutError:
                self.watch.begin(self._migration.state.comparison)
                await self._sync()
                self.look()

    async def _sync(self) -> None:
        try:
            await self.watch.sync()
            self._trouble = ""
        except StoreError as error:
            if str(error) != self._trouble:
                self._on_trouble(str(error))
            self._trouble = str(error)

"""A second copy of a slow question: whichever answers first is taken, the other is given up and booked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from equipoise.backends.base import BackendError
from equipoise.core.attempts import Attempts
from equipoise.core.hedge import Hedges
from equipoise.core.model import Outcome
from equipoise.core.selection import Lease

T = TypeVar("T")


class Race(Generic[T]):
    """One attempt, and a second one elsewhere should the first be later than 95 % of the answers there.

    `ask` makes an attempt, `failed` and `lost` say what it came to (the latter is told its answer, if it had one all the
    same, and whether its caller went away). When `run` is over, all attempts are settled but that
    of `lease`: the winner's, or the last one that failed; where the caller goes away that of whoever is left.
    """

    def __init__(
        self,
        attempts: Attempts,
        lease: Lease,
        hedges: Hedges,
        *,
        streamed: bool,
        ask: Callable[[Lease], Coroutine[Any, Any, T]],
        failed: Callable[[Lease, BackendError], Outcome],
        lost: Callable[[Lease, T | None, bool], Awaitable[Outcome]],
    ) -> None:
        self.attempts, self.lease, self.hedges, self.streamed = attempts, lease, hedges, streamed
        self._ask, self._failed, self._lost = ask, failed, lost
        self._running: dict[asyncio.Task[T], Lease] = {}
        self._over = False

    async def run(self) -> T:
        """The first answer. Raises BackendError when nobody has one."""
        first = self.lease
        self._start(first)
        delay = self.hedges.delay(first.backend, self.attempts.now(), streamed=self.streamed)
        try:
            done, _ = await asyncio.wait(self._running, timeout=delay)
            if done:
                return await self._first()
            return await self._with_a_second(first)
        finally:
            await self._give_up_the_rest()

    async def _with_a_second(self, first: Lease) -> T:
        self.hedges.overdue(first.backend, 1)
        try:
            second = self.attempts.hedge(first, self.hedges)
            if second is not None:
                self._start(second)
            return await self._first()
        finally:
            self.hedges.overdue(first.backend, -1)

    def _start(self, lease: Lease) -> None:
        self._running[asyncio.get_running_loop().create_task(self._ask(lease))] = lease

    async def _first(self) -> T:
        """The first that answers; who fails while another is still at it is settled here."""
        while True:
            done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            task = next((task for task in done if task.exception() is None), None) or next(iter(done))
            self.lease = self.attempts.lease = self._running.pop(task)
            self._over = True
            error = task.exception()
            if isinstance(error, BackendError) and self._running:
                self.attempts.settle(self.lease, self._failed(self.lease, error))
                continue
            return task.result()

    async def _give_up_the_rest(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for task, lease in self._running.items():
            answer = None if task.cancelled() or task.exception() is not None else task.result()
            outcome = await self._lost(lease, answer, not self._over)
            if not lease.settled:
                self.attempts.settle(lease, outcome)

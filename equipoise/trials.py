"""Copies of questions to another backend, for learning: nobody waits for them, and they cost no more than said.

On a route with `explore: shadow` a live question is never explored on. Instead a share of the questions is asked again,
after the answer went out, of another backend of the route; what that answers is scored and learned from, and thrown away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from equipoise.core.allowance import Allowance
from equipoise.core.attempts import Unanswered
from equipoise.core.model import NanoUSD, Request, Urgency
from equipoise.core.rollout import TRIAL
from equipoise.core.routing import Route
from equipoise.reply import Reply
from equipoise.stream import AnswerStream

SECONDS = 120.0


class Tried(msgspec.Struct):
    """How many copies were answered, not answered, and never sent and why."""

    answered: int = 0
    failed: int = 0
    dropped_busy: int = 0
    dropped_cost: int = 0


class Trials:
    """Asks a share of a route's questions again. At most `parallel` run at once; more are dropped and counted.

    Questions with tools are never copied: they may act. A copy goes by an id of its own, with the role "trial", and to a
    backend that did not answer, each as likely as any other: labels of all are worth most where little is known.
    """

    def __init__(
        self,
        ask: Callable[[Request], Awaitable[Reply]],
        routes: Callable[[], dict[str, Route]],
        now: Callable[[], float],
        *,
        share: float,
        allowance: Allowance,
        chance: random.Random,
        parallel: int = 2,
    ) -> None:
        self.counts = Tried()
        self.ask, self._routes, self._now = ask, routes, now
        self._share, self._allowance, self._chance, self._parallel = share, allowance, chance, parallel
        self._tasks: set[asyncio.Task[None]] = set()

    def asking(self, ask: Callable[[Request], Awaitable[Reply]]) -> Trials:
        """The same, asking another balancer from now on."""
        self.ask = ask
        return self

    def offer(self, request: Request, backend_id: str) -> None:
        """Somebody answered this: ask another, perhaps. Never waits."""
        others = self._others(request, backend_id)
        if not others or self._chance.random() >= self._share:
            return
        if len(self._tasks) >= self._parallel:
            self.counts.dropped_busy += 1
            return
        part = self._allowance.take()
        if not part:
            self.counts.dropped_cost += 1
            return
        copy = self._copy(request, others[int(self._chance.random() * len(others))], part)
        task = asyncio.get_running_loop().create_task(self._try(copy, part), name="trial")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def heard(self, request: Request, stream: AnswerStream) -> None:
        """A stream is over: the same, if it came to its end."""
        if stream.reply is not None:
            self.offer(request, stream.backend_id)

    def status(self) -> dict[str, Any]:
        """Counts since this process began; money in nano-dollars."""
        counts: dict[str, Any] = msgspec.structs.asdict(self.counts)
        return {"running": len(self._tasks), "spent_last_hour": self._allowance.spent, **counts}

    async def start(self) -> None:
        """Copies begin with the first answer."""

    async def close(self) -> None:
        """End, cutting off copies under way; what they cost until then is booked by their attempts."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _others(self, request: Request, backend_id: str) -> list[str]:
        route = self._routes().get(request.route)
        if route is None or route.explore != "shadow" or request.role != "answer" or not request.repeatable:
            return []
        return [name for name in route.backends if name != backend_id] if request.pinned is None else []

    def _copy(self, request: Request, backend_id: str, most: NanoUSD) -> Request:
        return msgspec.structs.replace(
            request,
            id=f"{request.id}-trial",
            pinned=backend_id,
            role=TRIAL,
            urgency=Urgency.SHADOW,
            max_cost=most,
            min_quality=0.0,
            session=None,
            deadline=self._now() + SECONDS,
        )

    async def _try(self, copy: Request, part: NanoUSD) -> None:
        cost: NanoUSD = 0
        try:
            cost = (await self.ask(copy)).cost
            self.counts.answered += 1
        except Unanswered as error:
            cost = error.cost
            self.counts.failed += 1
        finally:
            self._allowance.settle(part, cost)

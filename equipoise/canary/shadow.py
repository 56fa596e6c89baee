"""Copies of questions for the new side while it has no traffic: nobody waits for them, and they cost no more than said."""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from equipoise.canary.evidence import is_evidence
from equipoise.core.allowance import Allowance
from equipoise.core.attempts import Unanswered
from equipoise.core.model import Clock, NanoUSD, Request
from equipoise.core.rollout import SHADOW
from equipoise.reply import Reply

_WORD = re.compile(r"\w+")


class Copied(msgspec.Struct):
    """How many copies were answered, not answered, and never sent and why."""

    answered: int = 0
    failed: int = 0
    dropped_busy: int = 0
    dropped_cost: int = 0


class Shadow:
    """Copies a share of the old side's questions to the new side and compares; begins after the user has his answer.

    At most `parallel` run and `queue` wait; more are dropped and counted. Questions with tools are never copied: they
    may act. Every copy is booked under an id of its own with the role "shadow".
    """

    def __init__(
        self,
        ask: Callable[[Request], Awaitable[Reply]],
        copy: Callable[[Request, NanoUSD], Request],
        compared: Callable[[Reply, Reply, float], None],
        *,
        wanted: Callable[[], bool],
        share: float,
        allowance: Allowance,
        chance: random.Random,
        parallel: int = 4,
        queue: int = 32,
    ) -> None:
        self.counts = Copied()
        self._ask, self._make_copy, self._compared, self._wanted = ask, copy, compared, wanted
        self._share, self._allowance, self._chance = share, allowance, chance
        self._queue: deque[tuple[Request, Reply]] = deque()
        self._most_waiting, self._parallel = queue, parallel
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, request: Request, reply: Reply) -> None:
        """The old side answered this: copy it, perhaps. Never waits."""
        if not self._wanted() or not request.repeatable or self._chance.random() >= self._share:
            return
        if len(self._tasks) < self._parallel:
            self._begin(request, reply)
        elif len(self._queue) < self._most_waiting:
            self._queue.append((request, reply))
        else:
            self.counts.dropped_busy += 1

    def status(self) -> dict[str, Any]:
        """Counts since this process began."""
        return {
            "share": self._share,
            "running": len(self._tasks),
            "waiting": len(self._queue),
            "spent_last_hour": self._allowance.spent,
            **msgspec.structs.asdict(self.counts),
        }

    async def start(self) -> None:
        """Copies begin with the first question."""

    async def close(self) -> None:
        """End, cutting off copies under way; what they cost until then is booked by their attempts."""
        self._queue.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, request: Request, reply: Reply) -> None:
        part = self._allowance.take()
        if not part:
            self.counts.dropped_cost += 1
            return
        task = asyncio.get_running_loop().create_task(self._copy(request, reply, part), name="shadow")
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        while self._queue and len(self._tasks) < self._parallel:
            self._begin(*self._queue.popleft())

    def _not_answered(self, error: Unanswered) -> None:
        if is_evidence(SHADOW, error):
            self.counts.failed += 1
        else:
            self.counts.dropped_cost += 1

    async def _copy(self, request: Request, old: Reply, part: NanoUSD) -> None:
        cost: NanoUSD = 0
        try:
            new = await self._ask(self._make_copy(request, part))
            cost = new.cost
            self.counts.answered += 1
            if old.text:  # a stream that was relayed undecoded has no words to compare
                self._compared(old, new, overlap(old.text, new.text))
        except Unanswered as error:
            cost = error.cost
            self._not_answered(error)
        finally:
            self._allowance.settle(part, cost)


def overlap(old: str, new: str) -> float:
    """How many of the words of both are shared, 0 to 1 (Jaccard). Says whether the same is spoken of, not who is right."""
    ours, theirs = ({word.lower() for word in _WORD.findall(text)} for text in (old, new))
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0


def copier(
    ask: Callable[[Request], Awaitable[Reply]],
    copy: Callable[[Request, NanoUSD], Request],
    *,
    wanted: Callable[[], bool],
    share: float,
    per_hour: NanoUSD,
    parallel: int,
    clock: Clock,
) -> Shadow:
    """Copies whose comparison is somebody else's: `ask` counts what comes of them."""

    def compared(old: Reply, new: Reply, overlap: float) -> None:
        """Counted already."""

    return Shadow(
        ask,
        copy,
        compared,
        wanted=wanted,
        share=share,
        allowance=Allowance(per_hour, parallel, clock),
        chance=random.Random(),  # noqa: S311 - a sample, not a secret
        parallel=parallel,
    )

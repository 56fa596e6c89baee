"""Notices on their way: each receiver has a bounded queue and is tried until it takes them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from equipoise.core.alerting import Notice

logger = logging.getLogger("equipoise.alerts")
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WAIT = 1.0, 300.0, 86_400.0


class Undelivered(Exception):
    """A receiver did not take a notice; `final` says that it never will, `retry_after` when to come again (seconds)."""

    def __init__(self, why: str, *, final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.final, self.retry_after = final, retry_after


class Receiver(Protocol):
    """Who is told. `name` is the operator's word for it and holds no secret."""

    name: str

    def wants(self, notice: Notice) -> bool: ...

    async def send(self, notice: Notice, delivery: str) -> None:
        """Raises Undelivered."""

    async def close(self) -> None: ...


class Keep(Protocol):
    """What outlives the process; does not raise."""

    async def keep(self, parcel: Parcel) -> None: ...

    async def drop(self, parcel: Parcel) -> None: ...

    async def waiting(self) -> list[Parcel]: ...


class Parcel(msgspec.Struct, frozen=True):
    """A notice for one receiver; its id is the same at every try, so that a receiver can tell a repetition."""

    id: str
    receiver: str
    since: float
    notice: Notice


class _Queue(msgspec.Struct):
    """What waits for one receiver and how that went so far."""

    receiver: Any
    parcels: deque[Parcel]
    due: asyncio.Event
    sent: int = 0
    lost: int = 0
    tries: int = 0
    error: str | None = None
    task: Any = None


class Outbox:
    """Delivers beside everything else. When a queue is full its oldest notice goes, counted and logged."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        keep: Keep,
        *,
        capacity: int = 500,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._keep, self._capacity, self._wall, self._sleep = keep, capacity, wall, sleep
        self._queues = {of.name: _Queue(of, deque(), asyncio.Event()) for of in receivers}
        self._count, self._prefix = 0, f"{random.SystemRandom().getrandbits(40):010x}"

    async def start(self) -> None:
        """Take up what an earlier process could not deliver, and begin."""
        for parcel in await self._keep.waiting():
            if parcel.receiver in self._queues:
                self._queues[parcel.receiver].parcels.append(parcel)
            else:
                await self._keep.drop(parcel)
        for queue in self._queues.values():
            queue.due.set()
            queue.task = asyncio.get_running_loop().create_task(self._run(queue), name="alerts")

    async def put(self, notice: Notice, only: str | None = None) -> None:
        """Have a notice delivered to all who want it, or to one by name."""
        for name, queue in self._queues.items():
            if name == only or (only is None and queue.receiver.wants(notice)):
                self._count += 1
                parcel = Parcel(f"{self._prefix}-{self._count}", name, self._wall(), notice)
                await self._keep.keep(parcel)
                if len(queue.parcels) >= self._capacity:
                    await self._lose(queue, queue.parcels.popleft(), "too many notices wait")
                queue.parcels.append(parcel)
                queue.due.set()

    async def close(self, seconds: float = 3.0) -> None:
        """Try what waits once more, but no longer than this; what is left is kept for the next process."""
        await self._emptied(seconds)
        for queue in self._queues.values():
            if queue.task is not None:
                queue.task.cancel()
                await asyncio.gather(queue.task, return_exceptions=True)
            await queue.receiver.close()

    def status(self) -> list[dict[str, Any]]:
        """One row a receiver."""
        return [
            {
                "name": name,
                "waiting": len(of.parcels),
                "sent": of.sent,
                "lost": of.lost,
                "error": of.error,
            }
            for name, of in self._queues.items()
        ]

    async def _emptied(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        hopeful = [of for of in self._queues.values() if of.task is not None]
        while any(of.parcels and of.tries == 0 for of in hopeful) and time.monotonic() < until:  # noqa: ASYNC110 - four owners, no event
            await asyncio.sleep(0.01)

    async def _run(self, queue: _Queue) -> None:
        while True:
            await queue.due.wait()
            queue.due.clear()
            while queue.parcels:
                pause = await self._try(queue, queue.parcels[0])
                if pause:
                    await self._sleep(pause)

    async def _try(self, queue: _Queue, parcel: Parcel) -> float:
        """Deliver the first one; seconds to wait before the next try."""
        if self._wall() - parcel.since > LONGEST_WAIT:
            await self._lose(queue, parcel, "it waited a whole day")
            return 0.0
        try:
            await queue.receiver.send(parcel.notice, parcel.id)
        except Undelivered as error:
            return await self._failed(queue, parcel, error)
        queue.sent, queue.tries, queue.error = queue.sent + 1, 0, None
        await self._gone(queue, parcel)
        return 0.0

    async def _failed(self, queue: _Queue, parcel: Parcel, error: Undelivered) -> float:
        if queue.error is None:
            logger.warning("an alert was not delivered", extra={"receiver": parcel.receiver, "why": str(error)})
        queue.error = str(error)
        if error.final:
            await self._lose(queue, parcel, str(error))
            return 0.0
        queue.tries += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(queue.tries - 1, 10))
        pause *= random.uniform(0.8, 1.2)  # noqa: S311 - so that many gateways do not come at once
        return max(pause, min(error.retry_after or 0.0, LONGEST_PAUSE))

    async def _lose(self, queue: _Queue, parcel: Parcel, why: str) -> None:
        queue.lost += 1
        logger.error(
            "an alert is lost", extra={"receiver": parcel.receiver, "rule": parcel.notice.alert.rule, "why": why}
        )
        await self._gone(queue, parcel)

    async def _gone(self, queue: _Queue, parcel: Parcel) -> None:
        """It may have left the queue already while it was being sent."""
        if queue.parcels and queue.parcels[0] is parcel:
            queue.parcels.popleft()
        await self._keep.drop(parcel)

"""What makes a gateway one of a fleet: it hears of others' breakers, tells of its own, and leases its shares of limits."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from equipoise.balancer import LoadBalancer
from equipoise.core.events import BackendChanged, Event, hears
from equipoise.core.hinting import Hint, hinted
from equipoise.stores.database import StoreError
from equipoise.stores.leasing import TURN_SECONDS
from equipoise.stores.redis_leases import RedisLeases
from equipoise.stores.redis_link import RedisLink
from equipoise.workers.leased import LeasedShares

T = TypeVar("T")
OPEN, CLOSED = "open", "closed"
MOST_HINTS = 100
"""Hints that wait to be told; more at once are dropped: each gateway sees for itself."""
logger = logging.getLogger("equipoise.replicas")


class Told(msgspec.Struct, frozen=True):
    """A word to all others: a hint of a breaker, or what is lacking of limits. `host` names the gateway of its sender."""

    sender: str
    host: str
    hint: Hint | None = None
    lacks: dict[str, int] = {}


class Standing(msgspec.Struct, frozen=True):
    """A breaker that others are to know of who come later; `until` by Redis' clock, None until it is closed by hand."""

    hint: Hint
    until: float | None


class Replica:
    """One process of a fleet. Start it before questions come, and close it after the last; nothing of it is waited for.

    `hint` makes the hint of a change that was seen here. With `workers` the parent tells hints to those beside us.
    """

    outlasts_a_swap = True

    def __init__(
        self, link: RedisLink, balancer: LoadBalancer, hint: Callable[[BackendChanged], Hint], *, workers: bool
    ) -> None:
        self._link, self._balancer, self._hint = link, balancer, hint
        self._name = secrets.token_hex(6)
        self._host = f"{socket.gethostname()}:{os.getppid()}" if workers else self._name
        self._clock = balancer.selection.clock
        self.shares = LeasedShares(
            RedisLeases(link, root="limits"),
            self._name,
            self._clock,
            self._ask_others,
            seconds=link.options.seconds,
            fail_closed=link.options.fail_closed,
        )
        self._channel, self._standing = link.key("told"), link.key("breakers")
        self._hints: asyncio.Queue[Hint] = asyncio.Queue(MOST_HINTS)
        self.following = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Lease the first shares, and begin to listen."""
        await self.shares.turn()
        actions = {"turns": self._turns, "listen": self._listen, "tell": self._tell}
        self._tasks = [asyncio.create_task(run(), name=f"replica: {name}") for name, run in actions.items()]

    async def close(self) -> None:
        """Give back what is free."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shares.leave()

    @hears(BackendChanged)
    def observe(self, event: Event) -> None:
        """A breaker that opened or closed here on evidence, or by an operator's word, is told to the others.

        What was `following` somebody's hint is no news: whoever gave it has told everybody.
        """
        if type(event) is BackendChanged and event.state in (OPEN, CLOSED) and not self.following:
            with suppress(asyncio.QueueFull):
                self._hints.put_nowait(self._hint(event))

    async def _turns(self) -> None:
        hurry = self.shares.hurry
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS):
                    await hurry.wait()
            hurry.clear()
            await self.shares.turn()

    async def _tell(self) -> None:
        while True:
            hint = await self._hints.get()
            try:
                await self._published(hint)
            except StoreError as error:
                logger.debug("a breaker's change was told to nobody", extra={"why": str(error)})

    async def _published(self, hint: Hint) -> None:
        ends = None if hint.seconds is None else self._clock.wall() + self._link.skew + hint.seconds
        standing = msgspec.msgpack.encode(Standing(hint, ends))
        told = msgspec.msgpack.encode(Told(self._name, self._host, hint))

        async def both(client: Any) -> None:
            pipe = client.pipeline(transaction=True).publish(self._channel, told)
            name = hint.backend_id
            await (
                pipe.hset(self._standing, name, standing) if hint.open else pipe.hdel(self._standing, name)
            ).execute()

        await self._link.ask(both)

    async def _ask_others(self, lacks: Mapping[str, int]) -> None:
        told = msgspec.msgpack.encode(Told(self._name, self._host, lacks=dict(lacks)))
        await self._link.ask(lambda client: client.publish(self._channel, told))

    async def _listen(self) -> None:
        while True:
            try:
                await self._look_back()
                async for raw in self._link.heard(self._channel):
                    self._heard(raw)
            except StoreError:
                await asyncio.sleep(TURN_SECONDS)

    async def _look_back(self) -> None:
        """The breakers that were open before we listened."""
        rows = await self._link.ask(lambda client: client.hvals(self._standing))
        there = self._clock.wall() + self._link.skew
        for standing in filter(None, (_decoded(raw, Standing) for raw in rows)):
            left = None if standing.until is None else standing.until - there
            if left is None or left > 0:
                self._follow(msgspec.structs.replace(standing.hint, seconds=left))

    def _heard(self, raw: bytes) -> None:
        told = _decoded(raw, Told)
        if told is None or told.sender == self._name:
            return
        self.shares.wanted(told.lacks)
        if told.hint is not None and told.host != self._host:
            self._follow(told.hint)

    def _follow(self, hint: Hint) -> None:
        self.following = True  # what a hint does is no news for others
        try:
            hinted(self._balancer.selection, hint)
        finally:
            self.following = False


def _decoded(raw: Any, type_: type[T]) -> T | None:
    """None, and a line in the log, for what is not ours or of another version."""
    try:
        return msgspec.msgpack.decode(raw, type=type_)
    except msgspec.DecodeError as error:
        logger.warning("a word in Redis is not understood and left", extra={"why": str(error)})
        return None

"""The way to a Redis or Valkey: hard timeouts, a breaker of its own, and a look beside the requests that closes it again.

While it is unwell nothing is sent, so nobody waits: whoever asks is told at once and goes by what is known here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as TooSlow
from redis.retry import Retry

from equipoise.stores.database import StoreError, StoreGone

T = TypeVar("T")
STRIKES = 3
"""So many look-ups in a row that were shorter than the operation timeout, and failed, count like one that was not."""
CONNECTIONS = 4
"""Kept open for what may not wait for a new one: a call takes 0.1 ms, so these do for ten thousand a second."""
CONNECT_SECONDS = 2.0
LOOK_SECONDS, FIRST_LOOK_SECONDS = 1.0, 0.1
"""Between two looks while all is well; after the first failure, doubled with each further one."""
TROUBLE = (NotConnected, TooSlow, OSError, TimeoutError)


class LinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is and how long it is waited for, in seconds. `fail_closed`: without it what it guards is refused."""

    url: str
    username: str | None = None
    password: str | None = None
    prefix: str = "equipoise"
    seconds: float = 0.1
    fail_closed: bool = False


class LinkHealth(msgspec.Struct, frozen=True):
    """Whether it answers, and since when that is so (Unix seconds); counts since the start; round trip in seconds."""

    well: bool
    since: float
    error: str | None
    failures: int
    skipped: int
    outages: int
    round_trip: float | None


class RedisLink:
    """One process's connections. It begins in good faith; `start` looks, and goes on looking until `close`.

    `call` is for threads, `ask` for the loop. Both raise StoreGone: at once while it is unwell, else within the timeout;
    and StoreError where it answers with a refusal.
    `skew` is by how many seconds its clock is ahead of ours: what all hosts are to agree on goes by its clock.
    `on_change` hears of each time that it fell ill or recovered, in whichever thread found out.
    """

    outlasts_a_swap = True

    def __init__(
        self,
        options: LinkOptions,
        *,
        wall: Callable[[], float] = time.time,
        on_change: Callable[[LinkHealth], None] = lambda health: None,
    ) -> None:
        self.options, self._wall, self._on_change = options, wall, on_change
        self.well, self._since = True, wall()
        self._error: str | None = None
        self._strikes = self._failures = self._skipped = self._outages = 0
        self._round_trip: float | None = None
        self.skew = 0.0
        self._threads: redis.Redis | None = None
        self._loop: redis.asyncio.Redis | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look whether it answers, and go on looking. It need not be there."""
        self._loop = _loop_client(self.options)
        await self._look()
        self._watching = asyncio.create_task(self._watch(), name="redis: look")

    async def close(self) -> None:
        """Close every connection."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        if self._loop is not None:
            await self._loop.connection_pool.disconnect()
        if self._threads is not None:
            self._threads.connection_pool.disconnect()
        self._watching = self._loop = self._threads = None

    def key(self, *parts: str) -> str:
        """The name of something there."""
        return ":".join((self.options.prefix, *parts))

    def call(self, action: Callable[[redis.Redis], T]) -> T:
        """Do something with it; blocks, so call it in a thread. Raises StoreError."""
        self._require_well()
        if self._threads is None:
            self._threads = _thread_client(self.options)
        try:
            found = action(self._threads)
        except TROUBLE as error:
            raise self._failed(error, STRIKES, self.options.seconds) from error
        except RedisError as error:
            raise StoreError(f"Redis refuses: {error}") from error
        self._strikes = 0
        return found

    async def ask(
        self,
        action: Callable[[redis.asyncio.Redis], Awaitable[T]],
        seconds: float | None = None,
        *,
        counts: bool = True,
    ) -> T:
        """Do something with it, within so many seconds if that is shorter than the operation timeout. Raises StoreError.

        Where it `counts`, a few that are late in a row say that it is unwell: budgets and limits then go by that, too.
        """
        self._require_well()
        if self._loop is None:
            raise StoreGone("Redis is not asked before the gateway has started")
        limit = self.options.seconds if seconds is None else min(seconds, self.options.seconds)
        try:
            with cancelled_is_cancelled():
                async with asyncio.timeout(limit):
                    found = await action(self._loop)
        except TROUBLE as error:
            strikes = STRIKES if limit == self.options.seconds else int(counts)
            raise self._failed(error, strikes, limit) from error
        except RedisError as error:
            raise StoreError(f"Redis refuses: {error}") from error
        self._strikes = 0
        return found

    async def heard(self, channel: str) -> AsyncIterator[bytes]:
        """What is published there from now on, as long as Redis is well. Raises StoreGone when it is not, to be called again."""
        if not self.well:
            await asyncio.sleep(LOOK_SECONDS)
        self._require_well()
        client, outages = _loop_client(self.options), self._outages
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as subscribed:
                with cancelled_is_cancelled():
                    await subscribed.subscribe(channel)
                while self._outages == outages:
                    with cancelled_is_cancelled():
                        message = await subscribed.get_message(timeout=LOOK_SECONDS)
                    if message is not None:
                        yield message["data"]
        except (*TROUBLE, RedisError) as error:
            raise StoreGone(f"Redis does not answer: {error}") from error
        finally:
            await client.connection_pool.disconnect()
        raise StoreGone(f"Redis is not asked: {self._error}")

    def health(self) -> LinkHealth:
        """How it is."""
        counts = self._failures, self._skipped, self._outages
        return LinkHealth(self.well, self._since, self._error, *counts, self._round_trip)

    def _require_well(self) -> None:
        if not self.well:
            self._skipped += 1
            raise StoreGone(f"Redis is not asked: {self._error}")

    def _failed(self, error: BaseException, strikes: int, seconds: float) -> StoreGone:
        """A connection that is refused needs no second try; a look-up that was cut short does."""
        self._failures += 1
        self._strikes += strikes if isinstance(error, TooSlow | TimeoutError) else STRIKES
        why = told(error, seconds)
        if self.well and self._strikes >= STRIKES:
            self._turn(well=False, error=why)
        return StoreGone(f"Redis does not answer: {why}")

    def _turn(self, *, well: bool, error: str | None) -> None:
        self.well, self._error, self._since, self._strikes = well, error, self._wall(), 0
        self._outages += not well
        self._on_change(self.health())

    async def _watch(self) -> None:
        pause = FIRST_LOOK_SECONDS
        while True:
            pause = LOOK_SECONDS if self.well else min(LOOK_SECONDS, 2.0 * pause)
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - so that hosts do not come together
            if self.well:
                pause = FIRST_LOOK_SECONDS / 2
            with cancelled_is_cancelled():
                await self._look()

    async def _look(self) -> None:
        """Is it there, and quick enough? While it is unwell the connections are made anew first, for which there is time."""
        assert self._loop is not None
        try:
            if not self.well or self._round_trip is None:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await asyncio.gather(*(self._loop.ping() for _ in range(CONNECTIONS)))
            async with asyncio.timeout(self.options.seconds):
                began, wall = time.monotonic(), self._wall()
                seconds, microseconds = await self._loop.time()
        except (*TROUBLE, RedisError) as error:
            self._failed(error, STRIKES, self.options.seconds)
            return
        self._round_trip = time.monotonic() - began
        self.skew = seconds + microseconds / 1e6 - wall - self._round_trip / 2
        if not self.well:
            self._turn(well=True, error=None)


@contextmanager
def cancelled_is_cancelled() -> Iterator[None]:
    """Whoever was cancelled in here does end with that, whatever else came of it.

    The client sends by `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes as the sending ends: a task
    that goes on and on then goes on for ever, and who waits for its end waits for ever.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


def told(error: BaseException, seconds: float) -> str:
    """What went wrong, for people."""
    if isinstance(error, TooSlow | TimeoutError):
        return f"no answer within {seconds:g} s"
    return str(error) or type(error).__name__


def _thread_client(of: LinkOptions) -> redis.Redis:
    pool = redis.ConnectionPool.from_url(of.url, socket_connect_timeout=of.seconds, **_settings(of))
    return redis.Redis(connection_pool=pool)


def _loop_client(of: LinkOptions) -> redis.asyncio.Redis:
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        of.url,
        max_connections=CONNECTIONS,
        timeout=CONNECT_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        **_settings(of),
    )
    return redis.asyncio.Redis(connection_pool=pool)


def _settings(of: LinkOptions) -> dict[str, object]:
    """No second tries and no greetings: both would wait longer than was said."""
    return {
        "username": of.username,
        "password": of.password,
        "socket_timeout": of.seconds,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
        "client_name": "equipoise",
    }

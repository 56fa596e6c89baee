"""The way to a real Redis: what happens when it freezes, dies and comes back."""

from __future__ import annotations

import asyncio
import time

import pytest

from equipoise.stores.redis_link import STRIKES, LinkHealth, LinkOptions, RedisLink
from equipoise.stores.sqlite import StoreError
from tests.end_to_end.redis.servers import RedisServer

pytestmark = pytest.mark.end_to_end


async def until(link: RedisLink, *, well: bool) -> None:
    async with asyncio.timeout(10):
        while link.well is not well:
            await asyncio.sleep(0.01)


async def test_it_is_used_from_the_loop_and_from_threads(own_redis: RedisServer) -> None:
    """What is written on one way is read on the other, under the fleet's prefix; its clock is known."""
    link = RedisLink(LinkOptions(url=own_redis.url, prefix="fleet"))
    await link.start()
    try:
        await asyncio.to_thread(link.call, lambda client: client.set(link.key("a", "b"), b"1"))
        assert await link.ask(lambda client: client.get("fleet:a:b")) == b"1"
        assert abs(link.skew) < 0.5
    finally:
        await link.close()


async def test_a_frozen_redis_costs_one_timeout_and_then_nothing(own_redis: RedisServer) -> None:
    """The first one to ask waits for the operation timeout, later ones not at all, and it is asked again when it thaws."""
    heard: list[LinkHealth] = []
    link = RedisLink(LinkOptions(url=own_redis.url, seconds=0.2), on_change=heard.append)
    await link.start()
    try:
        own_redis.freeze()
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"no answer within 0\.2 s"):
            await link.ask(lambda client: client.get("a"))
        assert time.monotonic() - began < 1.0
        skipped, began = 0, time.monotonic()
        while time.monotonic() - began < 0.5:
            with pytest.raises(StoreError, match="is not asked"):
                await link.ask(lambda client: client.get("a"))
            with pytest.raises(StoreError, match="is not asked"):
                link.call(lambda client: client.get("a"))
            skipped += 2
            await asyncio.sleep(0)
        assert link.health().skipped == skipped > 100  # nobody waited for a timeout
        own_redis.thaw()
        await until(link, well=True)
        assert await link.ask(lambda client: client.get("a")) is None
        assert [health.well for health in heard] == [False, True]
    finally:
        await link.close()


async def test_short_look_ups_have_to_fail_a_few_times_in_a_row(own_redis: RedisServer) -> None:
    """A look-up that is allowed a few milliseconds says little about Redis when it is late once."""
    link = RedisLink(LinkOptions(url=own_redis.url, seconds=0.5))
    await link.start()
    try:
        own_redis.freeze()
        for number in range(STRIKES):
            assert link.well, number
            with pytest.raises(StoreError, match="does not answer"):
                await link.ask(lambda client: client.get("a"), 0.005)
        assert not link.well
    finally:
        await link.close()


async def test_a_redis_that_is_not_there_yet_is_found_when_it_comes(own_redis: RedisServer) -> None:
    """A gateway starts without it, knows so at once, and finds it by itself; so it does after a restart."""
    own_redis.stop()
    link = RedisLink(LinkOptions(url=own_redis.url))
    await link.start()
    try:
        assert not link.well
        assert "111" in str(link.health().error)
        own_redis.start()
        await until(link, well=True)
        own_redis.stop()
        await until(link, well=False)
        own_redis.start()
        await until(link, well=True)
        assert await link.ask(lambda client: client.ping())
    finally:
        await link.close()

"""What the way to Redis promises whatever the client's library does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NotConnected

from equipoise.stores.redis_link import LinkOptions, RedisLink
from equipoise.stores.sqlite import StoreError


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_a_task_that_was_cancelled_while_it_asked_ends(ends: str) -> None:
    """Though the library swallows that, as wait_for before Python 3.12 does: a task that never ended held up a stop for ever."""
    link, inside = RedisLink(LinkOptions(url="redis://127.0.0.1:1")), asyncio.Event()
    link._loop = object()  # type: ignore[assignment]

    async def swallows(_: Any) -> str:
        inside.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)
        if ends == "badly":
            raise NotConnected("gone")
        return "done"

    async def again_and_again() -> None:
        for _ in range(3):
            with suppress(StoreError):
                await link.ask(swallows, 5.0)
            await asyncio.sleep(0)

    task = asyncio.create_task(again_and_again())
    await inside.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2.0)
    assert task in done
    assert task.cancelled()
    assert link.well  # that somebody went away says nothing of Redis


async def test_what_is_late_is_no_cancellation() -> None:
    """The timeout itself is told as what it is."""
    link = RedisLink(LinkOptions(url="redis://127.0.0.1:1"))
    link._loop = object()  # type: ignore[assignment]
    with pytest.raises(StoreError, match=r"no answer within 0\.01 s"):
        await link.ask(lambda _: asyncio.sleep(60), 0.01)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0

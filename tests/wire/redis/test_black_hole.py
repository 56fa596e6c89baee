"""A Redis that takes connections and says nothing: nobody waits for it longer than was said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from equipoise.stores.redis_link import LinkOptions, RedisLink
from equipoise.stores.sqlite import StoreError


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_from_a_thread_it_is_given_up_on_and_then_not_asked() -> None:
    """The timeout holds for blocking calls, too; the error says what was waited for, and no password."""
    async with black_hole() as port:
        link = RedisLink(LinkOptions(url=f"redis://127.0.0.1:{port}/0", password="hush-hush", seconds=0.05))
        with pytest.raises(StoreError, match=r"does not answer: no answer within 0\.05 s"):
            await asyncio.to_thread(link.call, lambda client: client.get("a"))
        with pytest.raises(StoreError, match="is not asked") as refused:
            link.call(lambda client: client.get("a"))
        assert "hush" not in str(refused.value)
        health = link.health()
        assert (health.well, health.failures, health.skipped, health.outages) == (False, 1, 1, 1)
        await link.close()

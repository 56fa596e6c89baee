"""Places in the pool: counted exactly, given out in order, never lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from equipoise.http import HTTPError, Pool, PoolLimits, Request, Response, Timeouts
from tests.wire.http.harness import own_server, until


async def hold(request: Request) -> Response:
    """Answers after as many milliseconds as the query says."""
    await asyncio.sleep(int(request.query or "0") / 1000)
    return Response(200, (), request.path.encode())


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    """And one that is too old is not used again, however busy it was."""
    async with own_server(hold) as server:
        origin = f"http://127.0.0.1:{server.port}"
        pool = Pool(origin, limits=PoolLimits(keep_alive=0.05))
        await (await pool.request("GET", "/")).read()
        assert pool.idle == 1
        assert await until(lambda: pool.idle == pool.in_use == 0)
        aged = Pool(origin, limits=PoolLimits(max_age=0.0))
        for _ in range(3):
            await (await aged.request("GET", "/")).read()
        assert await until(lambda: aged.in_use == 0)
        assert aged.idle == 1
        await aged.close()


async def test_who_waits_too_long_for_a_place_is_told() -> None:
    """Phase `connect`, timed out, not processed; those who are served are not disturbed."""
    async with own_server(hold) as server:
        pool = Pool(f"http://127.0.0.1:{server.port}", limits=PoolLimits(connections=1))
        busy = asyncio.create_task(pool.request("GET", "/busy?200"))
        assert await until(lambda: pool.in_use == 1)
        with pytest.raises(HTTPError, match="busy") as caught:
            await pool.request("POST", "/", timeouts=Timeouts(connect=0.05))
        assert (caught.value.phase, caught.value.timed_out, caught.value.maybe_processed) == ("connect", True, False)
        assert await (await busy).read() == b"/busy"
        await pool.close()


async def test_a_waiter_that_leaves_gives_its_place_to_the_next() -> None:
    """Cancelled before or after its turn came, the connection goes on."""
    async with own_server(hold) as server:
        pool = Pool(f"http://127.0.0.1:{server.port}", limits=PoolLimits(connections=1))
        first = asyncio.create_task(pool.request("GET", "/1?50"))
        assert await until(lambda: pool.in_use == 1)
        leaves = asyncio.create_task(pool.request("GET", "/2"))
        stays = asyncio.create_task(pool.request("GET", "/3"))
        await asyncio.sleep(0.01)
        leaves.cancel()
        await (await first).read()
        assert await (await stays).read() == b"/3"
        await pool.close()


async def test_no_place_is_lost_whatever_happens() -> None:
    """Hundreds of requests, some read, some dropped, some cancelled, some timed out: in the end none is in use."""
    chance = random.Random(3)
    async with own_server(hold) as server:
        pool = Pool(f"http://127.0.0.1:{server.port}", limits=PoolLimits(connections=5))

        async def ask(number: int) -> None:
            timeouts = Timeouts(connect=chance.choice((0.02, 5.0)), total=chance.choice((0.01, 5.0)))
            try:
                response = await pool.request("GET", f"/{number}?{chance.randint(0, 8)}", timeouts=timeouts)
                if number % 3:
                    await response.read()
                response.close()
            except HTTPError as error:
                if not error.timed_out:
                    raise

        tasks = [asyncio.create_task(ask(number)) for number in range(300)]
        for task in tasks:
            if chance.random() < 0.3:
                await asyncio.sleep(0.001)
                task.cancel()
        await asyncio.wait(tasks)
        assert not [task for task in tasks if not task.cancelled() and task.exception() is not None]
        assert await until(lambda: pool.in_use == 0)
        assert await (await pool.request("GET", "/last")).read() == b"/last"
        assert pool.idle <= 5
        await pool.close()


async def test_a_closed_pool_says_so() -> None:
    """Requests under way and waiting fail; later ones too."""
    async with own_server(hold) as server:
        pool = Pool(f"http://127.0.0.1:{server.port}", limits=PoolLimits(connections=1))
        tasks = [asyncio.create_task(pool.request("POST", f"/{number}?5000")) for number in range(2)]
        assert await until(lambda: server.in_flight == 1)
        await pool.close()
        for task in [*tasks, asyncio.create_task(pool.request("GET", "/"))]:
            with pytest.raises(HTTPError, match="closed"):
                await task

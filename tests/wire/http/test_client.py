"""The pooled client against upstreams that behave, and some that do not."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.http import BodyTooLarge, HTTPError, Pool, PoolLimits, Timeouts
from tests.wire.http.harness import answering, own_server, read_request, until, upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_connection_is_kept_and_used_again() -> None:
    """Two requests, one connection, which is idle afterwards."""
    async with upstream(answering(OK, OK)) as origin:
        pool = Pool(origin)
        for _ in range(2):
            response = await pool.request("POST", "/v1", headers=((b"x-a", b"b"),), body=b"{}")
            assert await response.read() == b"ok"
        assert (pool.in_use, pool.idle) == (0, 1)
        await pool.close()


async def test_chunks_arrive_as_they_are_sent() -> None:
    """The first piece is here while the upstream still waits."""
    gate = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await gate.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await reader.read()

    async with upstream(stream) as origin:
        pool = Pool(origin)
        response = await pool.request("GET", "/")
        pieces = aiter(response)
        assert await anext(pieces) == b"one"
        gate.set()
        assert [piece async for piece in pieces] == [b"two"]
        assert (pool.in_use, pool.idle) == (0, 1)
        await pool.close()


async def test_a_body_until_close_ends_with_the_connection() -> None:
    """Neither length nor chunks: the end is the end, and the connection is not kept."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall there is")

    async with upstream(old) as origin:
        pool = Pool(origin)
        assert await (await pool.request("GET", "/")).read() == b"all there is"
        assert await until(lambda: pool.idle == 0 and pool.in_use == 0)
        await pool.close()


async def test_a_stale_connection_is_replaced_only_when_allowed() -> None:
    """The upstream closes instead of answering the second request: GET and retry_stale go on, POST does not."""

    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)

    async with upstream(one_each) as origin:
        pool = Pool(origin)
        for method, retry_stale in (("POST", False), ("GET", False), ("POST", True)):
            response = await pool.request(method, "/", retry_stale=retry_stale)
            assert await response.read() == b"ok"
        with pytest.raises(HTTPError) as caught:
            await pool.request("POST", "/")
        assert (caught.value.phase, caught.value.maybe_processed, caught.value.timed_out) == ("wait", True, False)
        await pool.close()


async def test_a_response_that_was_given_up_costs_its_connection() -> None:
    """Cancelling closes the connection rather than reusing it half-read."""
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        assert await reader.read() == b""
        gone.set()

    async with upstream(silent) as origin:
        pool = Pool(origin)
        task = asyncio.create_task(pool.request("POST", "/"))
        assert await until(lambda: pool.in_use == 1)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await until(gone.is_set)
        assert (pool.in_use, pool.idle) == (0, 0)


async def test_deadlines_name_the_phase() -> None:
    """No head in time is `wait`, a stall in the body is `read`; both say that they timed out."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        if b"/body" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        await reader.read()

    async with upstream(stall) as origin:
        pool = Pool(origin)
        with pytest.raises(HTTPError) as caught:
            await pool.request("POST", "/", timeouts=Timeouts(first_byte=0.05))
        assert (caught.value.phase, caught.value.timed_out) == ("wait", True)
        response = await pool.request("POST", "/body", timeouts=Timeouts(between_bytes=0.05))
        with pytest.raises(HTTPError) as caught:
            await response.read()
        assert (caught.value.phase, caught.value.timed_out) == ("read", True)
        with pytest.raises(HTTPError):
            await (await pool.request("POST", "/body", timeouts=Timeouts(total=0.05))).read()


async def test_waiting_for_a_place_is_fair_and_bounded() -> None:
    """With one connection, requests are served in the order they came; one that waits too long says so."""
    async with own_server() as server:
        pool = Pool(f"http://127.0.0.1:{server.port}", limits=PoolLimits(connections=1))
        first = await pool.request("HEAD", "/")
        order: list[int] = []

        async def ask(number: int) -> None:
            await (await pool.request("GET", f"/{number}")).read()
            order.append(number)

        await asyncio.gather(*(ask(number) for number in range(5)))
        assert (first.status, order) == (200, [0, 1, 2, 3, 4])
        assert (pool.in_use, pool.idle) == (0, 1)
        await pool.close()


async def test_a_body_beyond_the_limit_is_not_held() -> None:
    """Reading stops at the limit and the connection is closed."""
    async with upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)) as origin:
        pool = Pool(origin)
        with pytest.raises(BodyTooLarge):
            await (await pool.request("GET", "/")).read(1_000)
        assert await until(lambda: pool.in_use == 0)


async def test_an_upstream_that_is_not_there_fails_to_connect() -> None:
    """Nothing can have been processed."""
    async with upstream(answering()) as origin:
        pass
    with pytest.raises(HTTPError) as caught:
        await Pool(origin).request("POST", "/")
    assert (caught.value.phase, caught.value.maybe_processed) == ("connect", False)


async def test_what_broke_late_was_read_and_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reused connection cut while the upstream works: no silent second try, though the caller allows stale retries."""
    monkeypatch.setattr("equipoise.http.exchange.STALE_SECONDS", 0.02)
    seen = 0

    async def break_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        seen += 1
        await asyncio.sleep(0.1)

    async with upstream(break_late) as origin:
        pool = Pool(origin)
        await (await pool.request("POST", "/")).read()
        with pytest.raises(HTTPError) as caught:
            await pool.request("POST", "/", retry_stale=True)
        assert caught.value.maybe_processed
        assert seen == 1
        await pool.close()


async def test_the_caller_cannot_break_the_framing() -> None:
    """Fields that frame or route are ours; a line break, or a name that is none, is refused before anything is sent."""
    asked: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.write(OK)
        await reader.read()

    async with upstream(note) as origin:
        pool = Pool(origin)
        theirs = ((b"Host", b"evil"), (b"Content-Length", b"9"), (b"Transfer-Encoding", b"chunked"), (b"x", b"y"))
        await (await pool.request("POST", "/", headers=theirs, body=b"{}")).read()
        host = origin.removeprefix("http://").encode()
        assert asked == [b"POST / HTTP/1.1\r\nhost: " + host + b"\r\nx: y\r\ncontent-length: 2\r\n\r\n{}"]
        for field in ((b"x", b"y\r\nz: a"), (b"x: y\r\nz", b"a"), (b"", b"a"), (b"x", b"\0")):
            with pytest.raises(ValueError):
                await pool.request("GET", "/", headers=(field,))
        for method, target in (("GET", "/ HTTP/1.1\r\nx: y"), ("GET /", "/"), ("GET", "x"), ("GET", "/é")):
            with pytest.raises(ValueError):
                await pool.request(method, target)
        await pool.close()


async def test_a_head_alone_is_no_first_byte() -> None:
    """An upstream may send its head at once and think before the body: the longer patience for a beginning holds."""

    async def think(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
            await asyncio.sleep(0.2)
            writer.write(b"ok")

    async with upstream(think) as origin:
        pool = Pool(origin)
        response = await pool.request("POST", "/", timeouts=Timeouts(first_byte=5.0, between_bytes=0.05))
        assert await response.read() == b"ok"
        with pytest.raises(HTTPError) as caught:
            await (await pool.request("POST", "/", timeouts=Timeouts(first_byte=0.05, between_bytes=5.0))).read()
        assert caught.value.timed_out
        await pool.close()

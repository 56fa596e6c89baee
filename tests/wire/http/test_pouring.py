"""Pieces that are handed on as they come, rather than asked for one by one: in order, at the reader's pace, to the end."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable

import pytest

from equipoise.http import HTTPError, Pool, Request, Response, Sink
from tests.wire.http.harness import own_server, read_request, until, upstream

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"%x\r\n%b\r\n" % (1 << 20, b"m" * (1 << 20))


class Steps:
    """An upstream that sends one thing whenever it is told to."""

    def __init__(self, *parts: bytes) -> None:
        self._parts, self._next, self.sent = parts, asyncio.Event(), 0

    def go_on(self) -> None:
        """Send the next part."""
        self._next.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for part in self._parts:
            await self._next.wait()
            self._next.clear()
            writer.write(part)
            await writer.drain()
            self.sent += len(part)
        await reader.read()


async def test_every_piece_is_handed_on_as_it_comes_and_the_connection_is_kept() -> None:
    """The first is in the sink while the upstream still holds the second back; nobody asked for either."""
    steps, got = Steps(HEAD + b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"), list[bytes]()
    async with upstream(steps) as origin:
        pool = Pool(origin)
        steps.go_on()
        response = await pool.request("GET", "/")
        pouring = asyncio.create_task(response.pour(got.append))
        assert await until(lambda: got == [b"one"])
        steps.go_on()
        assert await until(lambda: got == [b"one", b"two"])
        assert not pouring.done()
        steps.go_on()
        await pouring
        assert (got, pool.in_use, pool.idle) == ([b"one", b"two"], 0, 1)
        await pool.close()


async def test_a_sink_that_is_held_up_holds_the_upstream_up_and_loses_nothing() -> None:
    """16 MiB, of which no more is taken from the wire than may wait until the sink says that it can go on."""
    steps, got, gate = Steps(HEAD + MEGABYTE * 16 + b"0\r\n\r\n"), list[bytes](), asyncio.Event()
    held_up: list[asyncio.Task[bool]] = []

    def sink(piece: bytes) -> Awaitable[None] | None:
        got.append(piece)
        if gate.is_set():
            return None
        held_up.append(asyncio.create_task(gate.wait()))
        return held_up[-1]  # type: ignore[return-value]

    async with upstream(steps) as origin:
        pool = Pool(origin)
        steps.go_on()
        response = await pool.request("GET", "/")
        pouring = asyncio.create_task(response.pour(sink))
        assert await until(lambda: bool(held_up) and response.buffered > response.pause_at)
        before = response.buffered
        await asyncio.sleep(0.05)
        assert (response.buffered, steps.sent, len(held_up)) == (before, 0, 1)
        gate.set()
        await pouring
        assert sum(map(len, got)) == 16 << 20
        await pool.close()


async def test_who_has_enough_stops_and_gives_the_rest_up() -> None:
    """Nothing is handed on after `stop`, though more has come."""
    steps, got = Steps(HEAD + b"3\r\none\r\n3\r\ntwo\r\n", b"3\r\nthr\r\n"), list[bytes]()
    async with upstream(steps) as origin:
        pool = Pool(origin)
        steps.go_on()
        response = await pool.request("GET", "/")

        def sink(piece: bytes) -> None:
            got.append(piece)
            response.stop()

        await response.pour(sink)
        steps.go_on()
        assert await until(lambda: steps.sent > 60)
        assert len(got) == 1
        assert got[0].startswith(b"one")
        response.close()
        assert await until(lambda: pool.in_use == 0)
        await pool.close()


async def test_an_upstream_that_breaks_off_is_an_error_after_what_came() -> None:
    """The pieces first, then HTTPError: a cut body never looks whole."""
    got: list[bytes] = []

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"3\r\none\r\n5\r\ntw")

    async with upstream(cut) as origin:
        pool = Pool(origin)
        response = await pool.request("GET", "/")
        with pytest.raises(HTTPError, match="closed the connection"):
            await response.pour(got.append)
        assert b"".join(got).startswith(b"one")
        await pool.close()


async def test_many_small_chunks_of_one_read_are_handed_on_together() -> None:
    """Who cuts a stream into single bytes does not have the whole way to the client gone for each of them."""
    steps, got = Steps(HEAD + b"1\r\nx\r\n", b"1\r\nx\r\n" * 4_999, b"0\r\n\r\n"), list[bytes]()
    async with upstream(steps) as origin:
        pool = Pool(origin)
        steps.go_on()
        response = await pool.request("GET", "/")
        pouring = asyncio.create_task(response.pour(got.append))
        assert await until(lambda: got == [b"x"])
        steps.go_on()
        assert await until(lambda: sum(map(len, got)) == 5_000)
        steps.go_on()
        await pouring
        assert b"".join(got) == b"x" * 5_000
        assert len(got) < 100
        await pool.close()


async def test_a_defect_of_a_sink_is_told_and_not_taken_for_the_upstreams() -> None:
    """The loop's exception handler has it, and whoever waits an error: nothing is passed over in silence."""
    steps, told = Steps(HEAD, b"3\r\none\r\n"), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))

    def broken(piece: bytes) -> None:
        raise ZeroDivisionError

    async with upstream(steps) as origin:
        pool = Pool(origin)
        steps.go_on()
        response = await pool.request("GET", "/")
        pouring = asyncio.create_task(response.pour(broken))
        await asyncio.sleep(0)
        steps.go_on()
        with pytest.raises(HTTPError):
            await pouring
        assert [type(error) for error in told] == [ZeroDivisionError]
        await pool.close()


async def test_who_goes_away_closes_the_upstream() -> None:
    """A cancelled task's connection is not left half-read, and not used again."""
    steps = Steps(HEAD + b"3\r\none\r\n")
    async with upstream(steps) as origin:
        pool = Pool(origin)
        steps.go_on()
        response = await pool.request("GET", "/")
        got: list[bytes] = []
        pouring = asyncio.create_task(response.pour(got.append))
        assert await until(lambda: got == [b"one"])
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        assert await until(lambda: (pool.in_use, pool.idle) == (0, 0))
        await pool.close()


async def test_what_is_compressed_is_given_undone_and_not_poured() -> None:
    """A sink is never handed bytes of a coding that the caller asked to have undone."""
    packed = zlib.compress(b"plain words " * 9)

    async def deflated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(packed) + packed)

    async with upstream(deflated) as origin:
        pool = Pool(origin)
        response = await pool.request("GET", "/", decompress=True)
        got: list[bytes] = []
        response.pour_into(got.append)
        assert b"".join([piece async for piece in response]) == b"plain words " * 9
        assert got == []
        await pool.close()


class Turns:
    """A body that gives one piece, hands three on while the next one is waited for, gives another and ends."""

    def __init__(self) -> None:
        self._sink: Sink[bytes] | None = None
        self._pieces = self._all()

    def pour_into(self, sink: Sink[bytes]) -> None:
        self._sink = sink

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def _all(self) -> AsyncIterator[bytes]:
        assert self._sink is not None
        yield b"first "
        for piece in (b"second ", b"third ", b"fourth "):
            self._sink(piece)
        await asyncio.sleep(0)
        self._sink(b"fifth ")
        yield b"last"


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_what_is_handed_on_and_what_is_given_arrive_in_their_order(version: bytes) -> None:
    """In chunks, and to a client of HTTP/1.0 without them."""

    async def handler(request: Request) -> Response:
        return Response(200, (), Turns())  # type: ignore[arg-type]

    async with own_server(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/" + version + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
        _, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        words = body if version == b"1.0" else b"".join(body.split(b"\r\n")[1::2])
        assert words == b"first second third fourth fifth last"


async def test_a_body_that_never_waits_is_held_up_by_a_client_that_does_not_read() -> None:
    """Pieces leave at the end of a turn of the loop; who never ends his turn is stopped by what may wait all the same."""
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"p" * 1024

    async def handler(request: Request) -> Response:
        return Response(200, (), endless())

    async with own_server(handler) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await until(lambda: made > 0)
        before = 0
        while made > before:
            before = made
            await asyncio.sleep(0.05)
        assert made < 32 * 1024  # what the kernel's buffers take, and far from for ever
        writer.transport.abort()


async def test_the_head_of_a_stream_leaves_with_its_first_piece_and_does_not_wait_for_it() -> None:
    """One read has both; where the first piece is late, the head is there before it."""
    gate = asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        await gate.wait()
        yield b"piece"

    async def at_once() -> AsyncIterator[bytes]:
        yield b"piece"

    async def handler(request: Request) -> Response:
        return Response(200, (), late() if request.path == "/late" else at_once())

    async with own_server(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.read(65_536)
        assert head.endswith(b"\r\n\r\n")
        gate.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"5\r\npiece\r\n0\r\n\r\n"
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.read(65_536)).endswith(b"\r\n\r\n5\r\npiece\r\n0\r\n\r\n")
        writer.close()

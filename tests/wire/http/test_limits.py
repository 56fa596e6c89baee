"""What one client may not do: too much, too slowly, or to the others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from equipoise.http import Abort, Request, Response, ServerLimits
from tests.wire.http.harness import echo, own_server, serving, status_of, talk, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
BRIEF = ServerLimits(
    header_timeout=0.15, idle_timeout=0.3, body_timeout=0.15, write_timeout=0.2, body_rate=1_000_000, write_buffer=4_096
)


@pytest.mark.parametrize("kind", ["own", "uvicorn"])
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (GET + b"X: y\r\n" * 101 + b"\r\n", 431),
        (GET + b"X: " + b"y" * 66_000 + b"\r\n\r\n", 431),
    ],
)
async def test_heads_that_are_too_large_are_refused(kind: str, head: bytes, status: int) -> None:
    """Request line, number of fields, bytes of fields; each with its own status."""
    async with serving(kind, echo) as port:
        assert status_of(await talk(port, head)) == status


async def test_a_head_without_end_is_refused_before_it_is_complete() -> None:
    """Nobody can make the server collect more than the limits."""
    async with own_server() as server:
        assert status_of(await talk(server.port, b"GET /" + b"x" * 80_000)) == 414
        assert status_of(await talk(server.port, GET + b"X: " + b"y" * 80_000)) == 431


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((GET,), 408),
        ((b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"slow"), 408),
        ((b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nslow\r\n"), 408),
    ],
)
async def test_a_request_that_stops_half_way_gets_408(pieces: tuple[bytes, ...], status: int) -> None:
    """Heads and bodies have their time, then the place is given to others."""
    told: list[int] = []
    async with own_server(limits=BRIEF, on_error=lambda status, reason, client: told.append(status)) as server:
        assert status_of(await talk(server.port, *pieces)) == status
        assert told == [status]
        assert await until(lambda: server.connections == 0)


async def test_dripping_does_not_buy_time() -> None:
    """A byte now and then extends neither the head's time nor, below the rate, the body's."""

    async def drip(port: int, start: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        writer.close()
        return answer.result()

    async with own_server(limits=BRIEF) as server:
        head = drip(server.port, GET + b"X: ")
        body = drip(server.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
        async with asyncio.timeout(3):
            assert [status_of(answer) for answer in await asyncio.gather(head, body)] == [408, 408]


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    """Neither a fresh nor a kept-alive one stays for ever."""
    async with own_server(limits=BRIEF) as server:
        assert await talk(server.port) == b""
        answer = await talk(server.port, GET + b"\r\n")
        assert answer.endswith(b"GET /? 0 ")


async def test_connections_beyond_the_limit_get_503() -> None:
    """And a place that becomes free can be had."""
    async with own_server(limits=ServerLimits(connections=1)) as server:
        _, first = await asyncio.open_connection("127.0.0.1", server.port)
        assert await until(lambda: server.connections == 1)
        assert status_of(await talk(server.port, seconds=0.5)) == 503
        first.close()
        assert await until(lambda: server.connections == 0)
        assert status_of(await talk(server.port, GET + b"Connection: close\r\n\r\n")) == 200


async def endless(piece: bytes, made: list[int]) -> AsyncIterator[bytes]:
    """A body that notes how much of it was asked for."""
    while True:
        made.append(len(piece))
        yield piece


async def test_a_slow_client_holds_back_its_own_stream_and_is_cut_in_the_end() -> None:
    """What is made stays within the buffers of kernel and server; taking nothing at all ends the connection."""
    made: list[int] = []

    async def stream(request: Request) -> Response:
        return Response(200, (), endless(b"x" * 10_000, made))

    async with own_server(stream, limits=BRIEF) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4_096)
        writer.write(GET + b"\r\n")
        await reader.readexactly(100)
        assert await until(lambda: server.in_flight == 0, seconds=3)
        assert sum(made) < 16_000_000
        writer.close()


async def test_answers_pile_up_for_nobody() -> None:
    """A client that pipelines requests and reads nothing gets no second answer made before the first is taken."""
    asked: list[str] = []

    async def large(request: Request) -> Response:
        asked.append(request.path)
        return Response(200, (), b"x" * 30_000_000)

    async with own_server(large) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4_096)
        writer.write((GET + b"\r\n") * 20)
        assert await until(lambda: bool(asked))
        await asyncio.sleep(0.1)
        assert len(asked) == 1
        writer.transport.abort()
        assert await until(lambda: server.in_flight == 0)


async def test_a_flood_behind_a_running_request_stops_being_read() -> None:
    """Its bytes wait in the kernels and at the client, not in the server."""

    async def wait(request: Request) -> Response:
        await asyncio.sleep(30)
        return Response(200)

    async with own_server(wait) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write((GET + b"\r\n") * 600_000)
        assert await until(lambda: server.in_flight == 1)
        await asyncio.sleep(0.2)
        assert writer.transport.get_write_buffer_size() > 4_000_000
        writer.transport.abort()


async def test_a_hang_up_is_noticed_while_reading_is_paused() -> None:
    """A client that pipelined more than the server reads ahead, and left."""
    cancelled = asyncio.Event()

    async def wait(request: Request) -> Response:
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()
        return Response(200)

    async with own_server(wait, limits=ServerLimits(pipelined_bytes=1_000)) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET + b"\r\n")
        assert await until(lambda: server.in_flight == 1)
        for _ in range(3):
            writer.write((GET + b"\r\n") * 300)
            await asyncio.sleep(0.02)
        writer.close()
        assert await until(cancelled.is_set, seconds=1.5)


async def test_a_handler_that_fails_gives_500_and_its_error_is_reported() -> None:
    """The client learns nothing of it; the loop's exception handler does."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context.get("exception")))

    async def fail(request: Request) -> Response:
        raise LookupError("a secret")

    async with own_server(fail) as server:
        answer = await talk(server.port, GET + b"\r\n")
        assert status_of(answer) == 500
        assert b"secret" not in answer
        assert await until(lambda: [type(error) for error in reported] == [LookupError])


@pytest.mark.parametrize("field", [(b"x", b"a\r\nset-cookie: b"), (b"x\n", b"y"), (b"x", b"\0")])
async def test_a_response_cannot_be_split(field: tuple[bytes, bytes]) -> None:
    """A value with a line break in it never reaches the wire."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    async def inject(request: Request) -> Response:
        return Response(200, (field,), b"ok")

    async with own_server(inject) as server:
        answer = await talk(server.port, GET + b"\r\n")
    assert status_of(answer) == 500
    assert b"set-cookie" not in answer


@pytest.mark.parametrize("reset", [True, False])
async def test_abort_answers_nothing(reset: bool) -> None:
    """The connection ends, with a reset if that was asked for."""

    async def abort(request: Request) -> Response:
        raise Abort(reset=reset)

    async with own_server(abort) as server:
        assert await talk(server.port, GET + b"\r\n") == (b"<reset>" if reset else b"")


async def test_http_1_0_is_answered_in_its_own_way() -> None:
    """Streams end with the connection; keep-alive only if asked for."""

    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        return Response(200, (), pieces())

    async with own_server(stream) as server:
        answer = await talk(server.port, b"GET / HTTP/1.0\r\n\r\n")
        assert answer.endswith(b"\r\n\r\nonetwo")
        assert b"chunked" not in answer
    async with own_server() as server:
        answer = await talk(server.port, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", seconds=0.2)
        assert b"connection: keep-alive" in answer
        assert answer.endswith(b"<open>")


async def test_an_open_file_descriptor_is_not_lost() -> None:
    """A hundred clients later, as many sockets are open as before."""

    def open_sockets() -> int:
        with socket.socket() as probe:
            return probe.fileno()

    async with own_server() as server:
        await talk(server.port, GET + b"Connection: close\r\n\r\n")
        before = open_sockets()
        for _ in range(100):
            await talk(server.port, GET + b"Connection: close\r\n\r\n")
        assert await until(lambda: server.connections == 0)
        assert open_sockets() <= before + 2


async def test_a_pipeline_of_quick_answers_leaves_time_for_others() -> None:
    """Between two of them the loop turns: another client is answered long before the pipeline ends."""
    answered: list[str] = []

    async def quick(request: Request) -> Response:
        answered.append(request.path)
        return Response(200)

    async with own_server(quick, limits=ServerLimits(pipelined_bytes=10_000_000)) as server:
        pipeline = asyncio.create_task(talk(server.port, (GET + b"\r\n") * 3_000, seconds=1.0))
        assert await until(lambda: bool(answered))
        await talk(server.port, b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert await until(lambda: len(answered) == 3_001, seconds=3)
        assert answered.index("/other") < 2_900
        await pipeline

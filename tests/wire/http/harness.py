"""Servers of both kinds for one handler, and a client that sends exactly the bytes it is given."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvicorn

from equipoise.http import Handler, Request, Response, Server, ServerLimits, asgi_application

KINDS = ("own", "uvicorn")
Upstream = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def echo(request: Request) -> Response:
    """Answers with what was asked, so that a test sees what the server understood."""
    text = f"{request.method} {request.path}?{request.query} {len(request.body)} "
    return Response(200, ((b"content-type", b"text/plain"),), text.encode() + request.body)


@contextlib.asynccontextmanager
async def serving(kind: str, handler: Handler, **options: Any) -> AsyncIterator[int]:
    """The port of a server of this kind, for as long as the block runs."""
    if kind == "own":
        async with own_server(handler, **options) as server:
            yield server.port
    else:
        async with uvicorn_server(asgi_application(handler, **options)) as port:
            yield port


@contextlib.asynccontextmanager
async def own_server(handler: Handler = echo, **options: Any) -> AsyncIterator[Server]:
    """Our server on a port of the kernel's choice."""
    server = Server(handler, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.drain(0.0)


@contextlib.asynccontextmanager
async def uvicorn_server(application: Any) -> AsyncIterator[int]:
    """uvicorn in this loop, on httptools, silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            application,
            http="httptools",
            log_config=None,
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        running = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            server.force_exit = True
            await running


@contextlib.asynccontextmanager
async def upstream(behave: Upstream) -> AsyncIterator[str]:
    """The origin of a raw server that does what `behave` does on every connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def answering(*answers: bytes) -> Upstream:
    """An upstream that sends these bytes, one after each request, and then waits for the client to leave."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()
        await reader.read()

    return behave


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and counted body of one request, as sent."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


async def talk(port: int, *pieces: bytes, seconds: float = 5.0) -> bytes:
    """Send the pieces, each in its own segment; returns all that came until the server closed or time was up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await _exchange(reader, writer, pieces, seconds)
    finally:
        writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pieces: tuple[bytes, ...], seconds: float
) -> bytes:
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            while data := await reader.read(65_536):
                received += data
    except TimeoutError:
        received += b"<open>"
    except ConnectionError:
        received += b"<reset>"
    return bytes(received)


def status_of(answer: bytes) -> int:
    """The status of the first response in these bytes."""
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer[9:12])


async def until(condition: Callable[[], bool], seconds: float = 1.0) -> bool:
    """Whether the condition came true in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition() and loop.time() < end:
        await asyncio.sleep(0.005)
    return condition()


GENTLE = ServerLimits(header_timeout=5.0, idle_timeout=5.0)

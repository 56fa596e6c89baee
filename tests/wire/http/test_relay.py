"""Server and client together, as a gateway uses them: what happens at one end shows at the other."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.http import Handler, HTTPError, Pool, Request, Response
from tests.wire.http.harness import KINDS, read_request, serving, talk, until, upstream

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def relay_to(pool: Pool) -> Handler:
    """Passes everything on; an upstream's stream is the response's body."""

    async def handler(request: Request) -> Response:
        try:
            answer = await pool.request(request.method, request.path, body=request.body)
        except HTTPError as error:
            return Response(502, (), error.phase.encode())
        return Response(answer.status, list(answer.headers.items()), answer)

    return handler


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sent", [b"", STREAM + b"3\r\none\r\n"])
async def test_a_client_that_hangs_up_ends_the_upstream_request(kind: str, sent: bytes) -> None:
    """Within a second, before the head of the answer and in the middle of its body."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)
        asked.set()
        assert await reader.read() == b""
        gone.set()

    async with upstream(wait) as origin:
        pool = Pool(origin)
        async with serving(kind, relay_to(pool)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET + b"\r\n")
            await asked.wait()
            if sent:
                await reader.readuntil(b"one")
            writer.close()
            assert await until(gone.is_set)
            assert await until(lambda: pool.in_use == 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_reads_slowly_pauses_the_upstream(kind: str) -> None:
    """And nobody else: another client's answer passes by."""
    poured = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        if b"GET /quick" in await read_request(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nquick")
            await reader.read()
        writer.write(STREAM)
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()
            poured += 65_536

    async with upstream(pour) as origin:
        pool = Pool(origin)
        async with serving(kind, relay_to(pool)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"xxx")
            await asyncio.sleep(0.3)
            assert poured < 32_000_000
            before = poured
            quick = await talk(port, b"GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert quick.endswith(b"quick") or b"quick\r\n" in quick
            assert poured == before
            writer.transport.abort()
            assert await until(lambda: pool.in_use == 0)
        await pool.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_upstream_that_breaks_off_leaves_the_answer_unfinished(kind: str) -> None:
    """The client can tell: no final chunk, and the connection ends."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(STREAM + b"3\r\none\r\n")

    async with upstream(break_off) as origin, serving(kind, relay_to(Pool(origin))) as port:
        answer = await talk(port, GET + b"\r\n")
    assert b"3\r\none\r\n" in answer
    assert b"0\r\n\r\n" not in answer
    assert not answer.endswith(b"<open>")

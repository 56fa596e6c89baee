"""Two listeners from start to the last answer, on both servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from equipoise.backends.base import Finished, StreamItem, TextDelta
from equipoise.core.model import Request
from equipoise.gateway import Gateway, run_gateway
from equipoise.http import HTTPError, Pool
from tests.shell.gateway.scripted import CITED, ScriptedBalancer, ScriptedStream, gateway_of, reply_of

QUESTION = b'{"messages":[{"role":"user","content":"Why?"}],"stream":true}'
KINDS = ("own", "uvicorn")


class Gated(ScriptedBalancer):
    """Streams a piece at once and the rest when the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def open(self, request: Request) -> ScriptedStream:
        stream = ScriptedStream(request.id, [])
        stream.items = lambda: self._items(stream)  # type: ignore[method-assign]
        self.streams.append(stream)
        return stream

    async def _items(self, stream: ScriptedStream) -> AsyncIterator[StreamItem]:
        yield TextDelta("Wa")
        await self.gate.wait()
        yield TextDelta("ter")
        stream.reply = reply_of(CITED)
        yield Finished(CITED)


@contextlib.asynccontextmanager
async def running(gateway: Gateway, **options: Any) -> AsyncIterator[tuple[asyncio.Task[int], Pool, Pool]]:
    """A served gateway with a client for each of its listeners."""
    ready: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
    options = {"port": 0, "admin_port": 0, "drain_seconds": 5.0} | options
    served = asyncio.create_task(run_gateway(gateway, on_ready=lambda *ports: ready.set_result(ports), **options))
    await asyncio.wait({served, ready}, return_when=asyncio.FIRST_COMPLETED)
    if served.done():
        served.result()
    public, admin = (Pool(f"http://127.0.0.1:{port}") for port in ready.result())
    try:
        yield served, public, admin
    finally:
        await public.close()
        await admin.close()
        if not served.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await served


async def status(pool: Pool, path: str) -> int:
    response = await pool.request("GET", path)
    await response.read()
    return response.status


@pytest.mark.parametrize("kind", KINDS)
async def test_a_running_answer_is_finished_while_new_ones_are_refused(kind: str):
    """SIGTERM: readiness fails, connections are refused, the stream under way ends properly, nothing is cut."""
    balancer = Gated()
    async with running(gateway_of(balancer), server=kind) as (served, public, admin):
        response = await public.request("POST", "/v1/chat/completions", body=QUESTION)
        pieces = aiter(response)
        first = await anext(pieces)
        assert b'"content":"Wa"' in first
        assert await status(admin, "/readyz") == 200
        os.kill(os.getpid(), signal.SIGTERM)
        while await status(admin, "/readyz") != 503:
            await asyncio.sleep(0.01)
        await refused(public)
        balancer.gate.set()
        rest = b"".join([piece async for piece in pieces])
        assert rest.endswith(b"data: [DONE]\n\n")
        assert await served == 0


async def refused(pool: Pool) -> None:
    """Wait until a new connection is turned away."""
    for _ in range(200):
        fresh = Pool(pool.origin)
        try:
            await (await fresh.request("GET", "/livez")).read()
        except HTTPError:
            return
        finally:
            await fresh.close()
        await asyncio.sleep(0.01)
    pytest.fail("new connections are still accepted")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_signal_cuts_what_still_runs(kind: str):
    """The client sees a broken stream, the upstream is closed, and the cut is counted."""
    balancer = Gated()
    async with running(gateway_of(balancer), server=kind) as (served, public, admin):
        response = await public.request("POST", "/v1/chat/completions", body=QUESTION)
        pieces = aiter(response)
        await anext(pieces)
        os.kill(os.getpid(), signal.SIGTERM)
        while await status(admin, "/readyz") != 503:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(HTTPError):
            while True:
                await anext(pieces)
        assert await served == 1
    assert balancer.streams[0].closed == 1
    assert balancer.events[-1].error_code == "cancelled"


async def test_an_address_in_use_is_an_error_and_leaves_nothing_behind():
    """Neither listener stays when one of them cannot be had."""
    async with running(gateway_of(ScriptedBalancer())) as (_, public, _):
        taken = int(public.origin.rpartition(":")[2])
        with pytest.raises(OSError):
            await run_gateway(gateway_of(ScriptedBalancer()), port=0, admin_port=taken)
        with pytest.raises(OSError):
            await run_gateway(gateway_of(ScriptedBalancer()), port=taken, admin_port=0)


@pytest.mark.parametrize("kind", KINDS)
async def test_both_servers_turn_strangers_away_before_their_body(kind: str):
    """An unknown path is a 404 in OpenAI's form although the body was never sent."""
    async with running(gateway_of(ScriptedBalancer()), server=kind) as (_, public, _):
        port = int(public.origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 404")
        assert b'"code":"not_found"' in await asyncio.wait_for(reader.readuntil(b"}"), 5)
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_hangs_up_closes_the_upstream():
    """Within a second, though the upstream says nothing more."""
    balancer = Gated()
    async with running(gateway_of(balancer)) as (_, public, _):
        response = await public.request("POST", "/v1/chat/completions", body=QUESTION)
        await anext(aiter(response))
        response.close()
        for _ in range(100):
            if balancer.streams[0].closed:
                break
            await asyncio.sleep(0.01)
        assert balancer.streams[0].closed == 1
        assert balancer.events[-1].status == 499

"""Faults are switched over HTTP while a backend runs, and a client sees them on the wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from equipoise.http import HTTPError, Timeouts
from tests.wire.sandbox.conftest import Peer, Start

KEY = {"authorization": "Bearer sandbox"}
BODY: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "capital of France?"}]}
STREAM = BODY | {"stream": True}
CHAT = "/v1/chat/completions"


async def test_a_cut_stream_is_reset_in_the_middle(start: Start) -> None:
    """The client reads what came and then an error, never a quiet end."""
    peer = await start("general_llm")
    await peer.faults(cut_after_chunks=3)
    response = await peer.call("POST", CHAT, STREAM, **KEY)
    came = b""
    with pytest.raises(HTTPError) as failed:
        async for piece in response:
            came += piece
    assert came.count(b"data: ") <= 3
    assert failed.value.phase == "read"


@pytest.mark.parametrize("fault", ["cut_after_bytes", "cut_after_chunks"])
@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_a_cut_at_zero_leaves_before_the_head(start: Start, fault: str, body: dict[str, Any]) -> None:
    """The request may have been processed: nothing tells."""
    peer = await start("general_llm")
    await peer.faults(**{fault: 0})
    with pytest.raises(HTTPError) as failed:
        await peer.call("POST", CHAT, body, **KEY)
    assert failed.value.maybe_processed


async def test_a_stall_is_ended_by_the_clients_patience_only(start: Start) -> None:
    """Two events come, then nothing; hanging up frees the backend."""
    peer = await start("general_llm")
    await peer.faults(stall_after_chunks=2)
    body, headers = b'{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hello"}]}', KEY
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    patience = Timeouts(between_bytes=0.1)
    response = await peer.pool.request("POST", CHAT, headers=fields, body=body, timeouts=patience)
    with pytest.raises(HTTPError) as failed:
        await response.read()
    assert failed.value.timed_out
    async with asyncio.timeout(5):
        while (await peer.stats())["in_flight"]:
            await asyncio.sleep(0.01)
    assert (await peer.stats())["cut"] == 1


async def test_throttling_says_when_to_come_back(start: Start) -> None:
    """Whole seconds in Retry-After, OpenAI's milliseconds beside it; nothing is billed."""
    peer = await start("general_llm")
    await peer.faults(throttle_rate=1, retry_after=1.5)
    response = await peer.call("POST", CHAT, BODY, **KEY)
    await response.read()
    assert (response.status, response.headers[b"retry-after"], response.headers[b"retry-after-ms"]) == (
        429,
        b"2",
        b"1500",
    )
    assert (await peer.stats())["paid"] == 0


async def test_the_error_rate_is_a_rate(start: Start) -> None:
    """Seeded draws: of 200 questions at 0.3 about 60 fail, with the status asked for."""
    peer = await start("general_llm")
    await peer.faults(error_rate=0.3, error_status=503)
    statuses = [(await peer.json("POST", CHAT, BODY, **KEY))[0] for _ in range(200)]
    assert set(statuses) == {200, 503}
    assert 40 <= statuses.count(503) <= 80


@pytest.mark.parametrize("name", ["graph_deep", "web_search", "general_llm"])
@pytest.mark.parametrize("status", [400, 404, 451, 499, 503, 529])
async def test_any_error_status_has_a_body_in_the_dialect(start: Start, name: str, status: int) -> None:
    """Also those that no standard names."""
    peer = await start(name)
    await peer.faults(error_rate=1, error_status=status)
    path = next(path for method, path in peer.backend.routes if method == "POST")
    got, answer = await peer.json("POST", path, {})
    assert (got, set(answer) <= {"error", "detail"}) == (status, True)


async def test_probes_are_spared_unless_told(start: Start) -> None:
    """A backend whose answers fail may well look healthy."""
    peer = await start("graph_deep")
    await peer.faults(error_rate=1)
    assert (await peer.json("GET", "/health"))[0] == 200
    await peer.faults(probes=True)
    assert (await peer.json("GET", "/health"))[0] == 500


@pytest.mark.parametrize("fault", ["garbage", "malformed", "unterminated"])
async def test_a_spoilt_whole_answer_cannot_be_read(start: Start, fault: str) -> None:
    """Status 200, right content type, and no JSON."""
    peer = await start("general_llm")
    await peer.faults(**{fault: True})
    response = await peer.call("POST", CHAT, BODY, **KEY)
    assert (response.status, response.headers[b"content-type"]) == (200, b"application/json")
    with pytest.raises(ValueError):
        json.loads(await response.read())


async def test_a_refusing_port_opens_again_by_itself(start: Start) -> None:
    """Closed as after a crash, then back on the same port with the same counts."""
    peer = await start("graph_deep")
    port = peer.backend.port
    await peer.json("GET", "/health")
    await peer.faults(refuse=1.0)
    async with asyncio.timeout(5):
        while not await _refused(peer):
            await asyncio.sleep(0.01)
        while await _refused(peer):
            await asyncio.sleep(0.02)
    assert (peer.backend.port, (await peer.stats())["probes"] >= 2) == (port, True)


async def _refused(peer: Peer) -> bool:
    try:
        await peer.json("GET", "/health")
    except HTTPError:
        return True
    return False


async def test_a_wrong_switch_is_told_and_changes_nothing(start: Start) -> None:
    """The error names the field."""
    peer = await start("graph_deep")
    status, answer = await peer.json("POST", "/__faults", {"eror_rate": 1})
    assert (status, "eror_rate" in answer["error"]) == (400, True)
    assert (await peer.json("GET", "/__faults"))[1]["error_rate"] == 0.0


@pytest.mark.parametrize("name", ["graph_deep", "web_search", "general_llm"])
async def test_unknown_paths_and_methods_are_told_apart(start: Start, name: str) -> None:
    """404 and 405, each in the dialect's own words."""
    peer = await start(name)
    known = next(path for method, path in peer.backend.routes if method == "POST")
    assert (await peer.json("GET", "/nowhere"))[0] == 404
    assert (await peer.json("PUT", known))[0] == 405

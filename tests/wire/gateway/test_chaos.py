"""Two of three backends fail in every way there is: nobody is left without an answer, and the bill is exact."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from equipoise.sandbox import Faults
from tests.wire.gateway.fleet import BACKENDS, Fleet

QUESTION = "What is clinical metabolomics, and what do targeted assays measure?"
PATHS = ("/v1/chat/completions", "/v1/responses", "/query/stream")
AT_ONCE = 8
FAULTS: tuple[dict[str, Any], ...] = (
    {"error_rate": 1.0},
    {"throttle_rate": 1.0},
    {"error_rate": 1.0, "error_status": 401},
    {"cut_after_bytes": 0},
    {"cut_after_chunks": 2},
    {"garbage": True},
    {"malformed": True},
    {"unterminated": True},
    {"no_context": True},
)


def body_for(path: str, stream: bool) -> dict[str, Any]:
    """A question in the dialect of a path."""
    asked: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": QUESTION}]},
        "/v1/responses": {"input": QUESTION},
        "/query/stream": {"query": QUESTION},
    }
    return {"model": "auto", "stream": stream, **asked[path]}


async def told_cost(fleet: Fleet, path: str, stream: bool) -> int:
    """Nano-dollars the client was told of; fails unless it got an answer or, after a first piece, an explicit error."""
    response = await fleet.post(path, body_for(path, stream))
    body = await response.read()
    assert response.status == 200, body
    if not stream:
        return int(response.headers[b"x-equipoise-cost-usd"].replace(b".", b""))
    assert not path.endswith("completions") or body.endswith(b"data: [DONE]\n\n"), body[-200:]
    return int(last_cost(body).replace(".", ""))


def last_cost(body: bytes) -> str:
    """What the end of a stream says it cost: the story of an answer, or the error that cut it."""
    lines = [line.removeprefix(b"data: ") for line in body.splitlines()]
    last = [json.loads(line) for line in lines if line.startswith(b"{")][-1]
    response = last["response"] if isinstance(last.get("response"), dict) else {}
    story = last.get("equipoise") or response.get("equipoise") or last
    return str(story["cost_usd"])


@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: next(iter(faults)))
@pytest.mark.parametrize("alive", BACKENDS)
async def test_while_one_backend_lives_everybody_is_answered_and_billed(
    alive: str, faults: dict[str, Any], tmp_path: Path
) -> None:
    """Whole and streamed, in three dialects, at once: no failure, no lease kept, and what was told is what is recorded."""
    retry = {"max_attempts": 6, "share": 1.0, "burst": 500}
    fleet = Fleet(tmp_path, retry=retry, minimum_quality_threshold=0.0)
    await fleet.start()
    try:
        for name in set(BACKENDS) - {alive}:
            fleet.backends[name].set_faults(Faults(**faults))
        asked = [(path, stream) for path in PATHS for stream in (False, True)] * AT_ONCE
        told = await asyncio.gather(*(told_cost(fleet, path, stream) for path, stream in asked))
        assert fleet.estate.balancer.in_flight == 0
        assert all(row["in_flight"] == 0 for row in fleet.estate.balancer.status()["backends"])
        assert sum(told) == int((await fleet.billed()).replace(".", ""))
    finally:
        await fleet.stop()

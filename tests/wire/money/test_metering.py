"""Golden files: for each upstream, what was sent back and what it comes to in the ledger, to the token and nano-dollar.

`tests/fixtures/metering/*.json` hold the cases, each with the reckoning in a word; the bodies are those of
`tests/fixtures/wire`. A body is cut before the event that holds `cut_before`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from equipoise.build import build
from equipoise.config.load import load
from equipoise.gateway import Gateway
from equipoise.http import Abort, Pool, Request, Response, Server
from tests.wire.backends.scripted import recorded

CASES = [
    pytest.param(case, id=f"{file.stem}: {case['name']}")
    for file in sorted((Path(__file__).parents[2] / "fixtures" / "metering").glob("*.json"))
    for case in json.loads(file.read_text())["cases"]
]
BOOKED = (
    "verdict", "interrupted", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "citation_tokens",
    "searches", "fees", "usage_estimated", "cost", "cost_source", "price_source", "claimed_cost",
)  # fmt: skip
KINDS = {"sse": b"text/event-stream", "ndjson": b"application/x-ndjson", "json": b"application/json"}


def told(upstream: dict[str, Any]) -> Response:
    """What the upstream answers: a recorded body or one in the case, whole or cut."""
    name = upstream.get("file", "inline.json")
    body = recorded(name) if "file" in upstream else json.dumps(upstream["body"]).encode()
    kind = ((b"content-type", KINDS[name.rpartition(".")[2]]),)
    if "cut_before" not in upstream:
        return Response(upstream["status"], kind, body)
    end = body.index(upstream["cut_before"].encode())
    return Response(200, kind, cut(body[: body.rindex(b"data: ", 0, end)]))


async def cut(body: bytes) -> AsyncIterator[bytes]:
    yield body
    raise Abort


async def booked(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The last record that the case leaves in the ledger."""

    async def answer(request: Request) -> Response:
        return told(case["upstream"])

    upstream = Server(answer)
    await upstream.start()
    endpoint = f"http://127.0.0.1:{upstream.port}" + ("/v1" if "open" in case["backend"]["backend_type"] else "")
    backend = {"endpoint_url": endpoint, **case["backend"]}
    config = {"backend_instances": {"x": backend}, "state_dir": str(folder), "enable_real_time_monitoring": False}
    estate = build(load(config).config)
    ledger = estate.ledger
    assert ledger is not None
    gateway = Gateway(estate.balancer, story=ledger.story, metrics=lambda: b"", ready=dict)
    server = Server(gateway.handle, admit=gateway.admit)
    await server.start()
    pool = Pool(f"http://127.0.0.1:{server.port}")
    response = await pool.request("POST", case["ask"]["path"], body=json.dumps(case["ask"]["body"]).encode())
    await response.read()
    story = await ledger.story(response.headers[b"x-request-id"].decode())
    await pool.close()
    await server.drain(0)
    await estate.balancer.close()
    await upstream.drain(0)
    assert story is not None
    return {name: story[0][name] for name in BOOKED}


@pytest.mark.parametrize("case", CASES)
async def test_every_upstreams_usage_is_booked_as_the_golden_file_says(case: dict[str, Any], tmp_path: Path) -> None:
    """Whole answers, streams, cut streams, failures that cost: tokens, cost, and by whose word."""
    found = await booked(case, tmp_path)
    expected = dict.fromkeys(BOOKED[2:9], 0) | {"interrupted": False, "usage_estimated": False, "claimed_cost": None}
    assert found == expected | case["expected"], case["why"]

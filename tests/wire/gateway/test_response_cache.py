"""The response cache over sockets: real balancer, ledger and gateway, sandbox backends of three kinds behind them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from equipoise.cli.serving import make_gateway
from equipoise.config.load import load
from equipoise.gateway import Gateway
from tests.wire.gateway.fleet import BACKENDS, Fleet
from tests.wire.gateway.test_with_balancer import PATHS, asking, events, text_of

MANY = 40


class CachingFleet(Fleet):
    """The gateway as `serve` makes it, whose routes all keep their answers."""

    def _gateway(self) -> Gateway:
        return make_gateway(load(self._configuration()).config, self.estate)


@pytest.fixture
async def caching(tmp_path: Path):
    running = CachingFleet(tmp_path, routes={"auto": {"cache": True}})
    await running.start()
    yield running
    await running.stop()


async def asked_at_once(fleet: Fleet, path: str, body: dict[str, Any]) -> list[tuple[str, bytes]]:
    async def one() -> tuple[str, bytes]:
        response = await fleet.post(path, body)
        whole = await response.read()
        assert response.status == 200, whole
        return response.headers[b"x-equipoise-cache"].decode(), whole

    return await asyncio.gather(*(one() for _ in range(MANY)))


def attempts_of(billed: dict[str, Any]) -> int:
    return sum(row["attempts"] for row in billed["backends"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_identical_questions_at_once_cost_one_upstream_call(
    caching: Fleet, backend: str, path: str, stream: bool
):
    """Forty callers at once, and one after them: one attempt in the ledger, the same words for all, one payment."""
    body = asking(path, backend, stream=stream)
    found = await asked_at_once(caching, path, body)
    said = sorted(result for result, _ in found)
    assert said.count("miss") == 1
    assert set(said) <= {"miss", "joined", "hit"}
    late = await caching.post(path, body)
    words = {_words(path, whole, stream) for whole in (*(whole for _, whole in found), await late.read())}
    assert len(words) == 1
    assert len(words.pop()) > 20
    assert late.headers[b"x-equipoise-cache"] == b"hit"
    assert attempts_of(await caching.get("/admin/ledger/summary", caching.admin)) == 1
    assert 'result="hit"' in await _metrics(caching)


def _words(path: str, whole: bytes, stream: bool) -> str:
    if not stream:
        return text_of(path, json.loads(whole))
    found = events(whole)
    if path == "/v1/responses":
        return "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta")
    if path.startswith("/query"):
        return "".join(event.get("response", "") for event in found)
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in found if event.get("choices"))


async def _metrics(fleet: Fleet) -> str:
    response = await fleet.pool.request("GET", "/metrics")
    return (await response.read()).decode()


async def test_a_hit_has_a_story_and_what_it_saved_is_known(caching: Fleet):
    """Its own record: whose answer it was and what that did cost; nothing is booked for it."""
    body = asking(PATHS[0], "general_llm", stream=False)
    first = await caching.post(PATHS[0], body, x_request_id="first")
    await caching.post(PATHS[0], body, x_request_id="second")
    cost = first.headers[b"x-equipoise-cost-usd"].decode()
    assert float(cost) > 0
    told = await caching.get("/v1/requests/second")
    assert (told["answered_by"], told["cost_usd"], told["attempts"]) == ("general_llm", "0.000000000", [])
    (record,) = told["cache"]
    assert (record["result"], record["source"], record["saved_usd"]) == ("hit", "first", cost)
    usage = await caching.get("/me/usage")
    assert usage["today"]["requests"] == 1
    assert usage["given_again"]["today"] == {"reused": 1, "saved_usd": cost}
    assert f"lb_cache_saved_cost_total {float(cost)!r}" in await _metrics(caching)


async def test_purging_over_the_admin_listener(caching: Fleet):
    """What is kept is listed without its words; one call, and the next question is asked."""
    body = asking(PATHS[0], "graph_deep", stream=False)
    for _ in range(2):
        response = await caching.post(PATHS[0], body)
    assert response.headers[b"x-equipoise-cache"] == b"hit"
    kept = await caching.get("/admin/cache", caching.admin)
    (entry,) = kept["entries"]
    assert (entry["backend"], entry["route"], entry["tenant"], entry["hits"]) == ("graph_deep", "auto", "default", 1)
    assert "metabolomics" not in json.dumps(kept)
    said = await caching.admin.request("POST", "/admin/cache/purge", body=b'{"route": "auto"}')
    assert json.loads(await said.read()) == {"done": "purge", "answers": 1}
    assert (await caching.post(PATHS[0], body)).headers[b"x-equipoise-cache"] == b"miss"


async def test_explaining_a_question_says_what_the_cache_would_do(caching: Fleet):
    """Without asking, and without counting as asked."""
    body = asking(PATHS[0], "general_llm", stream=False)

    async def explained() -> Any:
        response = await caching.post("/v1/route/explain", body)
        return json.loads(await response.read())["cache"]

    assert (await explained())["result"] == "miss"
    await caching.post(PATHS[0], body)
    found = await explained()
    assert (found["result"], found["backend"]) == ("hit", "general_llm")
    assert (await caching.get("/admin/cache", caching.admin))["entries"][0]["hits"] == 0

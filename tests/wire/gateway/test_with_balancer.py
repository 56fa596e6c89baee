"""Questions through the real gateway and balancer to backends of three kinds, over sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from equipoise.gateway import ClientKeys
from equipoise.sandbox import Faults
from tests.wire.gateway.fleet import BACKENDS, Fleet

QUESTION = "What is clinical metabolomics, and what do targeted assays measure?"
PATHS = ("/v1/chat/completions", "/v1/responses", "/query/stream")


def asking(path: str, backend: str, *, stream: bool) -> dict[str, Any]:
    if path.startswith("/query"):
        return {"query": QUESTION, "model": backend, "stream": stream}
    if path == "/v1/responses":
        return {"input": QUESTION, "model": backend, "stream": stream}
    return {"messages": [{"role": "user", "content": QUESTION}], "model": backend, "stream": stream}


def events(body: bytes) -> list[Any]:
    """Payloads of server-sent events or NDJSON lines."""
    lines = [line.removeprefix(b"data: ") for line in body.splitlines()]
    return [json.loads(line) for line in lines if line.startswith(b"{")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_every_dialect_is_answered_by_every_kind(fleet: Fleet, backend: str, path: str):
    """Whole answers: text, the backend's name, and a cost that the ledger confirms to the nano-dollar."""
    response = await fleet.post(path, asking(path, backend, stream=False))
    body = json.loads(await response.read())
    assert response.status == 200, body
    assert response.headers[b"x-equipoise-backend"] == backend.encode()
    assert response.headers[b"x-equipoise-cost-usd"].decode() == await fleet.billed() != "0.000000000"
    assert len(text_of(path, body)) > 20
    if backend != "general_llm":
        assert sources_of(path, body)


def text_of(path: str, body: dict[str, Any]) -> str:
    if path == "/query/stream":
        return str(body["response"])
    if path == "/v1/responses":
        return "".join(p["text"] for item in body["output"] if item["type"] == "message" for p in item["content"])
    return str(body["choices"][0]["message"]["content"])


def sources_of(path: str, body: dict[str, Any]) -> list[Any]:
    if path == "/query/stream":
        return list(body["references"])
    if path == "/v1/responses":
        return [r for item in body["output"] if item["type"] == "search_results" for r in item["results"]]
    return list(body["citations"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_every_dialect_streams_from_every_kind(fleet: Fleet, backend: str, path: str):
    """Streams carry as much text as whole answers, end properly, and tell their cost at the end."""
    response = await fleet.post(path, asking(path, backend, stream=True))
    assert response.headers[b"x-equipoise-backend"] == backend.encode()
    body = await response.read()
    told = events(body)
    last = told[-1].get("response", told[-1]) if path == "/v1/responses" else told[-1]
    assert last["equipoise"]["cost_usd"] == await fleet.billed() != "0.000000000"
    assert len(streamed_text(path, told)) > 20
    assert (body.endswith(b"data: [DONE]\n\n")) is (path == PATHS[0])


def streamed_text(path: str, told: list[Any]) -> str:
    if path == "/query/stream":
        return "".join(line.get("response", "") for line in told)
    if path == "/v1/responses":
        return "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta")
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in told if chunk["choices"])


async def test_sources_of_a_stream_come_before_its_end(fleet: Fleet):
    """In the chat form: lists and annotations in a chunk, and every mark in the text has its source."""
    response = await fleet.post(PATHS[0], asking(PATHS[0], "web_search", stream=True))
    told = events(await response.read())
    (sources,) = [chunk for chunk in told if "citations" in chunk]
    text = streamed_text(PATHS[0], told)
    for annotation in sources["choices"][0]["delta"]["annotations"]:
        span = annotation["url_citation"]
        assert text[span["start_index"] : span["end_index"]].startswith("[")
    assert all(url.startswith("https://") for url in sources["citations"] if url)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_broken_backend_is_passed_over(fleet: Fleet, stream: bool):
    """The client gets one answer; headers tell of two attempts and who should have answered."""
    fleet.backends["graph_deep"].set_faults(Faults(error_rate=1.0))
    fleet.backends["web_search"].set_faults(Faults(error_rate=1.0))
    told = []
    for _ in range(3):
        response = await fleet.post(PATHS[0], asking(PATHS[0], "auto", stream=stream))
        assert response.status == 200
        await response.read()
        told.append((response.headers[b"x-equipoise-backend"], response.headers.get(b"x-equipoise-fallback-from")))
    assert {backend for backend, _ in told} == {b"general_llm"}
    assert {b"graph_deep", b"web_search"} & {failed for _, failed in told}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_cut_stream_ends_in_an_error_with_its_cost(fleet: Fleet, path: str, backend: str):
    """Never a clean end; what was billed all the same is told and recorded alike."""
    chunks = 14 if backend == "web_search" else 6  # its first ten events are about the search
    fleet.backends[backend].set_faults(Faults(cut_after_chunks=chunks))
    response = await fleet.post(path, asking(path, backend, stream=True))
    told = events(await response.read())
    assert response.status == 200
    error = told[-1]
    code = error["code"] if path == "/query/stream" else error["error"]["code"]
    assert (code, error["cost_usd"]) == ("stream_interrupted", await fleet.billed())
    assert not any("usage" in each and each["usage"] for each in told)


async def test_nobody_left_is_an_error_with_reasons(fleet: Fleet):
    """OpenAI's form, the attempts made, their cost as recorded."""
    fleet.break_all(error_rate=1.0)
    response = await fleet.post(PATHS[0], asking(PATHS[0], "auto", stream=False), x_request_id="all-down")
    body = json.loads(await response.read())
    assert response.status in (502, 503)
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["request_id"], body["attempts"]) == ("all-down", int(response.headers[b"x-equipoise-attempts"]))
    assert body["attempts"] >= 2
    assert response.headers[b"x-equipoise-cost-usd"].decode() == await fleet.billed()


async def test_a_request_tells_its_whole_story(fleet: Fleet):
    """Failed attempt and answer, each with its grounds; the sum is what the client was told."""
    fleet.break_all(error_rate=1.0)
    fleet.backends["general_llm"].set_faults(Faults())
    response = await fleet.post(PATHS[0], asking(PATHS[0], "auto", stream=False), x_request_id="story-1")
    await response.read()
    story = await fleet.get("/v1/requests/story-1")
    assert story["answered_by"] == "general_llm"
    assert len(story["attempts"]) == int(response.headers[b"x-equipoise-attempts"])
    assert story["cost_usd"] == response.headers[b"x-equipoise-cost-usd"].decode()
    for attempt in story["attempts"]:
        assert attempt["decision"]["reason"]
        assert attempt["decision"]["candidates"]
    assert story["question_hash"]
    assert QUESTION not in json.dumps(story)


async def test_a_client_that_hangs_up_frees_its_backend(fleet: Fleet):
    """The stream's upstream is closed and nothing stays in flight."""
    fleet.backends["general_llm"].set_faults(Faults(stall_after_chunks=3))
    response = await fleet.post(PATHS[0], asking(PATHS[0], "general_llm", stream=True))
    await anext(aiter(response))
    assert fleet.estate.balancer.in_flight == 1
    response.close()
    for _ in range(100):
        if fleet.estate.balancer.in_flight == 0:
            break
        await asyncio.sleep(0.01)
    assert fleet.estate.balancer.in_flight == 0


async def test_a_drained_backend_gets_nothing_until_resumed(fleet: Fleet):
    """The operator's command holds for the next question."""
    await (await fleet.admin.request("POST", "/admin/backends/general_llm/drain")).read()
    response = await fleet.post(PATHS[0], asking(PATHS[0], "general_llm", stream=False))
    assert response.status == 503
    await response.read()
    await (await fleet.admin.request("POST", "/admin/backends/general_llm/resume")).read()
    response = await fleet.post(PATHS[0], asking(PATHS[0], "general_llm", stream=False))
    assert response.status == 200
    await response.read()


async def test_hints_reach_the_decision(fleet: Fleet):
    """Strategy, tags and session are in the record; an unknown strategy is the client's fault."""
    response = await fleet.post(
        PATHS[0],
        asking(PATHS[0], "auto", stream=False),
        x_equipoise_strategy="cost_optimized",
        x_equipoise_tags="a,b",
        x_equipoise_session="s",
        x_request_id="hinted",
    )
    await response.read()
    assert response.headers[b"x-equipoise-strategy"] == b"cost_optimized"
    (attempt,) = (await fleet.get("/v1/requests/hinted"))["attempts"]
    assert (attempt["tags"], attempt["session"], attempt["strategy"]) == (["a", "b"], "s", "cost_optimized")
    response = await fleet.post(PATHS[0], asking(PATHS[0], "auto", stream=False), x_equipoise_strategy="astrology")
    assert (response.status, json.loads(await response.read())["error"]["param"]) == (400, "x-equipoise-strategy")


async def test_an_unknown_model_is_answered_with_a_warning(fleet: Fleet):
    """Existing clients keep working and learn of it."""
    response = await fleet.post(PATHS[0], asking(PATHS[0], "gpt-9", stream=False))
    assert response.status == 200
    assert b"gpt-9" in response.headers[b"x-equipoise-warning"]
    await response.read()


async def test_state_is_told_in_health_and_metrics(fleet: Fleet):
    """The rows of all backends, and the specification's counters."""
    response = await fleet.post(PATHS[0], asking(PATHS[0], "general_llm", stream=False))
    await response.read()
    health = await fleet.get("/health")
    assert {row["id"] for row in health["backends"]} == set(BACKENDS)
    metrics = (await (await fleet.pool.request("GET", "/metrics")).read()).decode()
    assert "lb_requests_total" in metrics
    assert 'general_llm"' in metrics


async def test_keys_guard_the_public_listener(tmp_path: Path):
    """No key, no question; with one its tenant is recorded."""
    fleet = Fleet(tmp_path, ClientKeys.of(["sk-a"], tenant="team-a"))
    await fleet.start()
    try:
        asked = asking(PATHS[0], "general_llm", stream=False)
        assert (await fleet.post(PATHS[0], asked)).status == 401
        response = await fleet.post(PATHS[0], asked, authorization="Bearer sk-a", x_request_id="mine")
        assert response.status == 200
        await response.read()
        assert (await fleet.post("/v1/requests/mine", {})).status == 405
    finally:
        await fleet.stop()

"""What a client can read off an answer: the model, the corpus, and whether asking again may help."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from equipoise.sandbox import Faults
from tests.wire.gateway.fleet import BACKENDS, Fleet
from tests.wire.gateway.test_with_balancer import PATHS, asking, events

CHAT = "/v1/chat/completions"


@pytest.fixture
async def libraries(tmp_path: Path) -> AsyncIterator[Fleet]:
    """A route over one corpus that declares another as its fallback; both are held by the same kind of server."""
    fleet = Fleet(tmp_path, routes={"auto": {"backends": ["graph_deep"], "fallback": ["web_search"]}})
    for name, corpus in (("graph_deep", "papers"), ("web_search", "the web")):
        fleet.say(name, corpus=corpus)
    await fleet.start()
    try:
        yield fleet
    finally:
        await fleet.stop()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_sampling_options_shut_no_kind_of_backend_out(fleet: Fleet, backend: str) -> None:
    """What most chat clients send by default is taken, or left out, by every kind."""
    asked = asking(CHAT, backend, stream=False) | {"temperature": 0.2, "top_p": 0.9, "seed": 1, "stop": ["END"]}
    response = await fleet.post(CHAT, asked)
    assert (response.status, await response.read())[0] == 200


@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize("backend", BACKENDS)
async def test_every_chunk_names_the_same_model(fleet: Fleet, backend: str, path: str) -> None:
    """From the header to the last event, and never an empty one."""
    response = await fleet.post(path, asking(path, backend, stream=True))
    told = [event.get("response", event) for event in events(await response.read())]
    models = {event["model"] for event in told if "model" in event} | {response.headers[b"x-equipoise-model"].decode()}
    assert len(models) == 1
    assert "" not in models


@pytest.mark.parametrize("stream", [False, True])
async def test_the_corpus_that_answered_is_shown(libraries: Fleet, stream: bool) -> None:
    """A fallback to other documents is visible in the header and in the answer."""
    libraries.backends["graph_deep"].set_faults(Faults(no_context=True))
    for corpus, backend in (("the web", "auto"), ("the web", "web_search")):
        response = await libraries.post(CHAT, asking(CHAT, backend, stream=stream))
        body = await response.read()
        told = events(body)[-1]["equipoise"] if stream else json.loads(body)["equipoise"]
        assert (response.headers[b"x-equipoise-corpus"].decode(), told["corpus"]) == (corpus, corpus)


async def test_backends_without_a_corpus_show_none(fleet: Fleet) -> None:
    """Nothing is invented."""
    response = await fleet.post(CHAT, asking(CHAT, "web_search", stream=False))
    assert "corpus" not in json.loads(await response.read())["equipoise"]
    assert b"x-equipoise-corpus" not in response.headers


async def test_what_nobody_can_do_is_the_askers_fault(fleet: Fleet) -> None:
    """Tools at a knowledge graph: asking again will not help, and the client is told so."""
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    response = await fleet.post(CHAT, asking(CHAT, "graph_deep", stream=False) | {"tools": [tool]})
    error = json.loads(await response.read())["error"]
    assert (response.status, error["code"], response.headers[b"x-should-retry"]) == (
        400,
        "invalid_request_error",
        b"false",
    )
    assert "tools" in error["message"]

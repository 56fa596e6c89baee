"""POST /v1/route/explain: the next decision with all its grounds, for whoever may ask a question."""

from __future__ import annotations

import json
from typing import Any

from equipoise.gateway import ClientKeys
from equipoise.gateway.explaining import PUBLIC
from equipoise.gateway.keys import digest
from tests.fakes import ScriptedClient, answer, balancer
from tests.shell.gateway.scripted import gateway_of, http, whole


def served(**options: Any) -> Any:
    clients = {name: ScriptedClient(answer()) for name in ("papers", "web", "drained")}
    it, _ = balancer(clients, strategy="round_robin")
    it.config_hash, it.seed = "abc123", 7
    it.drain("drained")
    return gateway_of(it, **options), it


async def explained(gateway: Any, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    response = await gateway.handle(http("POST", PUBLIC, json.dumps(body).encode(), **headers))
    return response.status, json.loads(await whole(response))


async def test_it_says_who_why_who_else_and_by_what_configuration() -> None:
    """Candidates with every number a policy saw, the reason of each that was left out, probability, seed, hash."""
    gateway, _ = served()
    status, told = await explained(gateway, {"question": "What is a metabolite?"})
    assert status == 200
    assert (told["backend"], told["config_hash"], told["seed"]) == ("papers", "abc123", 7)
    assert told["excluded"] == {"drained": "draining"}
    assert told["probability"] == 1.0
    assert [row["backend"] for row in told["candidates"]] == ["papers", "web"]
    assert {"load", "health", "quality_low", "expected_cost_usd", "score"} <= set(told["candidates"][0])


async def test_what_it_says_is_what_the_next_question_gets() -> None:
    """In turn, without ever moving the turn; a whole chat body is understood too."""
    gateway, _ = served()
    chat = {"model": "auto", "messages": [{"role": "user", "content": "What is a metabolite?"}]}
    for expected in ("papers", "web", "papers"):
        for body in (chat, {"question": "What is a metabolite?"}):
            assert (await explained(gateway, body))[1]["backend"] == expected
        response = await gateway.handle(http("POST", "/v1/chat/completions", json.dumps(chat).encode()))
        assert dict(response.headers)[b"x-equipoise-backend"] == expected.encode()


async def test_headers_count_as_they_do_for_a_question() -> None:
    """A strategy by header decides; one that does not exist is refused in OpenAI's form."""
    gateway, _ = served()
    _, told = await explained(gateway, {"question": "hello"}, x_equipoise_strategy="cost_optimized")
    assert told["strategy"] == "cost_optimized"
    status, told = await explained(gateway, {"question": "hello"}, x_equipoise_strategy="astrology")
    assert (status, told["error"]["type"]) == (400, "invalid_request_error")


async def test_nobody_to_ask_is_an_answer_with_reasons() -> None:
    """200: the explanation itself did not fail."""
    gateway, it = served()
    for name in ("papers", "web"):
        it.drain(name)
    status, told = await explained(gateway, {"question": "hello"})
    assert (status, told["backend"], told["code"]) == (200, None, "no_healthy_backend")
    assert set(told["excluded"]) == {"papers", "web", "drained"}


async def test_it_wants_a_key_where_questions_do() -> None:
    """Reasons are for those who may ask."""
    gateway, _ = served(keys=ClientKeys({digest("secret-key"): "team"}))
    assert (await explained(gateway, {"question": "hello"}))[0] == 401
    assert (await explained(gateway, {"question": "hello"}, authorization="Bearer secret-key"))[0] == 200


async def test_a_body_that_means_nothing_is_refused() -> None:
    """No question, unknown fields, no JSON."""
    gateway, _ = served()
    for body in (b"", b"{}", b"[1]", b'{"question": "x", "depth": 1}', b'{"messages": []}'):
        response = await gateway.handle(http("POST", PUBLIC, body))
        assert response.status in (400, 422), body

"""What the gateway does when real software breaks behind it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from equipoise.sandbox.real.gateway import RealGateway

QUESTION = "How soon should plasma be separated from blood cells?"
SHORT = {"max_tokens": 16}


def recorded(gateway: RealGateway, request_id: str) -> list[dict[str, Any]]:
    """The attempts of a request, as soon as they are written."""
    for _ in range(100):
        if story := gateway.story(request_id):
            attempts: list[dict[str, Any]] = story["attempts"]
            return attempts
        time.sleep(0.05)
    raise AssertionError(f"no story of {request_id} after five seconds")


def test_a_dead_lightrag_server_is_replaced_by_the_small_model(fresh_gateway: RealGateway, no_lightrag: None) -> None:
    """The very next question is answered, and the answer says by whom and instead of whom."""
    answer = fresh_gateway.ask(QUESTION, options=SHORT)
    assert (answer.status, answer.backend, answer.fallback_from) == (200, "small-model", "lightrag")
    assert answer.text
    assert answer.sources == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_lightrag_server_without_its_model_is_replaced(
    fresh_gateway: RealGateway, no_model: None, stream: bool
) -> None:
    """LightRAG says 200 and nothing; the client gets an answer all the same, streamed or not, and the record tells why."""
    answer = fresh_gateway.ask(QUESTION, stream=stream, options=SHORT)
    assert (answer.status, answer.backend, answer.fallback_from) == (200, "small-model", "lightrag")
    verdicts = [attempt["verdict"] for attempt in recorded(fresh_gateway, answer.request_id)]
    assert verdicts == ["no_answer", "success"]


def test_lightrag_is_asked_again_once_it_is_back(fresh_gateway: RealGateway) -> None:
    """After the failures above the server itself is well: a new gateway prefers it."""
    answer = fresh_gateway.ask(QUESTION)
    assert (answer.backend, answer.sources) == ("lightrag", ["sample-handling.txt"])

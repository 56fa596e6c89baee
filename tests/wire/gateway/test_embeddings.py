"""`/v1/embeddings` is served, balanced among replicas of one model, and billed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from equipoise.gateway.dialects.embeddings import read_embeddings
from equipoise.sandbox import Faults
from tests.wire.gateway.fleet import Fleet

PRICE = {"input": 0.02}
TEXTS = ["lactate falls in sepsis", "a pooled sample is made"]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """The usual three, of which the OpenAI server stands for an embedding server too, twice."""
    running = Fleet(tmp_path, routes={"auto": {"backends": ["general_llm"]}})
    running.say("general_llm", supports=["embeddings"], model="text-embedding-3-small", price=PRICE)
    await running.start()
    yield running
    await running.stop()


async def test_vectors_come_as_the_upstream_wrote_them_and_are_billed_by_its_count(fleet: Fleet) -> None:
    """Two texts, two vectors, prompt tokens at the price of input, one record."""
    response = await fleet.post("/v1/embeddings", {"model": "auto", "input": TEXTS})
    body = json.loads(await response.read())
    assert response.status == 200, body
    assert [row["index"] for row in body["data"]] == [0, 1]
    expected = body["usage"]["prompt_tokens"] * 20
    assert await fleet.billed() == f"0.{expected:09d}"
    assert response.headers[b"x-equipoise-cost-usd"].decode() == await fleet.billed()
    story = await fleet.get("/v1/requests/" + response.headers[b"x-request-id"].decode())
    assert (story["attempts"][0]["cost_source"], story["attempts"][0]["price_source"]) == ("priced", "price")


async def test_openais_own_client_gets_its_vectors(fleet: Fleet) -> None:
    """It asks for base64 and decodes it."""
    async with openai.AsyncOpenAI(base_url=fleet.url + "/v1", api_key="x", max_retries=0) as client:
        answer = await client.embeddings.create(model="auto", input=TEXTS)
        assert len(answer.data) == 2
        assert all(isinstance(number, float) for number in answer.data[0].embedding)


@pytest.mark.parametrize(("given", "tokens"), [([1, 2, 3], 3), ([[1, 2], [3]], 3), ("a text", None)])
def test_tokens_instead_of_texts_are_counted_exactly(given: Any, tokens: int | None) -> None:
    """Some clients count for themselves and send numbers."""
    assert read_embeddings(json.dumps({"input": given}).encode()).question.tokens == tokens


@pytest.mark.parametrize(
    "body",
    [
        {"model": "auto"},
        {"model": "auto", "input": []},
        {"model": "auto", "input": ["a", 1]},
        {"model": "auto", "input": [""]},
        {"model": "auto", "input": [[1, "x"]]},
        {"model": "auto", "input": ["x"] * 2049},
    ],
)
async def test_what_is_no_input_is_a_400(fleet: Fleet, body: dict[str, Any]) -> None:
    """Named, and nobody was asked."""
    response = await fleet.post("/v1/embeddings", body)
    told = json.loads(await response.read())
    assert response.status == 400
    assert "input" in told["error"]["message"]
    assert await fleet.billed() == "0.000000000"


async def test_a_question_is_not_sent_to_who_only_embeds_nor_a_text_to_who_only_talks(fleet: Fleet) -> None:
    """400 with the reason of each."""
    chat = {"model": "general_llm", "messages": [{"role": "user", "content": "Why?"}]}
    for path, body, why in (
        ("/v1/chat/completions", chat, "makes embeddings only"),
        ("/v1/embeddings", {"model": "web_search", "input": "x"}, "cannot do: embeddings"),
    ):
        response = await fleet.post(path, body)
        told = json.loads(await response.read())
        assert response.status == 400, told
        assert why in told["error"]["message"]


async def test_a_broken_embedding_server_is_an_error_like_any_other(fleet: Fleet) -> None:
    """502 or 503 in OpenAI's form."""
    fleet.backends["general_llm"].set_faults(Faults(error_rate=1.0))
    response = await fleet.post("/v1/embeddings", {"model": "auto", "input": "x"})
    assert response.status in (502, 503)
    assert json.loads(await response.read())["error"]["code"]


async def test_chance_does_not_decide_which_model_makes_a_vector(tmp_path: Path) -> None:
    """A route with embeddings of two models is refused; each is asked by its name."""
    fleet = Fleet(tmp_path)
    fleet.say("general_llm", supports=["embeddings"], model="text-embedding-3-small", price=PRICE)
    await fleet.start()
    other = fleet.estate.balancer.selection.backends["web_search"]
    other.options = type(other.options)(
        id="web_search", type=other.options.type, model="another-model", supports=frozenset({"embeddings"})
    )
    response = await fleet.post("/v1/embeddings", {"model": "auto", "input": "x"})
    told = json.loads(await response.read())
    assert (response.status, told["error"]["code"]) == (400, "ambiguous_model")
    assert "another-model, text-embedding-3-small" in told["error"]["message"]
    assert (await fleet.post("/v1/embeddings", {"model": "general_llm", "input": "x"})).status == 200
    await fleet.stop()

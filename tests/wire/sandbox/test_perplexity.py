"""The Perplexity-shaped backend keeps the wire format of the Agent API, and the official SDK reads it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from perplexity import AsyncPerplexity, AuthenticationError

from tests.wire.sandbox.conftest import Peer, Start

KEY = {"authorization": "Bearer sandbox"}
QUESTION = "Any news on the latest biomarkers for diabetes?"
SEARCH = [{"type": "web_search", "search_context_size": "low"}]
ASKED: dict[str, Any] = {"input": QUESTION, "model": "perplexity/sonar", "tools": SEARCH}


def sdk(peer: Peer, key: str = "sandbox") -> AsyncPerplexity:
    """The official client."""
    return AsyncPerplexity(api_key=key, base_url=peer.backend.url, max_retries=0)


async def test_the_sdk_reads_a_whole_answer_with_sources_and_cost(start: Start) -> None:
    """Search results come first, then the message that cites them; news only the web knows."""
    peer = await start("web_search")
    async with sdk(peer) as client:
        reply = await client.responses.create(input=QUESTION, model="perplexity/sonar", tools=SEARCH)
    assert [item.type for item in reply.output] == ["search_results", "message"]
    assert reply.output[0].results[0].url.startswith("https://news.example/")
    assert "[1]" in reply.output_text
    assert reply.usage.cost.total_cost > 0.005


async def test_the_sdk_reads_a_stream(start: Start) -> None:
    """The deltas joined are the text of the completed response."""
    peer = await start("web_search")
    async with sdk(peer) as client:
        stream = await client.responses.create(input=QUESTION, model="perplexity/sonar", tools=SEARCH, stream=True)
        events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == events[-1].response.output_text


async def test_the_cost_is_the_sum_of_its_parts_and_the_own_bill(start: Start) -> None:
    """Published prices: 0.25 and 2.50 dollars a million tokens, half a cent a search."""
    peer = await start("web_search")
    _, answer = await peer.json("POST", "/v1/agent", ASKED, **KEY)
    usage = answer["usage"]
    counted = usage["input_tokens"] * 250 + usage["output_tokens"] * 2_500 + 5_000_000
    assert Decimal(str(usage["cost"]["total_cost"])) == Decimal(counted).scaleb(-9)
    assert (await peer.stats())["billed_usd"] == f"{Decimal(counted).scaleb(-9):.9f}"


async def test_without_the_search_tool_there_are_no_sources(start: Start) -> None:
    """A search has to be asked for, by tool or by preset."""
    peer = await start("web_search")
    bare = {name: value for name, value in ASKED.items() if name != "tools"}
    _, answer = await peer.json("POST", "/v1/responses", bare, **KEY)
    assert [item["type"] for item in answer["output"]] == ["message"]
    assert answer["usage"]["tool_calls_details"] == {}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"stop": ["x"]}, "stop"),
        ({"model": "sonar"}, "sonar"),
        ({"model": None}, "model"),
        ({"max_steps": 101}, "max_steps"),
        ({"input": None}, "input"),
    ],
)
async def test_a_wrong_body_is_a_400_that_names_the_field(start: Start, changes: dict[str, Any], named: str) -> None:
    """The body is read strictly: a field the schema does not know is an error."""
    peer = await start("web_search")
    status, answer = await peer.json("POST", "/v1/agent", ASKED | changes, **KEY)
    assert (status, answer["error"]["code"]) == (400, 400)
    assert named in answer["error"]["message"]


async def test_models_need_no_key_and_answers_do(start: Start) -> None:
    """So a reachable list of models says nothing about the key."""
    peer = await start("web_search")
    status, listed = await peer.json("GET", "/v1/models", authorization="Bearer wrong")
    assert (status, listed["data"][0]["id"]) == (200, "perplexity/sonar")
    async with sdk(peer, "wrong") as client:
        with pytest.raises(AuthenticationError):
            await client.responses.create(input=QUESTION, model="perplexity/sonar")
    assert (await peer.stats())["probes"] == 1


async def test_a_failed_answer_is_a_200_with_its_status_inside(start: Start) -> None:
    """Whole or streamed, the failure stands in the content."""
    peer = await start("web_search")
    await peer.faults(no_context=True)
    status, answer = await peer.json("POST", "/v1/agent", ASKED, **KEY)
    assert (status, answer["status"], answer["output"]) == (200, "failed", [])
    streamed = await peer.text("POST", "/v1/agent", ASKED | {"stream": True}, **KEY)
    assert "event: response.failed" in streamed
    assert "response.completed" not in streamed


async def test_the_older_api_counts_up_and_prices_at_the_end(start: Start) -> None:
    """Usage is cumulative, cost nothing until `chat.completion.done`."""
    peer = await start("web_search")
    body = {"model": "sonar", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    text = await peer.text("POST", "/chat/completions", body, **KEY)
    chunks = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line]
    written = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert written == sorted(written)
    assert {chunk["usage"]["cost"]["total_cost"] for chunk in chunks[:-1]} == {0.0}
    assert chunks[-1]["object"] == "chat.completion.done"
    assert chunks[-1]["usage"]["cost"]["request_cost"] == 0.005
    assert chunks[-1]["citations"] == [result["url"] for result in chunks[-1]["search_results"]]


async def test_the_sdk_reads_the_older_api(start: Start) -> None:
    """Both of its paths serve the same."""
    peer = await start("web_search")
    async with sdk(peer) as client:
        reply = await client.chat.completions.create(model="sonar", messages=[{"role": "user", "content": QUESTION}])
    assert reply.usage.cost.request_cost == 0.005
    body = {"model": "sonar", "messages": [{"role": "user", "content": QUESTION}]}
    assert (await peer.json("POST", "/v1/sonar", body, **KEY))[0] == 200
    assert (await peer.json("POST", "/v1/sonar", body | {"model": "llama-3.1-sonar"}, **KEY))[0] == 400

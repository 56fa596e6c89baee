"""The real `perplexityai` package as a client, its agent form and its older chat form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import perplexity
import pytest

from equipoise.sandbox import Faults
from tests.wire.gateway.fleet import BACKENDS, Fleet
from tests.wire.gateway.test_with_balancer import QUESTION

MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[perplexity.AsyncPerplexity]:
    async with perplexity.AsyncPerplexity(base_url=fleet.url, api_key="unused", max_retries=0) as one:
        yield one


@pytest.mark.parametrize("backend", BACKENDS)
async def test_an_agent_response_of_any_engine(client: perplexity.AsyncPerplexity, backend: str):
    """Text, sources and cost are where the package looks for them."""
    tools = [{"type": "web_search", "filters": {"search_recency_filter": "year"}}]
    answer = await client.responses.create(model=backend, input=QUESTION, tools=tools)
    assert answer.status == "completed"
    assert len(answer.output_text) > 20
    assert answer.usage is not None
    assert answer.usage.cost is not None
    assert answer.usage.cost.total_cost > 0
    sources = [item for item in answer.output if item.type == "search_results"]
    assert bool(sources) is (backend != "general_llm")
    assert all(result.url for item in sources for result in item.results)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_agent_events_of_any_engine(client: perplexity.AsyncPerplexity, backend: str):
    """Typed events, deltas that add up to the final text, usage in the last one."""
    stream = await client.responses.create(model=backend, input=QUESTION, stream=True)
    events = [event async for event in stream]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response is not None
    messages = [item for item in last.response.output if item.type == "message"]
    assert "".join(part.text for item in messages for part in item.content) == text != ""
    assert last.response.usage is not None
    assert last.response.usage.cost is not None


@pytest.mark.parametrize("backend", ["graph_deep", "general_llm"])
async def test_a_cut_stream_is_a_failed_response(fleet: Fleet, client: perplexity.AsyncPerplexity, backend: str):
    """The last event says so and holds the error."""
    fleet.backends[backend].set_faults(Faults(cut_after_chunks=6))
    stream = await client.responses.create(model=backend, input=QUESTION, stream=True)
    last = [event async for event in stream][-1]
    assert last.type == "response.failed"
    assert last.error.code == "stream_interrupted"


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_older_chat_form_still_works(client: perplexity.AsyncPerplexity, backend: str):
    """`/chat/completions` without `/v1`, with the top-level lists such programs read."""
    answer = await client.chat.completions.create(model=backend, messages=MESSAGES)
    assert answer.choices[0].message.content
    assert bool(answer.citations) is (backend != "general_llm")
    stream = await client.chat.completions.create(model=backend, messages=MESSAGES, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(str(chunk.choices[0].delta.content or "") for chunk in chunks)
    assert any(chunk.citations for chunk in chunks) is (backend != "general_llm")


async def test_the_synchronous_client_works_too(fleet: Fleet):
    """From a thread."""

    def talk() -> str:
        with perplexity.Perplexity(base_url=fleet.url, api_key="unused", max_retries=0) as one:
            return str(one.responses.create(preset="low", input=QUESTION).output_text)

    assert await asyncio.to_thread(talk)


async def test_errors_are_the_packages_own(fleet: Fleet, client: perplexity.AsyncPerplexity):
    """A bad body and a dead fleet raise what a program expects."""
    with pytest.raises(perplexity.BadRequestError):
        await client.responses.create(model="auto", input="")
    fleet.break_all(error_rate=1.0)
    with pytest.raises(perplexity.InternalServerError):
        await client.responses.create(model="auto", input=QUESTION)

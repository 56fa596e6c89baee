"""The OpenAI-shaped backend keeps the wire format of the chat API, and the official SDK reads it."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.wire.sandbox.conftest import Peer, Start

KEY = {"authorization": "Bearer sandbox"}
MESSAGES: Any = [{"role": "user", "content": "What is the capital of France?"}]
MODEL = "gpt-4o-mini"


def sdk(peer: Peer, key: str = "sandbox") -> openai.AsyncOpenAI:
    """The official client."""
    return openai.AsyncOpenAI(api_key=key, base_url=f"{peer.backend.url}/v1", max_retries=0)


async def test_the_sdk_reads_a_whole_answer(start: Start) -> None:
    """A general model knows the capital and cites nothing."""
    peer = await start("general_llm")
    async with sdk(peer) as client:
        reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert "Paris" in (reply.choices[0].message.content or "")
    assert reply.choices[0].message.annotations == []
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


async def test_usage_comes_in_a_stream_only_when_asked_for(start: Start) -> None:
    """Then as one more chunk without choices, and null in every other one."""
    peer = await start("general_llm")
    async with sdk(peer) as client:
        plain = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        assert all("usage" not in chunk.model_fields_set for chunk in [c async for c in plain])
        options: Any = {"include_usage": True}
        counted = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options=options
        )
        chunks = [chunk async for chunk in counted]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].choices, chunks[-1].usage is not None) == ([], True)
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_a_stream_ends_with_done(start: Start) -> None:
    """The terminator is there, so that its absence means something."""
    peer = await start("general_llm")
    body = {"model": MODEL, "messages": MESSAGES, "stream": True}
    assert (await peer.text("POST", "/v1/chat/completions", body, **KEY)).endswith("data: [DONE]\n\n")


async def test_a_forced_tool_is_called(start: Start) -> None:
    """With a question as its argument, streamed or not."""
    peer = await start("general_llm")
    tools: Any = [{"type": "function", "function": {"name": "lookup", "parameters": {}}}]
    async with sdk(peer) as client:
        reply = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, tools=tools, tool_choice="required"
        )
    choice = reply.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [call.function.name for call in choice.message.tool_calls or [] if call.type == "function"] == ["lookup"]


async def test_an_answer_is_cut_at_max_tokens(start: Start) -> None:
    """And says `length`."""
    peer = await start("general_llm")
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 2}
    _, answer = await peer.json("POST", "/v1/chat/completions", body, **KEY)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"model": "gpt-99"}, 404, "model_not_found"),
        ({"messages": []}, 400, "empty_array"),
        ({"top_k": 3}, 400, None),
        ({"messages": [{"role": "user", "content": "long " * 200_000}]}, 400, "context_length_exceeded"),
    ],
)
async def test_a_callers_mistake_gets_openais_error(
    start: Start, changes: dict[str, Any], status: int, code: str | None
) -> None:
    """Message, type, param and code, with the code SDKs look for."""
    peer = await start("general_llm")
    body = {"model": MODEL, "messages": MESSAGES} | changes
    got, answer = await peer.json("POST", "/v1/chat/completions", body, **KEY)
    assert got == status
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert (answer["error"]["type"], answer["error"]["code"]) == ("invalid_request_error", code)


async def test_the_list_of_models_checks_the_key_for_free(start: Start) -> None:
    """Unlike Perplexity's."""
    peer = await start("general_llm")
    async with sdk(peer) as client:
        assert MODEL in [model.id async for model in client.models.list()]
    async with sdk(peer, "wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    stats = await peer.stats()
    assert (stats["probes"], stats["paid"], stats["billed_usd"]) == (2, 0, "0.000000000")


async def test_answers_tell_the_limits(start: Start) -> None:
    """In the names clients read."""
    peer = await start("general_llm")
    response = await peer.call("POST", "/v1/chat/completions", {"model": MODEL, "messages": MESSAGES}, **KEY)
    await response.read()
    assert response.headers[b"x-ratelimit-remaining-requests"] == b"9999"
    assert response.headers[b"x-request-id"].startswith(b"req_")


async def test_texts_that_share_words_embed_near(start: Start) -> None:
    """Through the SDK, which asks for base64."""
    peer = await start("general_llm")
    async with sdk(peer) as client:
        texts = ["plasma lactate in sepsis", "lactate in sepsis", "sonnets"]
        reply = await client.embeddings.create(model="text-embedding-3-small", input=texts)
    first, near, far = [row.embedding for row in reply.data]
    cosine = [sum(a * b for a, b in zip(first, other, strict=True)) for other in (near, far)]
    assert cosine[0] > 0.5 > abs(cosine[1])

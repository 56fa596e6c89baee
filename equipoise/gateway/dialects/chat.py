"""OpenAI chat completions: reading a body, writing a whole answer (`chat_stream` writes streams)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.core.model import Answer, Message, NanoUSD, Question, Usage
from equipoise.gateway.dialects import citations as cite
from equipoise.gateway.dialects.base import (
    Asked,
    Envelope,
    encode,
    read,
    require_messages,
    require_shallow,
    token_limit,
    total_tokens,
    usd,
)
from equipoise.gateway.dialects.story import story

if TYPE_CHECKING:
    from equipoise.balancer import Reply


class StreamOptions(msgspec.Struct):
    """What a client wants of a stream."""

    include_usage: bool | None = None


class ChatBody(msgspec.Struct):
    """The fields a decision or another dialect may need; the rest is looked at only if there is any."""

    messages: list[Message]
    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: StreamOptions | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    extra_body: dict[str, Any] | None = None


TYPED = frozenset(ChatBody.__struct_fields__)
OPTIONS = frozenset(
    [
        "temperature",
        "top_p",
        "stop",
        "seed",
        "n",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "user",
        "reasoning_effort",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "verbosity",
        "service_tier",
        "store",
        "modalities",
        "audio",
        "prediction",
        "prompt_cache_key",
        "safety_identifier",
    ]
)
_typed = msgspec.json.Decoder(ChatBody)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder()


def read_chat(body: bytes) -> Asked:
    """A chat completions body as a question; the body itself stays with it for OpenAI-compatible backends."""
    said = read(_typed, body)
    options, extra = _rest(body)
    question = Question(
        messages=said.messages,
        stream=bool(said.stream),
        max_tokens=_limit(said),
        options=options,
        tools=said.tools,
        tool_choice=said.tool_choice,
        response_format=said.response_format,
        extra=extra if said.extra_body is None else _joined(extra, said.extra_body),
        include_usage=said.stream_options is not None and bool(said.stream_options.include_usage),
        body=body,
    )
    require_messages(question, "messages")
    if question.tools or question.tool_choice or question.response_format:
        require_shallow((question.tools, question.tool_choice, question.response_format))
    return Asked(question, said.model or "auto", said.metadata)


def _limit(said: ChatBody) -> int | None:
    """The larger of two that are given: which of them an upstream goes by is its own affair, and it bills by it."""
    if said.max_completion_tokens is None:
        return token_limit(said.max_tokens, "max_tokens")
    limits = (
        token_limit(said.max_completion_tokens, "max_completion_tokens"),
        token_limit(said.max_tokens, "max_tokens"),
    )
    return max((limit for limit in limits if limit is not None), default=None)


def _joined(extra: dict[str, Any], nested: dict[str, Any]) -> dict[str, Any]:
    require_shallow(nested, "extra_body")
    return {**extra, **nested}


def _rest(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sampling options every chat API knows, and fields that only one engine may know; null is as good as absent."""
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, raw in read(_fields, body).items():
        if name in TYPED:
            continue
        value = read(_value, raw)
        if type(value) is dict or type(value) is list:
            require_shallow(value, name)
        if value is not None:
            (options if name in OPTIONS else extra)[name] = value
    return options, extra


def write_chat(reply: Reply, asked: Asked, envelope: Envelope) -> bytes:
    """A whole answer as a chat completion; what already is one passes through undecoded."""
    answer = reply.answer
    if answer.raw is not None:
        return answer.raw
    choice = {"index": 0, "message": message(answer), "finish_reason": answer.finish_reason, "logprobs": None}
    completion = head(envelope, answer.model, "chat.completion")
    completion |= {"choices": [choice], "usage": usage(answer.usage, reply.cost), "equipoise": story(reply)}
    return encode(completion | sources(answer))


def head(envelope: Envelope, model: str, kind: str) -> dict[str, Any]:
    """The first fields of a completion or of a chunk."""
    return {"id": f"chatcmpl-{envelope.request_id}", "object": kind, "created": envelope.created, "model": model}


def message(answer: Answer) -> dict[str, Any]:
    """The assistant's turn with its annotations."""
    said: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if answer.tool_calls else "")}
    if answer.reasoning:
        said["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        said["tool_calls"] = answer.tool_calls
    if answer.citations:
        said["annotations"] = cite.chat_annotations(answer.text, answer.citations)
    return said


def sources(answer: Answer) -> dict[str, Any]:
    """The top-level lists that Perplexity's clients read; nothing when there are no sources."""
    if not answer.citations:
        return {}
    return {"citations": cite.addresses(answer.citations), "search_results": cite.search_results(answer.citations)}


def usage(tokens: Usage, cost: NanoUSD) -> dict[str, Any]:
    """Token counts with their parts, and the dollars of the question with all its attempts."""
    counts: dict[str, Any] = {
        "prompt_tokens": tokens.input_tokens,
        "completion_tokens": tokens.output_tokens,
        "total_tokens": total_tokens(tokens),
        "prompt_tokens_details": {"cached_tokens": tokens.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
        "cost": usd(cost),
    }
    if tokens.citation_tokens:
        counts["citation_tokens"] = tokens.citation_tokens
    if tokens.searches:
        counts["num_search_queries"] = tokens.searches
    if tokens.estimated:
        counts["estimated"] = True
    return counts

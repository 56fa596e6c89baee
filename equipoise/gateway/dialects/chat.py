"""OpenAI chat completions: reading a body, writing a whole answer (`chat_stream` writes streams)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from equipoise.backends.errors import UNREADABLE
from equipoise.core.model import Answer, Message, NanoUSD, Question, Usage
from equipoise.core.parts import Parts
from equipoise.gateway.dialects import citations as cite
from equipoise.gateway.dialects.apart import LONG, apart
from equipoise.gateway.dialects.base import (
    MAX_PARTS,
    Asked,
    Envelope,
    encode,
    misread,
    require_few_parts,
    require_messages,
    require_shallow,
    require_text,
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


class PlainTurn(Message, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A message of known fields only: nothing in it is skipped, so that all of it is text once it is decoded."""


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
Fields: TypeAlias = dict[str, msgspec.Raw]
_typed = msgspec.json.Decoder(ChatBody).decode
_fields = msgspec.json.Decoder(Fields).decode
_plain_turns = msgspec.json.Decoder(list[PlainTurn]).decode
_messages = msgspec.json.Decoder(list[Message]).decode
_value = msgspec.json.Decoder().decode


def read_chat(body: bytes) -> Asked:
    """A chat completions body as a question; the body itself stays with it for OpenAI-compatible backends."""
    if len(body) > MAX_PARTS:
        require_few_parts(body)
    try:
        said, fields = _read(body)
        options, extra = _rest(fields)
    except UNREADABLE as error:
        raise misread(error) from None
    if said.extra_body is not None:
        extra = _joined(extra, said.extra_body)
    wanted, newer = said.stream_options, said.max_completion_tokens
    question = Question(
        said.messages,
        bool(said.stream),
        token_limit(said.max_tokens, "max_tokens") if newer is None else _limit(said),
        options,
        said.tools,
        said.tool_choice,
        said.response_format,
        extra,
        wanted is not None and bool(wanted.include_usage),
        body,
        parts=Parts(body, fields),
    )
    require_messages(question, "messages")
    if question.tools or question.tool_choice or question.response_format:
        require_shallow((question.tools, question.tool_choice, question.response_format))
    return Asked(question, said.model or "auto", said.metadata)


def _read(body: bytes) -> tuple[ChatBody, Fields]:
    """What is said in a body, and all its fields in the bytes that stand there."""
    found = _read_apart(body) if len(body) >= LONG else None
    if found is None:
        require_text(body)
        found = _typed(body), _fields(body)
    return found


def _read_apart(body: bytes) -> tuple[ChatBody, Fields] | None:
    """The same of a long one, whose messages are gone through once; None where that cannot be, whatever the reason."""
    cut = apart(body)
    if cut is None:
        return None
    require_text(cut.rest)
    try:
        said = _typed(cut.rest)
        said.messages = _turns(body, cut.turns)
    except UNREADABLE:  # what is wrong is found, and told, in the whole
        return None
    cut.fields["messages"] = msgspec.Raw(cut.turns)
    return said, cut.fields


def _turns(body: bytes, turns: memoryview) -> list[Message]:
    if not body.isascii():
        with suppress(msgspec.ValidationError):
            return [*_plain_turns(turns)]
        require_text(body)
    return _messages(turns)


def _limit(said: ChatBody) -> int | None:
    """The larger of two that are given: which of them an upstream goes by is its own affair, and it bills by it."""
    limits = (
        token_limit(said.max_completion_tokens, "max_completion_tokens"),
        token_limit(said.max_tokens, "max_tokens"),
    )
    return max((limit for limit in limits if limit is not None), default=None)


def _joined(extra: dict[str, Any], nested: dict[str, Any]) -> dict[str, Any]:
    require_shallow(nested, "extra_body")
    return {**extra, **nested}


def _rest(fields: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sampling options every chat API knows, and fields that only one engine may know; null is as good as absent."""
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, raw in fields.items():
        if name in TYPED:
            continue
        value = _value(raw)
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

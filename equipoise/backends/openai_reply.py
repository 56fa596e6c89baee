"""Chat completions, decoded no further than needed: usage, model, finish reason, text, sources.

The typed structs are the fast way; a reply that does not fit them is read again, leniently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from equipoise.backends import citations
from equipoise.backends.billing import chat_usage, count, decode_exactly, metered
from equipoise.backends.calls import Call, shaped
from equipoise.core.model import Citation, NanoUSD, Usage

NOTHING: Final = msgspec.Raw(b"")


class PromptDetails(msgspec.Struct):
    """Of the prompt's tokens."""

    cached_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """Of the completion's tokens."""

    reasoning_tokens: int | None = None


class ChatUsage(msgspec.Struct):
    """The counts that every server gives."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    reasoning_tokens: int | None = None
    citation_tokens: int | None = None
    num_search_queries: int | None = None
    cost: msgspec.Raw = NOTHING

    def counted(self) -> Usage:
        """The same in our vocabulary."""
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        reasoning = (completion.reasoning_tokens if completion else None) or self.reasoning_tokens
        return Usage(
            input_tokens=count(self.prompt_tokens),
            output_tokens=count(self.completion_tokens),
            cached_tokens=count(prompt.cached_tokens) if prompt else 0,
            reasoning_tokens=count(reasoning),
            citation_tokens=count(self.citation_tokens),
            searches=count(self.num_search_queries),
        )

    def metered(self) -> NanoUSD | None:
        """What the upstream billed, if it says so."""
        return metered(decode_exactly(self.cost)) if bytes(self.cost) else None


class Said(msgspec.Struct):
    """A message, or the part of one in a stream's `delta`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    annotations: list[Any] | None = None

    @property
    def thought(self) -> str:
        """Visible reasoning, under the name DeepSeek and vLLM give it or the one OpenRouter does."""
        return self.reasoning_content or self.reasoning or ""

    @property
    def calls(self) -> list[Call]:
        """Calls of tools in their proper shape."""
        return shaped(self.tool_calls)

    @property
    def says_something(self) -> bool:
        """Whether there is anything in it for the client."""
        return bool(self.content or self.tool_calls or self.thought or self.refusal)


class Choice(msgspec.Struct):
    """One alternative; `message` in a reply, `delta` in a stream."""

    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None

    @property
    def said(self) -> Said:
        """What was said, whichever form it has."""
        return self.delta or self.message or Said()


class Completion(msgspec.Struct):
    """A reply, or one event of a stream."""

    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    id: str | None = None
    model: str | None = None
    object: str | None = None
    citations: list[Any] | None = None
    search_results: list[Any] | None = None
    error: Any = None

    @property
    def first(self) -> Choice:
        """The first alternative: the one that counts as the answer."""
        return self.choices[0] if self.choices else Choice()

    def sources(self) -> list[Citation]:
        """The citations, from the richest form there is."""
        annotations = self.first.said.annotations
        if not (annotations or self.citations or self.search_results):
            return []
        reply = {"search_results": self.search_results, "citations": self.citations}
        return citations.from_chat({"annotations": annotations}, reply)


_typed = msgspec.json.Decoder(Completion).decode


def decoded(data: bytes) -> Completion:
    """Decode a reply or an event; raises msgspec.DecodeError for what is no JSON object."""
    try:
        return _typed(data)
    except msgspec.ValidationError:
        loose = decode_exactly(data)
        if not isinstance(loose, dict):
            raise
        return lenient(loose)


def lenient(reply: Mapping[str, Any]) -> Completion:
    """A completion from an object whose fields may have other types than OpenAI's."""
    usage = reply.get("usage")
    return Completion(
        choices=[_choice(choice) for choice in citations.mappings(reply.get("choices"))],
        usage=_usage(usage) if isinstance(usage, Mapping) else None,
        id=str(reply["id"]) if reply.get("id") else None,
        model=citations.text(reply.get("model")) or None,
        object=citations.text(reply.get("object")) or None,
        citations=_listed(reply.get("citations")),
        search_results=_listed(reply.get("search_results")),
        error=reply.get("error"),
    )


def _choice(choice: Mapping[str, Any]) -> Choice:
    message, delta = choice.get("message"), choice.get("delta")
    return Choice(
        message=_said(message) if isinstance(message, Mapping) else None,
        delta=_said(delta) if isinstance(delta, Mapping) else None,
        finish_reason=citations.text(choice.get("finish_reason")) or None,
    )


def _said(said: Mapping[str, Any]) -> Said:
    return Said(
        content=_text_of(said.get("content")),
        reasoning_content=citations.text(said.get("reasoning_content")) or None,
        reasoning=citations.text(said.get("reasoning")) or None,
        refusal=citations.text(said.get("refusal")) or None,
        tool_calls=shaped(said.get("tool_calls")) or None,
        annotations=_listed(said.get("annotations")),
    )


def _text_of(content: object) -> str | None:
    """Content as text, or as a list of parts (Mistral and Perplexity may send one)."""
    if isinstance(content, list):
        return "".join(citations.text(part.get("text")) for part in citations.mappings(content))
    return content if isinstance(content, str) else None


def _usage(usage: Mapping[str, Any]) -> ChatUsage:
    counted, cost = chat_usage(usage), usage.get("cost")
    return ChatUsage(
        prompt_tokens=counted.input_tokens,
        completion_tokens=counted.output_tokens,
        prompt_tokens_details=PromptDetails(counted.cached_tokens),
        reasoning_tokens=counted.reasoning_tokens,
        citation_tokens=counted.citation_tokens,
        num_search_queries=counted.searches,
        cost=NOTHING if cost is None else msgspec.Raw(msgspec.json.encode(cost)),
    )


def _listed(value: object) -> list[Any] | None:
    return value if isinstance(value, list) else None

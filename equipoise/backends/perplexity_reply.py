"""Replies of Perplexity's agent API: a `response` object, whole or at the end of a stream.

Success is in its `status`, never in the HTTP status; sources are output items of their own; money is metered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from equipoise.backends import citations
from equipoise.backends.billing import billed, count, inner, metered
from equipoise.backends.classify import Blame, malformed, no_answer, reported
from equipoise.backends.errors import error_of
from equipoise.core.model import Answer, Citation, NanoUSD, Usage
from equipoise.core.overlay import agent_tool_fee
from equipoise.core.pricing import estimate_tokens

Reply = Mapping[str, Any]

SEARCHES: Final = ("search_web", "web_search")
FINISHED: Final = frozenset({"completed", "incomplete", "requires_action"})


def answer_from(reply: Reply, blame: Blame, input_tokens: int, streamed: str = "") -> Answer:
    """The answer in a `response` object, `streamed` being the text that came before it.

    Raises BackendError for a response that failed, was cancelled, never ended, or says nothing.
    """
    text = streamed or output_text(reply)
    usage, cost = usage_of(reply, input_tokens, text), cost_of(reply)
    _check_status(reply, blame, usage, cost)
    calls = tool_calls(reply)
    if not text.strip() and not calls:
        raise no_answer("the response holds no text", blame, usage=usage, cost=cost)
    return Answer(
        text=text,
        citations=sources(reply),
        usage=usage,
        metered_cost=cost,
        model=citations.text(reply.get("model")),
        finish_reason=_finish_reason(reply, bool(calls)),
        tool_calls=calls or None,
        upstream_id=citations.text(reply.get("id")) or None,
    )


def _check_status(reply: Reply, blame: Blame, usage: Usage, cost: NanoUSD | None) -> None:
    status = citations.text(reply.get("status"))
    if status in FINISHED:
        return
    if status == "failed" or reply.get("error"):
        raise reported(error_of(reply.get("error") or {}, blame.secret), blame, usage=usage, cost=cost)
    raise malformed("the response has an unknown status", blame, seen=status[:40], usage=usage, cost=cost)


def _finish_reason(reply: Reply, calls: bool) -> str:
    if calls:
        return "tool_calls"
    reason = inner(reply, "incomplete_details").get("reason")
    if reply.get("status") != "incomplete":
        return "stop"
    return "content_filter" if reason == "content_filter" else "length"


def _items(reply: Reply, kind: str) -> list[Reply]:
    return [item for item in citations.mappings(reply.get("output")) if item.get("type") == kind]


def _parts(reply: Reply) -> list[Reply]:
    listed = [part for item in _items(reply, "message") for part in citations.mappings(item.get("content"))]
    return [part for part in listed if part.get("type") == "output_text"]


def output_text(reply: Reply) -> str:
    """All text of all messages."""
    return "".join(citations.text(part.get("text")) for part in _parts(reply))


def sources(reply: Reply) -> list[Citation]:
    """The search results, numbered as the text cites them, and what annotations name besides."""
    results = [result for item in _items(reply, "search_results") for result in citations.mappings(item.get("results"))]
    annotations = [note for part in _parts(reply) for note in citations.mappings(part.get("annotations"))]
    return citations.merged(citations.from_results(results), citations.from_annotations(annotations))


def tool_calls(reply: Reply) -> list[dict[str, Any]]:
    """Functions the client is to call, in OpenAI's form."""
    return [tool_call(item, index) for index, item in enumerate(_items(reply, "function_call"))]


def tool_call(item: Reply, index: int) -> dict[str, Any]:
    """One `function_call` item in OpenAI's form."""
    function = {"name": citations.text(item.get("name")), "arguments": citations.text(item.get("arguments"))}
    return {
        "index": index,
        "id": citations.text(item.get("call_id") or item.get("id")),
        "type": "function",
        "function": function,
    }


def usage_of(reply: Reply, input_tokens: int, text: str) -> Usage:
    """Tokens and billed searches; estimated when the response has no usage."""
    usage = inner(reply, "usage")
    if not usage:
        return Usage(input_tokens=input_tokens, output_tokens=estimate_tokens(text), estimated=True)
    details, tools = inner(usage, "input_tokens_details"), inner(usage, "tool_calls_details")
    return Usage(
        input_tokens=count(usage.get("input_tokens")),
        output_tokens=count(usage.get("output_tokens")),
        cached_tokens=count(details.get("cached_tokens")) or count(details.get("cache_read_input_tokens")),
        reasoning_tokens=count(inner(usage, "output_tokens_details").get("reasoning_tokens")),
        searches=_searches(tools),
        fees=sum(_tool_fee(name, inner(tools, name)) for name in tools if name not in SEARCHES),
    )


def _searches(details: Reply) -> int:
    return sum(count(inner(details, name).get("invocation")) for name in SEARCHES)


def _tool_fee(name: str, told: Reply) -> NanoUSD:
    """What the calls of one tool cost: as the reply says, else as published."""
    said = billed(told.get("cost_usd"))
    return agent_tool_fee(name) * count(told.get("invocation")) if said is None else said


def cost_of(reply: Reply) -> NanoUSD | None:
    """What the response says was billed; the decimal that was written, never a binary float."""
    cost = inner(reply, "usage").get("cost")
    return metered(cost) if isinstance(cost, Mapping) else billed(cost)

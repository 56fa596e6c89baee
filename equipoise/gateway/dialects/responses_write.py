"""Answers in the Responses form: the object a client gets whole, or that ends its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.core.model import Answer, NanoUSD, Usage
from equipoise.gateway.dialects import citations as cite
from equipoise.gateway.dialects.base import Asked, Envelope, encode, opened, total_tokens, usd
from equipoise.gateway.dialects.story import story
from equipoise.gateway.dialects.tool_calls import function_of

if TYPE_CHECKING:
    from equipoise.balancer import Reply

CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}


def write_responses(reply: Reply, asked: Asked, envelope: Envelope) -> bytes:
    """A whole answer as a Responses object."""
    answer = opened(reply.answer)
    whole = finished(answer, reply.cost, envelope, output(answer, envelope.request_id))
    return encode(whole | {"equipoise": story(reply)})


def response(envelope: Envelope, model: str, status: str) -> dict[str, Any]:
    """The object with every field clients require, as yet without output."""
    return {
        "id": f"resp_{envelope.request_id}",
        "object": "response",
        "created_at": envelope.created,
        "model": model,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


def finished(answer: Answer, cost: NanoUSD, envelope: Envelope, items: list[dict[str, Any]]) -> dict[str, Any]:
    """The object of an answer that ended: completed, or incomplete with the reason."""
    reason = CUT_SHORT.get(answer.finish_reason)
    whole = response(envelope, answer.model, "incomplete" if reason else "completed")
    whole["incomplete_details"] = {"reason": reason} if reason else None
    whole["output"] = items
    whole["usage"] = usage(answer.usage, cost)
    return whole


def output(answer: Answer, request_id: str) -> list[dict[str, Any]]:
    """Output items in the order they come about: sources, reasoning, calls of functions, the message."""
    items = [search_item(answer)] if answer.citations else []
    if answer.reasoning:
        items.append(reasoning_item(answer.reasoning, request_id))
    items += function_items(answer)
    if answer.text or not answer.tool_calls:
        items.append(message_item(answer, request_id))
    return items


def search_item(answer: Answer) -> dict[str, Any]:
    """The sources, as Perplexity's agent gives them."""
    return {"type": "search_results", "queries": [], "results": cite.search_results(answer.citations)}


def reasoning_item(text: str, request_id: str) -> dict[str, Any]:
    """Visible reasoning as its own item."""
    parts = [{"type": "reasoning_text", "text": text}]
    return {"type": "reasoning", "id": f"rs_{request_id}", "summary": [], "content": parts, "status": "completed"}


def function_items(answer: Answer) -> list[dict[str, Any]]:
    """Calls of the caller's functions, flattened from the chat form."""
    return [_function_item(number, call) for number, call in enumerate(answer.tool_calls or ())]


def _function_item(number: int, call: dict[str, Any]) -> dict[str, Any]:
    function = function_of(call)
    return {
        "type": "function_call",
        "id": f"fc_{call.get('id') or number}",
        "call_id": str(call.get("id") or ""),
        "name": str(function.get("name") or ""),
        "arguments": str(function.get("arguments") or ""),
        "status": "completed",
    }


def message_item(answer: Answer, request_id: str, status: str = "completed") -> dict[str, Any]:
    """The assistant's message with its annotations."""
    return {
        "type": "message",
        "id": f"msg_{request_id}",
        "role": "assistant",
        "status": status,
        "content": [text_part(answer)],
    }


def text_part(answer: Answer) -> dict[str, Any]:
    """The text with an annotation at each mark."""
    return {
        "type": "output_text",
        "text": answer.text,
        "annotations": cite.url_citations(answer.text, answer.citations),
        "logprobs": [],
    }


def usage(tokens: Usage, cost: NanoUSD) -> dict[str, Any]:
    """Token counts with details and the dollars of the question with all its attempts.

    Only the total is known for every engine, so the split into input and output cost that Perplexity's own server
    reports is null.
    """
    counts: dict[str, Any] = {
        "input_tokens": tokens.input_tokens,
        "output_tokens": tokens.output_tokens,
        "total_tokens": total_tokens(tokens),
        "input_tokens_details": {"cached_tokens": tokens.cached_tokens},
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
        "cost": {"currency": "USD", "input_cost": None, "output_cost": None, "total_cost": usd(cost)},
    }
    if tokens.searches:
        counts["tool_calls_details"] = {"search_web": {"invocation": tokens.searches}}
    if tokens.citation_tokens:
        counts["citation_tokens"] = tokens.citation_tokens
    if tokens.estimated:
        counts["estimated"] = True
    return counts

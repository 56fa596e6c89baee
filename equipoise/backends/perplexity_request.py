"""A question as the body of Perplexity's agent API, which refuses any field it does not know.

Fields as in the API's description and perplexityai 0.46.1. What sampling options a client sends beyond that
(`stop`, `n`, `logprobs`, ...) would be answered with 400, so it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from equipoise.backends.citations import mappings
from equipoise.core.model import Message, Question

Body = dict[str, Any]

OPERATOR_FIELDS: Final = frozenset(
    {"effort", "instructions", "language_preference", "max_output_tokens", "max_steps", "models", "prompt_cache_key",
     "reasoning", "service_tier", "skills", "store", "temperature", "tool_choice", "tools", "top_p"}
)  # fmt: skip
"""What the operator may set beside `model` and `preset`; `background` would give no answer."""

CLIENT_FIELDS: Final = frozenset({"language_preference", "max_steps", "reasoning"})
"""What a client may set: nothing that changes who answers, or reaches a host of his choice."""

SAMPLING: Final = ("temperature", "top_p")

CLIENT_TOOLS: Final = frozenset({"web_search", "fetch_url", "people_search", "finance_search"})

FILTERS: Final = frozenset(
    {"search_domain_filter", "search_recency_filter", "search_after_date_filter", "search_before_date_filter",
     "last_updated_after_filter", "last_updated_before_filter"}
)  # fmt: skip
SEARCH_FIELDS: Final = frozenset({"search_context_size", "search_type", "user_location", "max_tokens_per_page"})
TOOL_FIELDS: Final = SEARCH_FIELDS | {"type", "filters", "max_tokens", "max_urls"}

SEARCH_OPTIONS: Final = FILTERS | SEARCH_FIELDS | {"disable_search", "web_search_options"}

SEARCH_TYPES: Final = frozenset({"web", "fast"})
"""The older API's `pro` and `auto` are unknown here."""

EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh"})


def agent_body(question: Question, choice: Mapping[str, str], options: Mapping[str, Any]) -> Body:
    """The body of `POST /v1/agent`; `choice` holds `model` or `preset`, `options` what else the operator sets."""
    extra = {name: value for name, value in question.extra.items() if value is not None}
    body: Body = {**choice, "input": _input(question)}
    body.update({name: value for name, value in options.items() if name in OPERATOR_FIELDS - {"tools", "instructions"}})
    body.update({name: value for name, value in extra.items() if name in CLIENT_FIELDS})
    body.update({name: question.options[name] for name in SAMPLING if question.options.get(name) is not None})
    instructions = [str(options.get("instructions") or ""), question.system]
    body.update(
        _present(
            instructions="\n\n".join(filter(None, instructions)),
            max_output_tokens=question.max_tokens,
            reasoning=_reasoning(question) or body.get("reasoning"),
            response_format=_response_format(question.response_format),
            tools=_tools(question, extra, options, searching="preset" not in choice),
            tool_choice=_tool_choice(question.tool_choice) or body.get("tool_choice"),
            stream=question.stream,
        )
    )
    return body


def _present(**fields: Any) -> Body:
    return {name: value for name, value in fields.items() if value not in (None, "", [], False)}


def _reasoning(question: Question) -> Body | None:
    effort = question.options.get("reasoning_effort")
    return {"effort": effort} if effort in EFFORTS else None


def _response_format(wanted: Mapping[str, Any] | None) -> Body | None:
    """Only schemas: `text` is what comes anyway, and `json_object` is not known here."""
    return dict(wanted) if wanted is not None and wanted.get("type") == "json_schema" else None


def _tool_choice(wanted: object) -> object:
    """A word as it is; a function by its name, which this API wants beside the type."""
    if not isinstance(wanted, Mapping):
        return wanted
    inner = wanted.get("function")
    return {"type": "function", "name": inner.get("name")} if isinstance(inner, Mapping) else dict(wanted)


def _input(question: Question) -> str | list[Body]:
    """A single question as text; a conversation as items in its order."""
    turns = [message for message in question.messages if message.role not in ("system", "developer")]
    if len(turns) == 1 and turns[0].role == "user" and isinstance(turns[0].content, str):
        return turns[0].content
    return [item for message in turns for item in _items(message)]


def _items(message: Message) -> list[Body]:
    if message.role in ("tool", "function"):
        return [{"type": "function_call_output", "call_id": message.tool_call_id or "", "output": message.text}]
    content = message.text if isinstance(message.content, str) or not message.content else _parts(message)
    role = "assistant" if message.role == "assistant" else "user"
    said: list[Body] = [{"type": "message", "role": role, "content": content}] if content else []
    return said + [_call(call) for call in message.tool_calls or ()]


def _parts(message: Message) -> list[Body]:
    converted = (_part(part) for part in mappings(message.content))
    return [part for part in converted if part is not None]


def _part(part: Mapping[str, Any]) -> Body | None:
    if part.get("type") in ("image_url", "input_image"):
        image = part.get("image_url")
        return {"type": "input_image", "image_url": image.get("url") if isinstance(image, Mapping) else image}
    return {"type": "input_text", "text": str(part["text"])} if "text" in part else None


def _call(call: Mapping[str, Any]) -> Body:
    function = call.get("function") or {}
    return {
        "type": "function_call",
        "call_id": str(call.get("id", "")),
        "name": str(function.get("name", "")),
        "arguments": str(function.get("arguments", "")),
    }


def _tools(question: Question, extra: Body, options: Mapping[str, Any], *, searching: bool) -> list[Body]:
    """Web search with the wanted filters, the operator's tools, the client's hosted tools and functions; each once."""
    offered = [dict(tool) for tool in mappings(options.get("tools"))]
    asked = [dict(tool) for tool in (*mappings(extra.get("tools")), *(question.tools or ()))]
    hosted = [
        {name: value for name, value in tool.items() if name in TOOL_FIELDS}
        for tool in asked
        if tool.get("type") in CLIENT_TOOLS
    ]
    functions = [_function(tool) for tool in asked if tool.get("type") == "function"]
    by_type = {tool.get("type"): tool for tool in (*offered, *hosted)}
    _add_search(by_type, {**_search_options(options), **_search_options(extra)}, searching=searching)
    return list(by_type.values()) + functions


def _search_options(given: Mapping[str, Any]) -> Body:
    """Search options from their top-level names or from `web_search_options`, as the older API has them."""
    nested = given.get("web_search_options")
    both: Body = {**(nested if isinstance(nested, Mapping) else {}), **given}
    if both.get("search_type") not in SEARCH_TYPES:
        both.pop("search_type", None)
    return {name: value for name, value in both.items() if name in SEARCH_OPTIONS and value is not None}


def _add_search(by_type: dict[Any, Body], wanted: Body, *, searching: bool) -> None:
    """A preset brings its own tools: search is only added to it when there is something to say about it."""
    if wanted.get("disable_search") is True:
        by_type.pop("web_search", None)
        return
    fields = {name: value for name, value in wanted.items() if name in SEARCH_FIELDS}
    filters = {name: value for name, value in wanted.items() if name in FILTERS}
    if not (searching or fields or filters or "web_search" in by_type):
        return
    tool = {"type": "web_search", **by_type.get("web_search", {}), **fields}
    if filters := {**(tool.get("filters") or {}), **filters}:
        tool["filters"] = filters
    if not {"search_context_size", "max_tokens", "max_tokens_per_page"} & tool.keys():
        tool["search_context_size"] = "low"
    by_type["web_search"] = tool


def _function(tool: Mapping[str, Any]) -> Body:
    """A function in the flat form of this API, from either form."""
    inner = tool.get("function")
    source = inner if isinstance(inner, Mapping) else tool
    fields = ("name", "description", "parameters", "strict")
    return {"type": "function", **{name: source[name] for name in fields if source.get(name) is not None}}

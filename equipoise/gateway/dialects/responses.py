"""The Responses dialect (OpenAI's and Perplexity's agent form): reading a body."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.core.model import Message, Question
from equipoise.gateway.dialects.base import (
    Asked,
    Malformed,
    invalid,
    read,
    require_messages,
    require_shallow,
    token_limit,
)


class TextOptions(msgspec.Struct):
    """Where OpenAI's clients put the response format."""

    format: dict[str, Any] | None = None


class ResponsesBody(msgspec.Struct):
    """The fields with a meaning of their own here; all others are engine options."""

    input: str | list[dict[str, Any]]
    model: str | None = None
    models: list[str] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    text: TextOptions | None = None
    reasoning: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    previous_response_id: str | None = None
    background: bool | None = None


class _Item(msgspec.Struct):
    """One input item of any type."""

    type: str = "message"
    role: str = ""
    content: str | list[dict[str, Any]] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[dict[str, Any]] | None = None


TYPED = frozenset(ResponsesBody.__struct_fields__)
OPTIONS = frozenset(
    ["temperature", "top_p", "top_logprobs", "parallel_tool_calls", "user", "service_tier", "safety_identifier"]
)
IGNORED = frozenset({"store", "include", "truncation", "stream_options", "prompt_cache_key"})
_typed = msgspec.json.Decoder(ResponsesBody)
_fields = msgspec.json.Decoder(dict[str, Any])


def read_responses(body: bytes) -> Asked:
    """A Responses body as a question. What needs a stored conversation or a queue is refused, not ignored."""
    said = read(_typed, body)
    _require_stateless(said)
    options, extra = _rest(read(_fields, body))
    functions = _split_tools(said.tools or [], extra)
    if said.reasoning and "effort" in said.reasoning:
        options["reasoning_effort"] = said.reasoning["effort"]
    question = Question(
        messages=_messages(said),
        stream=bool(said.stream),
        max_tokens=token_limit(said.max_output_tokens, "max_output_tokens"),
        options=options,
        tools=functions or None,
        tool_choice=_tool_choice(said.tool_choice),
        response_format=_response_format(said),
        extra=extra,
    )
    require_messages(question, "input")
    require_shallow((said.input, options, extra, functions, question.tool_choice, question.response_format))
    return Asked(question, said.model or next(iter(said.models or ()), "auto"), said.metadata)


def _require_stateless(said: ResponsesBody) -> None:
    if said.previous_response_id:
        raise Malformed(
            "Earlier responses are not kept here: send the whole conversation as input.", "previous_response_id"
        )
    if said.background:
        raise Malformed("Background responses are not available here.", "background")


def _rest(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name in fields.keys() - TYPED - IGNORED:
        if fields[name] is not None:
            (options if name in OPTIONS else extra)[name] = fields[name]
    return options, extra


def _split_tools(tools: list[dict[str, Any]], extra: dict[str, Any]) -> list[dict[str, Any]]:
    """Functions are the caller's own, in the chat form; engine tools go to `extra`, search filters also by their names."""
    functions = [_chat_function(tool) for tool in tools if tool.get("type") == "function"]
    engine = [tool for tool in tools if tool.get("type") != "function"]
    if engine:
        extra["tools"] = engine
    for tool in engine:
        _filters(tool, extra)
    return functions


def _filters(tool: dict[str, Any], extra: dict[str, Any]) -> None:
    if tool.get("type") not in ("web_search", "web_search_preview"):
        return
    filters = tool.get("filters")
    if isinstance(filters, dict):
        extra.update({name: value for name, value in filters.items() if value is not None})
    web = {name: tool[name] for name in ("search_context_size", "user_location") if tool.get(name) is not None}
    if web:
        extra["web_search_options"] = web


def _chat_function(tool: dict[str, Any]) -> dict[str, Any]:
    if "function" in tool:
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, dict) and choice.get("type") == "function" and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def _response_format(said: ResponsesBody) -> dict[str, Any] | None:
    form = said.text.format if said.text else None
    if form is None or form.get("type") == "text":
        return said.response_format
    if form.get("type") != "json_schema":
        return form
    return {"type": "json_schema", "json_schema": {name: value for name, value in form.items() if name != "type"}}


def _messages(said: ResponsesBody) -> list[Message]:
    instructions = [Message("system", said.instructions)] if said.instructions else []
    if isinstance(said.input, str):
        if not said.input:
            raise Malformed("input must not be empty.", "input")
        return [*instructions, Message("user", said.input)]
    if not said.input:
        raise Malformed("input must not be empty.", "input")
    return instructions + _joined([_message(n, item) for n, item in enumerate(said.input)])


def _message(number: int, raw: dict[str, Any]) -> Message:
    try:
        item = msgspec.convert(raw, _Item)
    except msgspec.ValidationError as error:
        fault = invalid(error)
        raise Malformed(fault.message, f"input[{number}].{fault.param}") from None
    if item.type == "function_call":
        call = {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}
        return Message("assistant", None, tool_calls=[call])
    if item.type == "function_call_output":
        return Message("tool", _parts(item.output), tool_call_id=item.call_id)
    if item.type != "message":
        raise Malformed(f"Input items of type {item.type[:40]!r} are not understood.", f"input[{number}].type")
    return Message(item.role, _parts(item.content))


def _joined(messages: list[Message]) -> list[Message]:
    """Calls made side by side are one turn of the assistant in the chat form."""
    joined: list[Message] = []
    for message in messages:
        last = joined[-1] if joined else None
        if last is not None and last.tool_calls and message.tool_calls:
            joined[-1] = msgspec.structs.replace(last, tool_calls=last.tool_calls + message.tool_calls)
        else:
            joined.append(message)
    return joined


def _parts(content: str | list[dict[str, Any]] | None) -> str | list[dict[str, Any]] | None:
    """Content parts under their chat names; a lone text part is just its text."""
    if not isinstance(content, list):
        return content
    parts = [_part(part) for part in content]
    if len(parts) == 1 and parts[0].get("type") == "text":
        return str(parts[0].get("text", ""))
    return parts


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": str(part.get("text", ""))}
    if kind == "input_image":
        image = {"url": part.get("image_url"), "detail": part.get("detail")}
        return {"type": "image_url", "image_url": {name: value for name, value in image.items() if value is not None}}
    return part

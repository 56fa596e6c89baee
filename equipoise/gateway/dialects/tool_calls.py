"""Calls of tools that arrive in pieces."""

from __future__ import annotations

from typing import Any


def merge(calls: list[dict[str, Any]], pieces: list[dict[str, Any]]) -> None:
    """Add pieces in OpenAI's `delta.tool_calls` form to whole calls: `index` says which, arguments are appended."""
    for piece in pieces:
        call = _call(calls, piece)
        call["id"] = piece.get("id") or call["id"]
        function = function_of(piece)
        call["function"]["name"] = function.get("name") or call["function"]["name"]
        call["function"]["arguments"] += str(function.get("arguments") or "")


def function_of(call: dict[str, Any]) -> dict[str, Any]:
    """The function part of a call; empty when an upstream sends something else there."""
    function = call.get("function")
    return function if isinstance(function, dict) else {}


def _call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> dict[str, Any]:
    """The call a piece belongs to: the one of its index, or a new one."""
    index = piece.get("index", len(calls))
    for call in calls:
        if call["index"] == index:
            return call
    calls.append({"index": index, "id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    return calls[-1]

"""Calls of tools in the one shape that OpenAI documents, whatever an upstream sent in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from equipoise.backends.citations import mappings

_KINDS: Final = {"index": int, "id": str, "type": str}

Call = dict[str, Any]


def shaped(calls: object) -> list[Call]:
    """The calls, or pieces of calls, in a list: `index` a number, the rest text; what is something else is left out."""
    return [_shaped(call) for call in mappings(calls)] if calls else []


def _shaped(call: Mapping[str, Any]) -> Call:
    function = call.get("function")
    said = function if isinstance(function, Mapping) else {}
    kept = {name: call[name] for name, kind in _KINDS.items() if type(call.get(name)) is kind}
    told = {name: _text(said[name]) for name in ("name", "arguments") if said.get(name) is not None}
    return {**kept, "function": told}


def _text(value: object) -> str:
    """Text as it is; arguments that came as an object, as some servers send them, in JSON."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:  # read near the limit of nesting, and so not to be written here
        return ""

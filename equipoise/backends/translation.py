"""Relayed chat completion events as pieces of text, for clients that speak another dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import msgspec

from equipoise.backends.base import (
    BackendError,
    Finished,
    ReasoningDelta,
    Relayed,
    StreamItem,
    TextDelta,
    ToolCallDelta,
)
from equipoise.backends.errors import UNREADABLE
from equipoise.backends.openai_reply import Said, decoded
from equipoise.backends.sse import event_data, split_events
from equipoise.core.model import Answer, Verdict

Call = dict[str, Any]


class Closable(Protocol):
    """A stream that is to be closed by who reads it."""

    def __aiter__(self) -> AsyncIterator[StreamItem]: ...

    async def aclose(self) -> None: ...


def pieces_of(said: Said) -> list[StreamItem]:
    """One message, or a part of it, as stream items."""
    thought: list[StreamItem] = [ReasoningDelta(said.thought)] if said.thought else []
    text: list[StreamItem] = [TextDelta(piece) for piece in (said.content, said.refusal) if piece]
    calls: list[StreamItem] = [ToolCallDelta(said.calls)] if said.tool_calls else []
    return thought + text + calls


def items_in(events: bytes) -> list[StreamItem]:
    """The pieces of the first alternative in relayed events. Raises BackendError for what is no chunk after all."""
    data = (event_data(event) for event in split_events(events))
    try:
        return [item for piece in data if piece.strip() for item in pieces_of(decoded(piece).first.said)]
    except UNREADABLE as error:
        raise BackendError(
            Verdict.FAILURE,
            f"the stream held no chunk where one was due: {error}",
            code="upstream_malformed",
            status=200,
        ) from error


async def translated(relayed: Closable) -> AsyncGenerator[StreamItem, None]:
    """The same stream with every relayed event decoded, and the whole text in its last item."""
    gathered = Gathered()
    async with aclosing(relayed) as items:
        async for item in items:
            if isinstance(item, Relayed):
                for piece in items_in(item.data):
                    yield gathered.add(piece)
            elif isinstance(item, Finished):
                yield Finished(gathered.completed(item.answer))
            else:
                yield gathered.add(item)


class Gathered(msgspec.Struct):
    """What the pieces of a stream add up to."""

    text: list[str] = []
    reasoning: list[str] = []
    calls: list[Call] = []

    def add(self, item: StreamItem) -> StreamItem:
        """Note one piece and give it back."""
        if isinstance(item, TextDelta):
            self.text.append(item.text)
        elif isinstance(item, ReasoningDelta):
            self.reasoning.append(item.text)
        elif isinstance(item, ToolCallDelta):
            self.calls.extend(item.tool_calls)
        return item

    def completed(self, answer: Answer) -> Answer:
        """The answer with what was gathered where it has nothing itself."""
        answer.text = answer.text or "".join(self.text)
        answer.reasoning = answer.reasoning or "".join(self.reasoning) or None
        answer.tool_calls = answer.tool_calls or whole_calls(self.calls) or None
        return answer


def whole_calls(deltas: Sequence[Call]) -> list[Call]:
    """Put the pieces of tool calls together: names come once, arguments piece by piece, told apart by `index`."""
    calls: dict[Any, Call] = {}
    for delta in deltas:
        function = delta.get("function") or {}
        call = calls.setdefault(delta.get("index", delta.get("id")), _empty_call())
        call["id"] = call["id"] or delta.get("id")
        call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""
    return list(calls.values())


def _empty_call() -> Call:
    return {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}

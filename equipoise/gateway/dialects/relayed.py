"""Relayed chat events read again, for clients that speak another dialect than the backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from equipoise.backends.base import ReasoningDelta, Relayed, StreamItem, TextDelta, ToolCallDelta
from equipoise.backends.calls import shaped


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []


_chunk = msgspec.json.Decoder(_Chunk)


class RelayedReader:
    """Turns relayed events into plain items and remembers how the upstream said it finished."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None

    def opened(self, item: StreamItem) -> Iterator[StreamItem]:
        """The item itself, or what a relayed one holds."""
        if type(item) is not Relayed:
            yield item
            return
        for line in item.data.splitlines():
            if line.startswith(b"data:") and not line.endswith(b"[DONE]"):
                yield from self._read(line[5:])

    def _read(self, data: bytes) -> Iterator[StreamItem]:
        for choice in _chunk.decode(data).choices[:1]:
            delta = choice.delta
            self.finish_reason = choice.finish_reason or self.finish_reason
            if delta.reasoning_content:
                yield ReasoningDelta(delta.reasoning_content)
            if delta.content:
                yield TextDelta(delta.content)
            if delta.tool_calls:
                yield ToolCallDelta(shaped(delta.tool_calls))

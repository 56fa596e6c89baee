"""Streams as chat completion chunks: server-sent events, relayed or made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.backends.base import ReasoningDelta, Relayed, StreamItem, TextDelta, ToolCallDelta
from equipoise.gateway.dialects import citations as cite
from equipoise.gateway.dialects.base import Asked, Envelope, encode
from equipoise.gateway.dialects.chat import head, sources, usage
from equipoise.gateway.dialects.story import story

if TYPE_CHECKING:
    from equipoise.balancer import Reply

DONE = b"data: [DONE]\n\n"
_SUFFIX = b'},"finish_reason":null}]}\n\n'


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event without a name."""
    return b"data: " + encode(data) + b"\n\n"


class ChatStream:
    """Writes one stream. Relayed events pass untouched; whatever happens, `[DONE]` ends it exactly once."""

    content_type = b"text/event-stream; charset=utf-8"

    def __init__(self, asked: Asked, envelope: Envelope, model: str) -> None:
        self._include_usage = asked.question.include_usage
        self._envelope, self._model = envelope, model
        self._upstream_id: str | None = None
        self._relayed = self._begun = False
        self._prefix = b""

    def begin(self) -> bytes:
        """Nothing: the role comes with the first piece."""
        return b""

    def item(self, item: StreamItem) -> bytes:
        """One piece of the answer as a chunk; the bookkeeping item writes nothing yet."""
        if type(item) is Relayed:
            self._relayed = True
            return item.data
        if type(item) is TextDelta and self._begun:
            return self._prefix + encode(item.text) + _SUFFIX
        delta = _delta(item)
        if delta is None:
            return b""
        if not self._begun:
            self._begun = True
            self._prefix = event(self._chunk({"content": ""})).partition(b'"content":')[0] + b'"content":'
            delta = {"role": "assistant", **delta}
        return event(self._chunk(delta))

    def end(self, reply: Reply) -> bytes:
        """Sources, finish reason (where the upstream's own was not relayed), usage with cost, and `[DONE]`."""
        answer = reply.answer
        self._model = answer.model or self._model
        self._upstream_id = answer.upstream_id if self._relayed else None
        parts = [] if self._begun or self._relayed or not answer.text else [self.item(TextDelta(answer.text))]
        if answer.citations:
            marks = cite.chat_annotations(answer.text, answer.citations)
            parts.append(event(self._chunk({"annotations": marks}) | sources(answer)))
        if not self._relayed:
            parts.append(event(self._chunk({}, answer.finish_reason)))
        parts += [event(self._last(reply)), DONE]
        return b"".join(parts)

    def cut(self, error: dict[str, Any]) -> bytes:
        """An explicit error: a stream that was cut never looks finished."""
        return event(error) + DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        chunk = head(self._envelope, self._model, "chat.completion.chunk")
        chunk["id"] = self._upstream_id or chunk["id"]
        chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        return chunk

    def _last(self, reply: Reply) -> dict[str, Any]:
        """Clients that did not ask for usage look at `choices[0]` of every chunk, so they get an empty one."""
        chunk = self._chunk({})
        if self._include_usage:
            chunk["choices"] = []
        chunk["usage"] = usage(reply.answer.usage, reply.cost)
        chunk["equipoise"] = story(reply)
        return chunk


def _delta(item: StreamItem) -> dict[str, Any] | None:
    if type(item) is TextDelta:
        return {"content": item.text}
    if type(item) is ReasoningDelta:
        return {"reasoning_content": item.text}
    if type(item) is ToolCallDelta:
        return {"tool_calls": item.tool_calls}
    return None

"""Streams as the typed events of the Responses form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.backends.base import ReasoningDelta, StreamItem, TextDelta, ToolCallDelta
from equipoise.core.model import Answer
from equipoise.gateway.dialects import responses_write as form
from equipoise.gateway.dialects.base import Asked, Envelope, encode, opened
from equipoise.gateway.dialects.relayed import RelayedReader
from equipoise.gateway.dialects.story import story
from equipoise.gateway.dialects.tool_calls import merge

if TYPE_CHECKING:
    from equipoise.balancer import Reply


class ResponsesStream:
    """Writes one stream: events are numbered, an item is announced before its pieces and closed after them."""

    content_type = b"text/event-stream; charset=utf-8"

    def __init__(self, asked: Asked, envelope: Envelope, model: str) -> None:
        self._envelope, self._model = envelope, model
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._open: str | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._relayed = RelayedReader()

    def begin(self) -> bytes:
        """The response exists and is under way."""
        started = form.response(self._envelope, self._model, "in_progress")
        return self._event("created", response=started) + self._event("in_progress", response=started)

    def item(self, item: StreamItem) -> bytes:
        """One piece of the answer as events; relayed chat chunks are read and told in this form."""
        return b"".join(self._piece(piece) for piece in self._relayed.opened(item))

    def end(self, reply: Reply) -> bytes:
        """What is open is closed, sources and calls follow, then the whole response."""
        answer = self._whole(reply.answer)
        parts = [self._close(answer)]
        if answer.text and not self._text:
            parts += [self._piece(TextDelta(answer.text)), self._close(answer)]
        parts += [self._complete(item) for item in form.function_items(answer)]
        if answer.citations:
            parts.append(self._complete(form.search_item(answer)))
        whole = form.finished(answer, reply.cost, self._envelope, self._output)
        whole["equipoise"] = story(reply)
        parts.append(self._event(whole["status"], response=whole))
        return b"".join(parts)

    def cut(self, error: dict[str, Any]) -> bytes:
        """The response failed: never a completed one after an interruption."""
        failed = form.response(self._envelope, self._model, "failed")
        failed["error"] = error["error"]
        failed["output"] = self._output
        return self._event("failed", response=failed, **error)

    def _piece(self, piece: StreamItem) -> bytes:
        if type(piece) is TextDelta:
            opening = self._enter("message")
            self._text.append(piece.text)
            return opening + self._delta("output_text.delta", piece.text, logprobs=[])
        if type(piece) is ReasoningDelta:
            opening = self._enter("reasoning")
            self._reasoning.append(piece.text)
            return opening + self._delta("reasoning_text.delta", piece.text)
        if type(piece) is ToolCallDelta:
            merge(self._calls, piece.tool_calls)
        return b""

    def _enter(self, kind: str) -> bytes:
        """Open an item of this kind unless it is open; one open item of another kind is closed first."""
        if self._open == kind:
            return b""
        closing = self._close(self._so_far())
        self._open = kind
        item = self._item(kind, Answer())
        item["status"], item["content"] = "in_progress", []
        added = self._event("output_item.added", output_index=len(self._output), item=item)
        return closing + added + self._part("content_part.added", self._item(kind, Answer()))

    def _close(self, answer: Answer) -> bytes:
        kind, self._open = self._open, None
        if kind is None:
            return b""
        item = self._item(kind, answer)
        name = "output_text.done" if kind == "message" else "reasoning_text.done"
        text = item["content"][0]["text"]
        closing = self._event(name, **self._place(item), text=text) + self._part("content_part.done", item)
        return closing + self._done(item)

    def _item(self, kind: str, answer: Answer) -> dict[str, Any]:
        """An item's id tells its position, so that a second message of one stream is another item."""
        name = f"{self._envelope.request_id}_{len(self._output)}"
        if kind == "message":
            return form.message_item(answer, name)
        return form.reasoning_item(answer.reasoning or "", name)

    def _complete(self, item: dict[str, Any]) -> bytes:
        """An item that comes in one piece."""
        return self._event("output_item.added", output_index=len(self._output), item=item) + self._done(item)

    def _done(self, item: dict[str, Any]) -> bytes:
        index = len(self._output)
        self._output.append(item)
        return self._event("output_item.done", output_index=index, item=item)

    def _part(self, name: str, item: dict[str, Any]) -> bytes:
        return self._event(name, **self._place(item), part=item["content"][0])

    def _delta(self, name: str, text: str, **more: Any) -> bytes:
        kind = "msg" if name.startswith("output_text") else "rs"
        item_id = f"{kind}_{self._envelope.request_id}_{len(self._output)}"
        return self._event(name, item_id=item_id, output_index=len(self._output), content_index=0, delta=text, **more)

    def _place(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"item_id": item["id"], "output_index": len(self._output), "content_index": 0}

    def _so_far(self) -> Answer:
        return Answer(text="".join(self._text), reasoning="".join(self._reasoning))

    def _whole(self, answer: Answer) -> Answer:
        """The final answer, completed by what was only seen in passing (relayed events are not decoded upstream)."""
        answer = opened(answer)
        return msgspec.structs.replace(
            answer,
            text=answer.text or "".join(self._text),
            reasoning=answer.reasoning or "".join(self._reasoning) or None,
            tool_calls=answer.tool_calls or self._calls or None,
            finish_reason=self._relayed.finish_reason or answer.finish_reason,
        )

    def _event(self, name: str, **data: Any) -> bytes:
        kind = f"response.{name}"
        body = encode({"type": kind, "sequence_number": self._number, **data})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"

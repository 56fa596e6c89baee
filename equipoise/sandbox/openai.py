"""The wire format of OpenAI's chat API: whole or in chunks, with usage, errors and rate-limit headers as there."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.http import Request
from equipoise.sandbox.knowledge import recalled, shortened, tokens, words
from equipoise.sandbox.openai_embeddings import embeddings
from equipoise.sandbox.openai_request import Chat, authenticated, failure, limits, parsed
from equipoise.sandbox.script import EVENTS, Dialect, Piece, Route, Script, Turn, document

DONE: Piece = (0.0, b"data: [DONE]\n\n")


class Reply(msgspec.Struct, frozen=True):
    """One answer before it takes the form of a document or of chunks; either words or calls of tools."""

    id: str
    model: str
    now: int
    text: str | None
    tool_calls: list[dict[str, Any]] | None
    finish_reason: str
    usage: dict[str, Any]

    def completion(self) -> dict[str, Any]:
        """The whole answer as one document."""
        calls: dict[str, Any] = {"tool_calls": self.tool_calls} if self.tool_calls else {}
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text,
            "refusal": None,
            "annotations": [],
        } | calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return self._head("chat.completion") | {"choices": [choice], "usage": self.usage}

    def chunk(self, delta: dict[str, Any], usage: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """One chunk with one choice; `usage` is `{}` or `{"usage": null}`."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk") | {"choices": [choice]} | usage

    def usage_chunk(self) -> dict[str, Any]:
        """The extra chunk that `include_usage` asks for."""
        return self._head("chat.completion.chunk") | {"choices": [], "usage": self.usage}

    def _head(self, kind: str) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": self.now, "model": self.model}
        return head | {"service_tier": "default", "system_fingerprint": "fp_sandbox"}


def chat_completions(request: Request, turn: Turn) -> Script:
    """POST /v1/chat/completions."""
    authenticated(request, turn)
    chat = parsed(request.body, turn)
    reply = _reply(chat, turn)
    cost = turn.profile.cost(reply.usage["prompt_tokens"], reply.usage["completion_tokens"])
    headers = limits(turn, reply.usage["total_tokens"])
    if chat.stream:
        pieces = _chunks(reply, turn, include_usage=bool((chat.stream_options or {}).get("include_usage")))
        return Script(pieces=pieces, content_type=EVENTS, streamed=True, headers=headers, cost=cost)
    seconds = turn.pace.first + turn.pace.writing(reply.usage["completion_tokens"])
    return document(reply.completion(), pause=seconds, headers=headers, cost=cost)


def _reply(chat: Chat, turn: Turn) -> Reply:
    calls = _tool_calls(chat, turn)
    text, reason = (None, "tool_calls") if calls else _text(chat, turn)
    written = tokens(msgspec.json.encode(calls).decode() if calls else text or "")
    return Reply(
        id=turn.identifier("chatcmpl-"),
        model=chat.model,
        now=turn.now,
        text=text,
        tool_calls=calls,
        finish_reason=reason,
        usage=_usage(chat.input_tokens, written),
    )


def _text(chat: Chat, turn: Turn) -> tuple[str, str]:
    if turn.answerless:
        return "", "stop"
    said = recalled(turn.knowledge.find(chat.question))
    if (chat.response_format or {}).get("type") in ("json_object", "json_schema"):
        said = msgspec.json.encode({"answer": said}).decode()
    return shortened(said, chat.max_completion_tokens or chat.max_tokens)


def _tool_calls(chat: Chat, turn: Turn) -> list[dict[str, Any]] | None:
    if not chat.tools or chat.tool_choice in (None, "none", "auto"):
        return None
    chosen = chat.tool_choice if isinstance(chat.tool_choice, dict) else chat.tools[0]
    name = chosen.get("function", {}).get("name", "")
    arguments = msgspec.json.encode({"query": chat.question}).decode()
    return [{"id": turn.identifier("call_"), "type": "function", "function": {"name": name, "arguments": arguments}}]


def _usage(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _chunks(reply: Reply, turn: Turn, *, include_usage: bool) -> tuple[Piece, ...]:
    """With `include_usage` every chunk carries `usage: null` and one more, without choices, the count."""
    nothing: dict[str, Any] = {"usage": None} if include_usage else {}
    deltas: list[tuple[float, dict[str, Any]]] = [
        (turn.pace.first, {"role": "assistant", "content": "", "refusal": None})
    ]
    deltas += [(turn.pace.writing(tokens(piece)), {"content": piece}) for piece in words(reply.text or "")]
    deltas += [(0.0, {"tool_calls": [{"index": i} | call]}) for i, call in enumerate(reply.tool_calls or ())]
    pieces = [_event(seconds, reply.chunk(delta, nothing)) for seconds, delta in deltas]
    usage = [_event(0.0, reply.usage_chunk())] if include_usage else []
    return (*pieces, _event(0.0, reply.chunk({}, nothing, reply.finish_reason)), *usage, DONE)


def _event(seconds: float, content: dict[str, Any]) -> Piece:
    return seconds, b"data: %s\n\n" % msgspec.json.encode(content)


def models(request: Request, turn: Turn) -> Script:
    """GET /v1/models: needs the key, costs nothing."""
    authenticated(request, turn)
    listed = [
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "sandbox"}
        for name in (turn.profile.model, "text-embedding-3-small")
    ]
    return document({"object": "list", "data": listed})


OPENAI = Dialect(
    routes={
        ("POST", "/v1/chat/completions"): Route(chat_completions, paid=True),
        ("POST", "/v1/embeddings"): Route(embeddings, paid=True),
        ("GET", "/v1/models"): Route(models),
    },
    failure=failure,
)

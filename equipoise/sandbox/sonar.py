"""Perplexity's older chat API: OpenAI's shape with citations, cumulative usage, and a price that comes last."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.core.model import NANO_PER_USD
from equipoise.http import Request
from equipoise.sandbox.fact import Fact
from equipoise.sandbox.knowledge import cited, recalled, shortened, tokens, words
from equipoise.sandbox.perplexity_agent import authenticated, refused
from equipoise.sandbox.script import EVENTS, Piece, Script, Turn, document

PRICES: dict[str, tuple[int, int, dict[str, int]]] = {
    "sonar": (1_000, 1_000, {"low": 5_000_000, "medium": 8_000_000, "high": 12_000_000}),
    "sonar-pro": (3_000, 15_000, {"low": 6_000_000, "medium": 10_000_000, "high": 14_000_000}),
    "sonar-reasoning-pro": (2_000, 8_000, {"low": 6_000_000, "medium": 10_000_000, "high": 14_000_000}),
    "sonar-deep-research": (2_000, 8_000, {"low": 5_000_000, "medium": 5_000_000, "high": 5_000_000}),
}
"""Published prices: nano-dollars a token in and out, and a request by search context size."""


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that change the answer; others are accepted."""

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    stream: bool = False
    disable_search: bool | None = False
    return_related_questions: bool | None = False
    web_search_options: dict[str, Any] = {}

    @property
    def question(self) -> str:
        """The last words of the user."""
        return next((str(m.get("content", "")) for m in reversed(self.messages) if m.get("role") == "user"), "")

    @property
    def context_size(self) -> str:
        """low unless the request says otherwise."""
        size = self.web_search_options.get("search_context_size", "low")
        return size if size in ("low", "medium", "high") else "low"


class Sonar(msgspec.Struct, frozen=True):
    """One answer before it takes the form of a document or of chunks."""

    id: str
    now: int
    chat: Chat
    facts: list[Fact]
    text: str
    finish_reason: str

    def completion(self, kind: str, choice: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
        """A completion or one chunk of it, each with all sources."""
        sources = [
            {"title": f.title, "url": f.url, "date": f.date, "last_updated": f.date, "snippet": f.text, "source": "web"}
            for f in self.facts
        ]
        related = (
            {"related_questions": ["What is known about its limits?"]} if self.chat.return_related_questions else {}
        )
        return {
            "id": self.id,
            "model": self.chat.model,
            "created": self.now,
            "usage": usage,
            "citations": [f.url for f in self.facts],
            "search_results": sources,
            "object": kind,
            "choices": [{"index": 0} | choice],
        } | related

    def usage(self, written: str, *, final: bool) -> dict[str, Any]:
        """Tokens so far; the cost is nothing until the end."""
        asked = sum(tokens(str(m.get("content", ""))) for m in self.chat.messages)
        counts = {"prompt_tokens": asked, "completion_tokens": tokens(written), "total_tokens": asked + tokens(written)}
        return counts | {"search_context_size": self.chat.context_size, "cost": self._cost(counts, final=final)}

    def _cost(self, counts: dict[str, int], *, final: bool) -> dict[str, float]:
        if not final:
            return {"input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "total_cost": 0.0}
        asked, written, fee = self.parts(counts)
        return {
            "input_tokens_cost": asked / NANO_PER_USD,
            "output_tokens_cost": written / NANO_PER_USD,
            "request_cost": fee / NANO_PER_USD,
            "total_cost": (asked + written + fee) / NANO_PER_USD,
        }

    def parts(self, counts: dict[str, int]) -> tuple[int, int, int]:
        """Nano-dollars for input, output and the request."""
        input_price, output_price, fees = PRICES[self.chat.model]
        fee = 0 if self.chat.disable_search else fees[self.chat.context_size]
        return counts["prompt_tokens"] * input_price, counts["completion_tokens"] * output_price, fee


def chat_completions(request: Request, turn: Turn) -> Script:
    """POST /chat/completions and its alias /v1/sonar."""
    authenticated(request, turn)
    chat = _parsed(request.body)
    facts = [] if chat.disable_search else turn.knowledge.find(chat.question)
    said = "" if turn.answerless else cited(facts) or recalled(facts)
    text, reason = shortened(said, chat.max_tokens)
    sonar = Sonar(turn.identifier(""), turn.now, chat, facts, text, reason)
    cost = sum(sonar.parts(sonar.usage(text, final=False)))
    if chat.stream:
        return Script(pieces=_chunks(sonar, turn), content_type=EVENTS, streamed=True, cost=cost)
    seconds = turn.pace.first + turn.pace.writing(tokens(text))
    return document(_whole(sonar, "chat.completion"), pause=seconds, cost=cost)


def _parsed(body: bytes) -> Chat:
    try:
        chat = msgspec.json.decode(body, type=Chat)
    except msgspec.DecodeError as error:
        raise refused(400, f"Invalid request: {error}", "bad_request") from error
    if chat.model not in PRICES:
        raise refused(
            400, f"Invalid model '{chat.model}'. Permitted models can be found in the documentation.", "invalid_model"
        )
    if not chat.question.strip():
        raise refused(400, "Last message must have role `user`", "invalid_message")
    return chat


def _whole(sonar: Sonar, kind: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": sonar.text}
    choice = {"finish_reason": sonar.finish_reason, "message": message, "delta": {"role": "assistant", "content": ""}}
    return sonar.completion(kind, choice, sonar.usage(sonar.text, final=True))


def _chunks(sonar: Sonar, turn: Turn) -> tuple[Piece, ...]:
    pieces, said, pause = [], "", turn.pace.first
    for piece in words(sonar.text, 3):
        said += piece
        pause += turn.pace.writing(tokens(piece))
        pieces.append((pause, _event(_chunk(sonar, piece, said))))
        pause = 0.0
    return (*pieces, (pause, _event(_whole(sonar, "chat.completion.done"))))


def _chunk(sonar: Sonar, piece: str, said: str) -> dict[str, Any]:
    delta, message = {"role": "assistant", "content": piece}, {"role": "assistant", "content": said}
    choice = {"finish_reason": None, "delta": delta, "message": message}
    return sonar.completion("chat.completion.chunk", choice, sonar.usage(said, final=False))


def _event(content: dict[str, Any]) -> bytes:
    return b"data: %s\r\n\r\n" % msgspec.json.encode(content)

"""Perplexity's older chat API (`POST /chat/completions`) and what imitates it.

Usage in a stream is cumulative, so the last one counts; `chat.completion.done` ends it and carries the bill.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from typing import Any, Final

import msgspec

from equipoise.backends import citations
from equipoise.backends.base import Finished, ProbeResult, StreamItem, TextDelta
from equipoise.backends.billing import chat_usage, inner, metered
from equipoise.backends.calls import shaped
from equipoise.backends.classify import Blame, malformed, no_answer, reported
from equipoise.backends.errors import error_of
from equipoise.backends.perplexity import ORIGIN, decoded, probe_models, shaped_by_client, upstream
from equipoise.backends.sse import Event, SSEDecoder
from equipoise.backends.transport import Patience, Spent, endpoint, read_to_end
from equipoise.core.model import Answer, Citation, NanoUSD, Question, Request, Usage
from equipoise.core.pricing import estimate_tokens
from equipoise.http import ClientResponse, Pool

MODEL: Final = "sonar"

SEARCH_FIELDS: Final = frozenset(
    {"search_domain_filter", "search_recency_filter", "search_mode", "search_after_date_filter",
     "search_before_date_filter", "last_updated_after_filter", "last_updated_before_filter", "search_language_filter",
     "web_search_options", "return_images", "return_related_questions", "disable_search", "enable_search_classifier",
     "image_domain_filter", "image_format_filter", "language_preference", "num_search_results", "country"}
)  # fmt: skip
SAMPLING_FIELDS: Final = frozenset(
    {"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "stop", "reasoning_effort"}
)
NESTED: Final = frozenset({"search_context_size", "search_type", "user_location"})
"""Options that this API wants inside `web_search_options`."""

ROLES: Final = {"developer": "system", "function": "tool"}


def chat_body(question: Question, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a chat completion with only the fields this API documents."""
    given = {**options, **question.options, **question.extra}
    body = {
        name: value for name, value in given.items() if name in SEARCH_FIELDS | SAMPLING_FIELDS and value is not None
    }
    nested = {name: given[name] for name in NESTED if given.get(name) is not None}
    if nested:
        body["web_search_options"] = {**inner(body, "web_search_options"), **nested}
    body |= {"model": model, "messages": [_message(message) for message in question.messages]}
    optional = {
        "max_tokens": question.max_tokens,
        "response_format": question.response_format,
        "tools": question.tools or None,
        "tool_choice": question.tool_choice if question.tools else None,
        "stream": question.stream or None,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _message(message: Any) -> Any:
    return msgspec.structs.replace(message, role=ROLES.get(message.role, message.role), name=None)


class PerplexityChatClient:
    """One account at Perplexity, asked through the older chat API; `options` as its body has them."""

    def __init__(
        self,
        endpoint_url: str = ORIGIN,
        *,
        api_key: str | None = None,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        pool: Pool | None = None,
        patience: Patience | None = None,
        probe_timeout: float = 5.0,
        probe_path: str | None = None,
    ) -> None:
        self._options = dict(options or {})
        if unknown := self._options.keys() - SEARCH_FIELDS - SAMPLING_FIELDS - NESTED:
            raise ValueError(f"Perplexity's chat API has no option {', '.join(sorted(unknown))}")
        origin, base = endpoint(endpoint_url)
        base = base.removesuffix("/v1")
        self._blame = Blame(who="Perplexity", secret=api_key or "", own_fields=frozenset(self._options))
        self._upstream = upstream(origin, api_key, headers, pool, patience, self._blame)
        self._target, self._models = f"{base}/chat/completions", f"{base}/v1/models"
        self._model, self._probe_timeout, self._probe_path = model or MODEL, probe_timeout, probe_path

    async def send(self, request: Request, timeout: float) -> Answer:
        """Ask and wait for the whole answer."""
        response = await self._post(request, timeout)
        reply = decoded(await self._upstream.read(response), self._blame)
        stream = ChatStream(self._blame, request.input_tokens)
        stream.take(reply)
        return stream.concluded()

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[StreamItem, None]:
        """Ask for the answer in pieces; the bill comes with the last event."""
        response = await self._post(request, timeout)
        reading = ChatStream(self._blame, request.input_tokens)
        with closing(response), self._upstream.reading(reading.spent):
            async for piece in response:
                for item in reading.feed(piece):
                    yield item
                if reading.done:
                    break
            answer = reading.finish()
            await read_to_end(response)
        if not reading.streamed:
            yield TextDelta(answer.text)
        yield Finished(answer)

    async def probe(self) -> ProbeResult:
        """List the models: free, but open to anyone, so it proves that the API is there and nothing about the key."""
        return await probe_models(self._upstream, self._models, self._probe_timeout, self._blame, self._probe_path)

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def _post(self, request: Request, timeout: float) -> ClientResponse:
        ours = frozenset(self._options) - request.question.options.keys() - request.question.extra.keys()
        return await self._upstream.post(
            self._target,
            msgspec.json.encode(chat_body(request.question, self._model, self._options)),
            timeout,
            trace=request.trace,
            repeat=request.repeatable,
            streamed=request.question.stream,
            blame=msgspec.structs.replace(
                self._blame, own_fields=ours, own_body=not shaped_by_client(request.question)
            ),
        )


class ChatStream:
    """What the objects of one answer add up to; no IO. `done` after the object or line that ends a stream."""

    def __init__(self, blame: Blame, input_tokens: int) -> None:
        self._blame, self._input_tokens = blame, input_tokens
        self._decoder = SSEDecoder()
        self._text: list[str] = []
        self._message: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._cost: NanoUSD | None = None
        self._citations: list[Citation] = []
        self._finish_reason = self._model = self._id = ""
        self.done = False

    @property
    def streamed(self) -> bool:
        """Whether text has come in pieces."""
        return bool(self._text)

    def feed(self, piece: bytes) -> list[StreamItem]:
        """Take the next bytes; return the pieces of the answer in them. Raises BackendError, EventTooLarge."""
        texts = [self._event(event) for event in self._decoder.feed(piece)]
        return [TextDelta(text) for text in texts if text]

    def finish(self) -> Answer:
        """Judge the end of a stream; raises BackendError if nothing said that it was the end."""
        for event in self._decoder.finish():
            self._event(event)
        if not self.done and not self._finish_reason:
            raise malformed("the stream ended without its last event", self._blame)
        return self.concluded()

    def spent(self) -> Spent:
        """What the answer has used so far."""
        counted = Usage(self._input_tokens, estimate_tokens("".join(self._text)), estimated=True)
        return Spent(self._usage or counted, self._cost)

    def take(self, reply: Mapping[str, Any]) -> str:
        """Note one object, a whole reply or one of a stream; returns the text it adds."""
        if reply.get("error"):
            raise reported(error_of(reply, self._blame.secret), self._blame)
        choice = next(iter(citations.mappings(reply.get("choices"))), {})
        message = inner(choice, "message")
        self._message = dict(message) if message else self._message
        self._note(reply, choice, message)
        # The last object of a stream repeats the message; its delta, if any, was sent before.
        return (
            ""
            if reply.get("object") == "chat.completion.done"
            else citations.text(inner(choice, "delta").get("content"))
        )

    def concluded(self) -> Answer:
        """The whole answer; raises BackendError if it says nothing."""
        text = "".join(self._text) or _content(self._message)
        calls = shaped(self._message.get("tool_calls"))
        spent = Spent(self._usage or Usage(self._input_tokens, estimate_tokens(text), estimated=True), self._cost)
        if not text.strip() and not calls and self._finish_reason != "length":
            raise no_answer("the reply holds no text", self._blame, usage=spent.usage, cost=spent.cost)
        return Answer(
            text=text,
            citations=self._citations,
            usage=spent.usage or Usage(estimated=True),
            metered_cost=spent.cost,
            model=self._model,
            finish_reason=self._finish_reason or "stop",
            tool_calls=calls or None,
            upstream_id=self._id or None,
        )

    def _event(self, event: Event) -> str:
        if self.done:
            return ""
        if event.data == b"[DONE]":
            self.done = True
            return ""
        reply = decoded(event.data, self._blame)
        if event.name == "error":
            raise reported(error_of(reply, self._blame.secret), self._blame)
        text = self.take(reply)
        self._text.append(text) if text else None
        self.done = reply.get("object") == "chat.completion.done"
        return text

    def _note(self, reply: Mapping[str, Any], choice: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        if usage := inner(reply, "usage"):
            self._usage = chat_usage(usage)
            self._cost = metered(usage.get("cost")) or self._cost
        self._citations = citations.from_chat(message, reply) or self._citations
        self._finish_reason = citations.text(choice.get("finish_reason")) or self._finish_reason
        self._model = citations.text(reply.get("model")) or self._model
        self._id = self._id or citations.text(reply.get("id"))


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(citations.text(part.get("text")) for part in citations.mappings(content))
    return citations.text(content)

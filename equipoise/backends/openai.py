"""OpenAI and the servers that speak as it does: vLLM, Ollama, llama.cpp and others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from equipoise.backends.base import BackendError, ProbeResult, StreamItem
from equipoise.backends.citations import mappings
from equipoise.backends.classify import Blame, no_answer, rejected
from equipoise.backends.errors import UNREADABLE
from equipoise.backends.foreign import UNKNOWN_TO_OPENAI
from equipoise.backends.openai_embeddings import embedded
from equipoise.backends.openai_reply import Completion
from equipoise.backends.openai_request import Splice, body_for
from equipoise.backends.openai_stream import MEANINGFUL_ENDS, parsed
from equipoise.backends.probing import probed
from equipoise.backends.relayed import RelayedStream
from equipoise.backends.translation import translated
from equipoise.backends.transport import Patience, Upstream, endpoint, header_list
from equipoise.core.model import Answer, BackendType, NanoUSD, Request, Usage
from equipoise.core.pricing import estimate_tokens
from equipoise.http import ClientResponse, Pool


class OpenAIClient:
    """One OpenAI-compatible server.

    `model` replaces the client's; None passes his on if the server lists it, otherwise asks for the first it lists. `options` are fields added to bodies that lack them;
    `stream_usage` False is for servers that refuse `stream_options`. `local` servers are probed without a key; `probe_path` is probed instead.
    """

    def __init__(
        self,
        endpoint_url: str = "https://api.openai.com",
        *,
        api_key: str | None = None,
        model: str | None = None,
        local: bool = False,
        options: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        pool: Pool | None = None,
        patience: Patience | None = None,
        stream_usage: bool = True,
        max_tokens_field: str | None = None,
        probe_timeout: float = 5.0,
        probe_path: str | None = None,
    ) -> None:
        origin, base = endpoint(endpoint_url, version=True)
        who = BackendType.LOCAL_LLM if local else BackendType.OPENAI_DIRECT
        own = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        keyed = {**own, "authorization": f"Bearer {api_key}"} if api_key else own
        field = max_tokens_field or _max_tokens_field(origin)
        foreign = frozenset[str]() if local else UNKNOWN_TO_OPENAI - frozenset(options or ())
        self._splice = Splice.make(
            model, options or {}, stream_usage=stream_usage, max_tokens_field=field, foreign=foreign
        )
        self._asked_for_models = model is not None
        self._blame = Blame(
            who=who.value,
            own_model=model is not None,
            own_body=False,
            own_fields=frozenset(options or ()),
            secret=api_key or "",
        )
        self._upstream = Upstream(origin, pool, header_list(keyed, headers), self._blame, patience or Patience())
        self._target, self._models = f"{base}/chat/completions", f"{base}/models"
        self._embedding = f"{base}/embeddings"
        self._health = base.removesuffix("/v1") + "/health"
        self._model, self._local, self._probe_timeout = model, local, probe_timeout
        self._probe_path = probe_path

    async def send(self, request: Request, timeout: float) -> Answer:
        """Ask and wait for the whole answer; `raw` holds the upstream's bytes."""
        if request.question.embeddings:
            return await self._embeddings(request, timeout)
        response = await self._post(request, timeout)
        return self._whole(await self._upstream.read(response), request)

    def stream(self, request: Request, timeout: float) -> RelayedStream | AsyncGenerator[StreamItem, None]:
        """Pass the upstream's events on as they are; decoded into pieces if the client does not speak this dialect."""
        relayed = RelayedStream(
            self._blame, self._upstream, partial(self._post, request, timeout), request, self._whole
        )
        return relayed if request.question.body is not None else translated(relayed)

    async def probe(self) -> ProbeResult:
        """List the models, which validates the key and costs nothing; a local server without a list may have `/health`."""
        path = self._probe_path
        return await probed(partial(self._upstream.answers_at, path, self._probe_timeout) if path else self._probe)

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def _embeddings(self, request: Request, timeout: float) -> Answer:
        response = await self._post(request, timeout, self._embedding)
        return embedded(await self._upstream.read(response), request, self._blame)

    async def _post(self, request: Request, timeout: float, target: str | None = None) -> ClientResponse:
        if not self._asked_for_models:
            await self._learn_models()
        return await self._upstream.post(
            target or self._target,
            body_for(request.question, self._splice),
            timeout,
            trace=request.trace,
            repeat=request.repeatable,
            streamed=request.question.stream,
        )

    def _whole(self, body: bytes, request: Request) -> Answer:
        completion = parsed(body, self._blame)
        usage, cost = _billed(completion, request)
        choice, said = completion.first, completion.first.said
        if not said.says_something and choice.finish_reason not in MEANINGFUL_ENDS:
            raise no_answer("the reply holds no text", self._blame, usage=usage, cost=cost)
        return Answer(
            text=said.content or said.refusal or "",
            citations=completion.sources(),
            usage=usage,
            metered_cost=cost,
            model=completion.model or "",
            finish_reason=choice.finish_reason or "stop",
            tool_calls=said.calls or None,
            reasoning=said.thought or None,
            raw=body,
            upstream_id=completion.id,
        )

    async def _learn_models(self) -> None:
        """Find out once what the server offers, where the operator named no model; a server without a list is asked as is."""
        self._asked_for_models = True
        with suppress(BackendError):
            await self._probe()

    async def _probe(self) -> dict[str, Any]:
        status, body = await self._upstream.get(self._models, self._probe_timeout)
        if status in (404, 405, 501) and self._local:
            return await self._probe_health()
        if status != 200:
            raise rejected(status, {}, body, self._blame)
        names = _models_in(body)
        if self._model is None:
            self._asked_for_models = True
            self._splice = self._splice.offering(names)
            return {"models": len(names)}
        return {"models": len(names), "model_listed": self._model in names}

    async def _probe_health(self) -> dict[str, Any]:
        status, body = await self._upstream.get(self._health, self._probe_timeout)
        if status != 200:
            raise rejected(status, {}, body, self._blame)
        return {"health": "ok"}


def _billed(completion: Completion, request: Request) -> tuple[Usage, NanoUSD | None]:
    """What the reply says was used; estimated from its words when it says nothing."""
    if completion.usage is not None:
        return completion.usage.counted(), completion.usage.metered()
    said = completion.first.said
    output = estimate_tokens((said.content or "") + said.thought)
    return Usage(input_tokens=request.input_tokens, output_tokens=output, estimated=True), None


def _models_in(body: bytes) -> list[str]:
    try:
        listed = msgspec.json.decode(body, type=dict[str, Any]).get("data")
    except UNREADABLE:
        return []
    return [str(entry["id"]) for entry in mappings(listed) if entry.get("id")]


def _max_tokens_field(origin: str) -> str:
    """OpenAI's reasoning models refuse `max_tokens`; most other servers know no other name."""
    return "max_completion_tokens" if urlsplit(origin).hostname == "api.openai.com" else "max_tokens"

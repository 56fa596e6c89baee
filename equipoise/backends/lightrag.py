"""LightRAG servers: `/query` and `/query/stream`, with their silent failures told from answers."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Final

import msgspec

from equipoise.backends.base import BackendError, Finished, ProbeResult, StreamItem, TextDelta
from equipoise.backends.classify import Blame, malformed, no_answer, rejected, reported
from equipoise.backends.errors import UNREADABLE, error_of
from equipoise.backends.lightrag_wire import (
    QUERY_FIELDS,
    Told,
    answer_from,
    answers_nothing,
    estimated_usage,
    may_be_canned,
    options_of,
    query_body,
    too_short,
)
from equipoise.backends.ndjson import LineDecoder
from equipoise.backends.probing import probed
from equipoise.backends.transport import Patience, Spent, Upstream, endpoint, header_list
from equipoise.core.model import Answer, Request, Usage, Verdict
from equipoise.http import ClientResponse, Pool

KEY_CHECKED_FOR: Final = 300.0
"""Seconds for which a key that was found valid is not asked about again."""

SEARCHED_FOR: Final = "health check"
SEARCHED_EVERY: Final = 300.0
"""Seconds between two deep probes that went well."""

SEARCH_USAGE: Final = Usage(input_tokens=3, estimated=True)

SHOWN: Final = (
    "status",
    "core_version",
    "api_version",
    "auth_mode",
    "pipeline_busy",
    "llm_queue_status",
    "embedding_queue_status",
)
SHOWN_OF_CONFIGURATION: Final = (
    "graph_storage",
    "vector_storage",
    "llm_binding",
    "llm_model",
    "embedding_binding",
    "embedding_model",
    "workspace",
)


class LightRAGClient:
    """One LightRAG server, which serves one workspace.

    `options` are QueryRequest fields the operator sets (a client may overrule them); ValueError for one that is none.
    `context_tokens` is how much retrieved text a question costs its LLM, for the estimate of usage.
    """

    def __init__(
        self,
        endpoint_url: str,
        *,
        api_key: str | None = None,
        mode: str = "mix",
        options: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        pool: Pool | None = None,
        patience: Patience | None = None,
        context_tokens: int | None = None,
        probe_timeout: float = 5.0,
        probe_path: str | None = None,
        deep_probe: bool = False,
    ) -> None:
        self._options = {"mode": mode, **(options or {})}
        if unknown := self._options.keys() - QUERY_FIELDS:
            raise ValueError(f"LightRAG has no query option {', '.join(sorted(unknown))}")
        origin, self._base = endpoint(endpoint_url)
        own = {"content-type": "application/json", "accept": "application/json, application/x-ndjson"}
        keyed = {**own, "x-api-key": api_key} if api_key else own
        self._blame = Blame(who="LightRAG", secret=api_key or "", own_fields=frozenset(self._options))
        self._upstream = Upstream(origin, pool, header_list(keyed, headers), self._blame, patience or Patience())
        self._context_tokens, self._probe_timeout = context_tokens, probe_timeout
        self._probe_path, self._deep_probe = probe_path, deep_probe
        self._key_good_until = self._deep_good_until = 0.0

    async def send(self, request: Request, timeout: float) -> Answer:
        """Ask and wait for the whole answer; a 200 that answers nothing is BackendError(NO_ANSWER)."""
        body = self._body(request)
        response = await self._post("/query", body, request, timeout)
        told = Told()
        told.take(self._decoded(await self._upstream.read(response)))
        return self._answer(told, body)

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[StreamItem, None]:
        """Ask for the answer in pieces; the first ones are held back while they may be the start of a canned answer."""
        body = self._body(request)
        response = await self._post("/query/stream", body, request, timeout)
        told, held = Told(), ""
        with closing(response), self._upstream.reading(lambda: Spent(self._usage(told, body))):
            async with aclosing(self._lines(response)) as lines:
                async for line in lines:
                    held += told.take(self._checked(line))
                    if held and told.generated and not may_be_canned(held):
                        yield TextDelta(held)
                        held = ""
            answer = self._answer(told, body)
        if held:
            yield TextDelta(held)
        yield Finished(answer)

    async def probe(self) -> ProbeResult:
        """Ask `/health`, and now and then `/auth/verify` whether the key is good; neither calls an LLM.

        With `deep_probe` the graph is searched now and then: one embedding, which is told as usage.
        """
        path = self._probe_path
        found = await probed(partial(self._upstream.answers_at, path, self._probe_timeout) if path else self._probe)
        if not (self._deep_probe and found.healthy and time.monotonic() >= self._deep_good_until):
            return found
        deep = await probed(self._search)
        return msgspec.structs.replace(deep, details={**found.details, **deep.details}, usage=SEARCH_USAGE)

    async def details(self) -> dict[str, Any]:
        """How many documents are in which state, as `/documents/status_counts` tells; raises BackendError."""
        status, body = await self._upstream.get(f"{self._base}/documents/status_counts", self._probe_timeout)
        counts = self._decoded(body).get("status_counts") if status == 200 else None
        if not isinstance(counts, dict):
            raise malformed(f"answered {status} instead of document counts", self._blame)
        return counts

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    def _body(self, request: Request) -> dict[str, Any]:
        body = query_body(request.question, options_of(request.question, self._options))
        if too_short(body):
            text = "LightRAG: the question is too short for a graph"
            raise BackendError(Verdict.NO_ANSWER, text, code="no_answer", sent=False, usage=Usage(requests=0))
        return body

    async def _post(self, path: str, body: dict[str, Any], request: Request, timeout: float) -> ClientResponse:
        ours = frozenset(self._options) - request.question.extra.keys()
        return await self._upstream.post(
            self._base + path,
            msgspec.json.encode(body),
            timeout,
            trace=request.trace,
            repeat=request.repeatable,
            streamed=request.question.stream,
            blame=msgspec.structs.replace(self._blame, own_fields=ours, own_body=not request.question.extra),
        )

    def _decoded(self, data: bytes) -> dict[str, Any]:
        try:
            return msgspec.json.decode(data, type=dict[str, Any])
        except UNREADABLE as error:
            raise malformed("the reply is no JSON object", self._blame) from error

    def _answer(self, told: Told, body: Mapping[str, Any]) -> Answer:
        if answers_nothing(told, body):
            told.generated = False  # only the keywords were asked for
            raise no_answer(
                "found nothing to answer with", self._blame, seen=told.whole[:80], usage=self._usage(told, body)
            )
        return answer_from(told, body, self._usage(told, body))

    def _usage(self, told: Told, body: Mapping[str, Any]) -> Usage:
        return estimated_usage(body, told, self._context_tokens)

    async def _lines(self, response: ClientResponse) -> AsyncGenerator[dict[str, Any], None]:
        decoder = LineDecoder()
        async for piece in response:
            for line in decoder.feed(piece):
                yield self._decoded(line)
        for line in decoder.finish():
            yield self._decoded(line)

    def _checked(self, line: dict[str, Any]) -> dict[str, Any]:
        if line.get("error"):
            raise reported(error_of(line, self._blame.secret), self._blame)
        return line

    async def _probe(self) -> dict[str, Any]:
        status, body = await self._upstream.get(f"{self._base}/health", self._probe_timeout)
        health = self._decoded(body) if status == 200 else {}
        if health.get("status") != "healthy":
            raise malformed(f"/health answered {status}, status {health.get('status')!r}", self._blame)
        return {**_summary(health), "key": await self._key_state()}

    async def _search(self) -> dict[str, Any]:
        """`/query/data` in naive mode embeds the query and asks no LLM; with the embeddings down it answers 500."""
        body = msgspec.json.encode({"query": SEARCHED_FOR, "mode": "naive", "chunk_top_k": 1})
        response = await self._upstream.post(f"{self._base}/query/data", body, self._probe_timeout, streamed=False)
        told = self._decoded(await self._upstream.read(response))
        if told.get("status") != "success" and not _found_nothing(told):
            raise malformed(f"/query/data answered status {told.get('status')!r}", self._blame)
        self._deep_good_until = time.monotonic() + SEARCHED_EVERY
        return {"search": "ok"}

    async def _key_state(self) -> str:
        """`/auth/verify` came with 1.5.7; a server that has none tells nothing about its key."""
        if time.monotonic() < self._key_good_until:
            return "ok"
        status, body = await self._upstream.get(f"{self._base}/auth/verify", self._probe_timeout)
        if status in (401, 403):
            raise rejected(status, {}, body, self._blame)
        if status == 200:
            self._key_good_until = time.monotonic() + KEY_CHECKED_FOR
        return "ok" if status == 200 else "unknown"


def _found_nothing(told: Mapping[str, Any]) -> bool:
    """An empty graph has nothing to find, and is well all the same."""
    return "no" in str(told.get("message", "")).lower().split()


def _summary(health: Mapping[str, Any]) -> dict[str, Any]:
    """What an operator wants to see of `/health`; the rest is LightRAG's own configuration, told to who has its key."""
    configuration = health.get("configuration")
    told = configuration if isinstance(configuration, Mapping) else {}
    return _picked(health, SHOWN) | {name: str(value) for name, value in _picked(told, SHOWN_OF_CONFIGURATION).items()}


def _picked(told: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    return {name: told[name] for name in wanted if told.get(name) is not None}

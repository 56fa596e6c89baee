"""One question, to a running gateway or to backends of our own; told in one form."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from equipoise.cli.configured import configuration, estate_of
from equipoise.cli.exits import PROBLEMS, Failure
from equipoise.cli.remote import Remote
from equipoise.http import ClientResponse, HTTPError

LONGEST_EVENT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Query:
    """What is asked; `on_piece` is given each piece of the answer as it comes."""

    question: str
    model: str
    strategy: str | None
    seconds: float
    on_piece: Callable[[str], None]


@dataclass
class Told:
    """The answer and everything there is to say about it."""

    question: str
    text: str = ""
    citations: list[dict[str, Any]] = field(default_factory=list)
    backend: str | None = None
    corpus: str | None = None
    model: str | None = None
    strategy: str | None = None
    reason: str | None = None
    attempts: int = 1
    fallback_from: str | None = None
    cost_usd: str = "0"
    cost_source: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    request_id: str | None = None
    warning: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


async def ask_gateway(url: str, query: Query) -> Told:
    """Ask a running gateway. Raises Failure when none answers, when it refuses, and when the answer is cut."""
    body = {
        "model": query.model,
        "messages": [{"role": "user", "content": query.question}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = [(b"x-equipoise-strategy", query.strategy.encode())] if query.strategy else []
    told, began = Told(query.question), time.perf_counter()
    async with Remote(url, seconds=query.seconds) as remote:
        response = await remote.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
        _from_headers(told, response)
        try:
            async for event in _events(response):
                _take(told, event, query.on_piece)
        except HTTPError as error:
            raise Failure(f"the answer was cut: {error}") from error
    told.seconds = time.perf_counter() - began
    return told


def _from_headers(told: Told, response: ClientResponse) -> None:
    def said(name: str) -> str | None:
        value = response.headers.get(name.encode())
        return value.decode("latin-1") if value else None

    told.backend, told.strategy = said("x-equipoise-backend"), said("x-equipoise-strategy")
    told.reason, told.request_id = said("x-equipoise-reason"), said("x-request-id")
    told.warning, told.fallback_from = said("x-equipoise-warning"), said("x-equipoise-fallback-from")


async def _events(response: ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The data of each server-sent event; ends with [DONE], raises Failure when it never comes."""
    pending = b""
    async for piece in response:
        *lines, pending = (pending + piece).split(b"\n")
        if len(pending) > LONGEST_EVENT:
            raise Failure("the gateway sends an event without an end")
        for line in lines:
            data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                return
            if data:
                yield json.loads(data)
    raise Failure("the answer was cut: the stream has no end")


def _take(told: Told, event: dict[str, Any], on_piece: Callable[[str], None]) -> None:
    if "error" in event:
        raise Failure(f"the answer was cut: {event['error'].get('message')}")
    told.model = event.get("model") or told.model
    for choice in event.get("choices") or ():
        piece = choice.get("delta", {}).get("content")
        if piece:
            told.text += piece
            on_piece(piece)
    if event.get("search_results") or event.get("citations"):
        told.citations = _sources(event)
    if event.get("equipoise"):
        _take_story(told, event)


def _sources(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Perplexity's two lists as one, numbered as the text cites them: results have titles, citations only addresses."""
    found = event.get("search_results") or [{"url": url} for url in event["citations"]]
    return [
        {"index": source.get("id", i), "title": source.get("title"), "url": source["url"], "file": source.get("file")}
        for i, source in enumerate(found, 1)
        if source.get("url")
    ]


def _take_story(told: Told, event: dict[str, Any]) -> None:
    story = event["equipoise"]
    told.backend, told.strategy = story.get("backend", told.backend), story.get("strategy", told.strategy)
    told.attempts, told.fallback_from = story.get("attempts", 1), story.get("fallback_from")
    told.corpus = story.get("corpus")
    told.cost_usd, told.cost_source = story.get("cost_usd", "0"), story.get("cost_source")
    told.usage = event.get("usage") or {}


async def ask_here(file: Path | None, query: Query) -> Told:
    """Answer in this process. Raises Failure when nobody can."""
    from equipoise.balancer import Hints, Unanswered
    from equipoise.core.model import Message, Question

    loaded = configuration(file)
    question = Question(messages=[Message(role="user", content=query.question)], stream=True)
    hints = Hints(model=query.model, strategy=query.strategy, deadline_seconds=query.seconds)
    async with estate_of(loaded).balancer as balancer:
        try:
            request, warning = balancer.request(question, hints)
            stream = await balancer.open(request)
            told = Told(query.question, warning=warning, request_id=request.id)
            async for piece in stream:
                told.text += piece
                query.on_piece(piece)
        except Unanswered as error:
            raise Failure(_why(error), PROBLEMS) from error
    return _of_reply(told, stream.reply)


def _why(error: Any) -> str:
    return "\n".join([str(error.message), *(f"  {name}: {why}" for name, why in error.reasons.items())])


def _of_reply(told: Told, reply: Any) -> Told:
    told.text = told.text or reply.text
    told.citations = [{"title": "", "url": None, "file": None, **msgspec.to_builtins(c)} for c in reply.citations]
    told.backend, told.model, told.strategy = reply.backend_id, reply.answer.model, reply.strategy
    told.corpus = reply.corpus
    told.reason, told.attempts, told.fallback_from = reply.reason, len(reply.attempts), reply.fallback_from
    told.cost_usd, told.cost_source = reply.cost_usd, reply.cost_source.value
    told.usage, told.seconds = msgspec.to_builtins(reply.usage), reply.duration
    return told

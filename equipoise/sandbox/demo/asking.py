"""The demo's client: asks one question over HTTP and keeps what it was told, above all what it cost."""

from __future__ import annotations

import enum
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec

from equipoise.http import ClientResponse, HTTPError, Pool, Timeouts
from equipoise.sandbox.demo.questions import DemoQuestion

CHAT = "/v1/chat/completions"
TIMEOUTS = Timeouts(connect=5.0, first_byte=20.0, between_bytes=10.0, total=25.0)


UNREADABLE = (HTTPError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What a torn connection or a body of another shape than promised may raise while it is read."""


class Fate(enum.Enum):
    """How a question ended for the one who asked."""

    ANSWERED = "answered"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Heard(msgspec.Struct, kw_only=True):
    """What the client was told about one question; times in seconds, money as exact dollars."""

    question: DemoQuestion
    fate: Fate = Fate.FAILED
    request_id: str = ""
    backend: str = ""
    strategy: str = ""
    attempts: int = 0
    fallback_from: str = ""
    text: str = ""
    citations: int = 0
    cost: Decimal | None = None
    error: str = ""
    seconds: float = 0.0


async def ask(pool: Pool, question: DemoQuestion) -> Heard:
    """Ask and listen to the end; never raises for what the gateway or the network does."""
    heard, began = Heard(question=question), time.perf_counter()
    try:
        await _exchange(pool, question, heard)
    except UNREADABLE as error:
        heard.fate, heard.error = Fate.FAILED, f"{type(error).__name__}: {error}"
    heard.seconds = time.perf_counter() - began
    return heard


async def _exchange(pool: Pool, question: DemoQuestion, heard: Heard) -> None:
    headers = [(b"content-type", b"application/json")]
    if question.strategy:
        headers.append((b"x-equipoise-strategy", question.strategy.encode()))
    body = json.dumps(question.body()).encode()
    response = await pool.request("POST", CHAT, headers=headers, body=body, timeouts=TIMEOUTS)
    _read_head(response, heard)
    if question.stream and response.status == 200:
        await _read_stream(response, heard)
    else:
        _read_whole(response.status, read_json(await response.read()), heard)


def _read_head(response: ClientResponse, heard: Heard) -> None:
    def field(name: str) -> str:
        return response.headers.get(name.encode(), b"").decode("latin-1")

    heard.request_id, heard.backend = field("x-request-id"), field("x-equipoise-backend")
    heard.strategy, heard.fallback_from = field("x-equipoise-strategy"), field("x-equipoise-fallback-from")
    heard.attempts = int(field("x-equipoise-attempts") or 0)
    cost = field("x-equipoise-cost-usd")
    heard.cost = Decimal(cost) if cost else None


def _read_whole(status: int, body: dict[str, Any], heard: Heard) -> None:
    if status != 200:
        heard.error = _told(body)
        return
    message = body["choices"][0]["message"]
    heard.text, heard.citations = message.get("content") or "", len(body.get("citations") or ())
    heard.fate = Fate.ANSWERED if heard.text else Fate.FAILED


async def _read_stream(response: ClientResponse, heard: Heard) -> None:
    """A stream is answered by its `[DONE]`, interrupted by an error event, and failed if it just ends."""
    async for data in events(response):
        if data == "[DONE]":
            heard.fate = heard.fate if heard.fate is Fate.INTERRUPTED else Fate.ANSWERED
            return
        _take_chunk(read_json(data.encode()), heard)
    heard.fate, heard.error = Fate.FAILED, "the stream ended without [DONE]"


def _take_chunk(chunk: dict[str, Any], heard: Heard) -> None:
    if "error" in chunk:
        heard.fate, heard.error = Fate.INTERRUPTED, _told(chunk)
        heard.cost = Decimal(chunk["cost_usd"])
        heard.attempts = int(chunk["attempts"])
        return
    heard.text += "".join(c["delta"].get("content") or "" for c in chunk.get("choices", ()))
    heard.citations = max(heard.citations, len(chunk.get("citations") or ()))
    usage = chunk.get("usage") or {}
    if "cost" in usage:
        heard.cost = Decimal(usage["cost"])
        heard.attempts = int(chunk.get("equipoise", {}).get("attempts", heard.attempts))


def _told(body: dict[str, Any]) -> str:
    error = body.get("error")
    return f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else str(body)


def read_json(data: bytes) -> Any:
    """JSON with money as it was written: no number passes through a float."""
    return json.loads(data, parse_float=Decimal)


async def events(response: ClientResponse) -> AsyncIterator[str]:
    """The data of each server-sent event."""
    rest = b""
    async for piece in response:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip().decode()

"""Upstreams that repeat whatever they are asked, in answers, sources and errors alike; the path says how they fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from equipoise.http import Abort, Request, Response, Server

JSON = ((b"content-type", b"application/json"),)
SSE = ((b"content-type", b"text/event-stream"),)
NDJSON = ((b"content-type", b"application/x-ndjson"),)
ANSWER, SOURCE, ERROR = "mulberry-answer", "mulberry-source", "mulberry-error"
"""What is in every answer, in every source, in every error, beside the question."""
ERRORS = {"error500": 500, "error400": 400, "error401": 401, "error402": 402, "error404": 404, "error429": 429}


def _message(code: int, text: str) -> bytes:
    said = {"message": f"Invalid: {ERROR} in {text!r}", "type": ERROR, "code": ERROR, "param": ERROR}
    return json.dumps({"error": said, "status": code}).encode()


class Parrot:
    """Listens on a port; `GET` anything is a good probe."""

    def __init__(self) -> None:
        self._server = Server(self._handle)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def start(self) -> None:
        await self._server.start("127.0.0.1", 0)

    async def stop(self) -> None:
        await self._server.drain(0)

    async def _handle(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(200, JSON, b'{"status": "healthy", "object": "list", "data": []}')
        kind, body = request.path.split("/")[1], json.loads(request.body)
        self.asked.append(kind)
        text = json.dumps(body)
        if kind in ERRORS:
            return Response(ERRORS[kind], JSON, _message(ERRORS[kind], text))
        if kind == "slow":
            await asyncio.sleep(0.6)
        if kind == "garbage":
            return Response(200, JSON, f"{ERROR} {text}".encode())
        if kind == "silent":
            return Response(200, JSON, json.dumps(_completion("")).encode())
        return _graph(kind, body, text) if "query" in body else _chat(kind, body, text)


def _completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    sources = [{"title": SOURCE, "url": f"https://example.org/{SOURCE}", "snippet": SOURCE}]
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage,
        "citations": [sources[0]["url"]], "search_results": sources,
    }  # fmt: skip


def _chat(kind: str, body: dict[str, Any], text: str) -> Response:
    words = f"{ANSWER} [1]: {text}"
    if not body.get("stream"):
        return Response(200, JSON, json.dumps(_completion(words)).encode())
    return Response(200, SSE, _events(kind, words))


async def _events(kind: str, words: str) -> AsyncIterator[bytes]:
    for word in words.split(" ")[:30]:
        delta = {"choices": [{"index": 0, "delta": {"content": word + " "}}]}
        yield (
            b"data: "
            + json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "m", **delta}).encode()
            + b"\n\n"
        )
    if kind == "cut":
        raise Abort
    if kind == "broken":
        yield b"data: {" + ERROR.encode() + b"\n\n"
    if kind == "complaining":
        yield b"data: " + _message(500, words) + b"\n\n"
    yield b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def _graph(kind: str, body: dict[str, Any], text: str) -> Response:
    found = (
        f"{ANSWER}: {text}"
        if kind != "empty"
        else f"Sorry, I'm not able to provide an answer to that question. [no-context] {ERROR}"
    )
    references = [{"reference_id": "1", "file_path": SOURCE, "content": [SOURCE]}]
    if kind == "cut":
        return Response(200, NDJSON, _lines(found))
    told = {"response": found, "references": references}
    return Response(200, NDJSON if body.get("stream") else JSON, json.dumps(told).encode() + b"\n")


async def _lines(found: str) -> AsyncIterator[bytes]:
    yield json.dumps({"response": found}).encode() + b"\n"
    raise Abort

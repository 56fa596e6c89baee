"""The rules behind OpenAI's chat API, streamed or not: `python -m equipoise.sandbox.real.rules_server PORT`.

In `demo --real` it serves LightRAG's extraction and keyword roles only. In the end-to-end tests it is the whole model;
`GET /seen` then tells which conversations it was sent, newest last.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from equipoise.http import Request, Response, Server
from equipoise.sandbox.real import scripted

MODEL = "rules"
REMEMBERED = 50
JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"content-type", b"text/event-stream")]


class RulesServer:
    """A scripted model: every reply follows from the prompt."""

    def __init__(self) -> None:
        self.seen: deque[list[dict[str, Any]]] = deque(maxlen=REMEMBERED)

    async def handle(self, request: Request) -> Response:
        """`GET /health`, `GET /seen`, `GET /v1/models`, `POST /v1/chat/completions`."""
        if request.method == "POST" and request.path == "/v1/chat/completions":
            return self.chat(json.loads(request.body))
        pages = {
            "/health": {"status": "ok"},
            "/seen": {"conversations": list(self.seen)},
            "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "rules"}]},
        }
        if request.method != "GET" or request.path not in pages:
            return Response(404, JSON, b'{"error": {"message": "not served here"}}')
        return Response(200, JSON, json.dumps(pages[request.path]).encode())

    def chat(self, body: dict[str, Any]) -> Response:
        """One chat completion."""
        messages = body["messages"]
        self.seen.append(messages)
        text = scripted.reply(messages)
        if body.get("stream"):
            return Response(200, EVENTS, events(text))
        words = sum(len(str(message.get("content") or "").split()) for message in messages)
        usage = {"prompt_tokens": words, "completion_tokens": len(text.split())}
        usage["total_tokens"] = sum(usage.values())
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {**head("chat.completion"), "choices": [choice], "usage": usage}
        return Response(200, JSON, json.dumps(whole).encode())


def head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-rules", "object": kind, "created": 0, "model": MODEL}


async def events(text: str) -> AsyncIterator[bytes]:
    """The text word by word as server-sent events, then `[DONE]`."""
    for piece in text.split(" "):
        yield event({"role": "assistant", "content": piece + " "}, None)
    yield event({}, "stop")
    yield b"data: [DONE]\n\n"


def event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({**head("chat.completion.chunk"), "choices": [choice]}).encode() + b"\n\n"


async def serve(port: int) -> None:
    """Serve on 127.0.0.1 until cancelled."""
    server = Server(RulesServer().handle)
    await server.start(port=port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

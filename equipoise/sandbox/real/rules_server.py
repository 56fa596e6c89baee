"""The model LightRAG talks to, in OpenAI's chat API: `python -m equipoise.sandbox.real.rules_server PORT [MODEL_PORT]`.

LightRAG's own purposes (entities, relations, keywords, summaries) are served by rules. A user's question is shortened
and passed on to the real model at MODEL_PORT; without one it is answered by quoting the passage that fits best, which
is quick and always alike, as tests want it. `GET /seen` tells which conversations came in, newest last.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from equipoise.http import HTTPError, Pool, Request, Response, Server, Timeouts
from equipoise.sandbox.real import scripted

MODEL = "rules"
REMEMBERED = 50
JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"content-type", b"text/event-stream")]
NOT_SERVED = Response(404, JSON, b'{"error": {"message": "not served here"}}')
PATIENCE = Timeouts(connect=5.0, first_byte=180.0, between_bytes=60.0, total=300.0)


class RulesServer:
    """Rules first; `model` is where the questions go that rules are not for."""

    def __init__(self, model: Pool | None = None) -> None:
        self.model = model
        self.seen: deque[list[dict[str, Any]]] = deque(maxlen=REMEMBERED)
        self.asked = 0

    async def handle(self, request: Request) -> Response:
        """`GET /health`, `GET /seen`, `GET /v1/models`, `POST /v1/chat/completions`."""
        if request.method == "POST" and request.path == "/v1/chat/completions":
            return await self.chat(json.loads(request.body))
        pages = {
            "/health": {"status": "ok"},
            "/seen": {"asked": self.asked, "conversations": list(self.seen)},
            "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "rules"}]},
        }
        if request.method != "GET" or request.path not in pages:
            return NOT_SERVED
        return Response(200, JSON, json.dumps(pages[request.path]).encode())

    async def chat(self, body: dict[str, Any]) -> Response:
        """One chat completion, by a rule, by the model, or by quotation."""
        messages = body["messages"]
        self.seen.append(messages)
        self.asked += 1
        text = scripted.reply(messages)
        if text is None and self.model is not None:
            return await relayed(self.model, {**body, "messages": scripted.shortened(messages)})
        text = scripted.quotation(messages) if text is None else text
        if body.get("stream"):
            return Response(200, EVENTS, events(text))
        return Response(200, JSON, json.dumps(completion(text, messages)).encode())


async def relayed(model: Pool, body: dict[str, Any]) -> Response:
    """The model's own answer, byte for byte as it comes; 502 if the model cannot be reached."""
    try:
        answer = await model.request(
            "POST", "/v1/chat/completions", headers=JSON, body=json.dumps(body).encode(), timeouts=PATIENCE
        )
    except HTTPError as error:
        return Response(502, JSON, json.dumps({"error": {"message": str(error)}}).encode())
    return Response(
        answer.status, [(b"content-type", answer.headers.get(b"content-type", b"text/plain"))], aiter(answer)
    )


def completion(text: str, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A whole chat completion; its usage counts words."""
    words = sum(len(str(message.get("content") or "").split()) for message in messages)
    usage = {"prompt_tokens": words, "completion_tokens": len(text.split())}
    usage["total_tokens"] = sum(usage.values())
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {**head("chat.completion"), "choices": [choice], "usage": usage}


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


async def serve(port: int, model_port: int | None) -> None:
    """Serve on 127.0.0.1 until cancelled."""
    model = None if model_port is None else Pool(f"http://127.0.0.1:{model_port}")
    server = Server(RulesServer(model).handle)
    await server.start(port=port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))

"""A cheap OpenAI-compatible backend, for measuring who stands before it: `python -m bench.chaos.backend PORT`.

It waits as a backend would and costs next to nothing: 20 ms to the first byte, streams of 20 events over 0.4 s.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvloop

from equipoise.http import Request, Response, Server

FIRST, BETWEEN, EVENTS = 0.02, 0.02, 20
JSON = ((b"content-type", b"application/json"),)
SSE = ((b"content-type", b"text/event-stream"),)
TEXT = "Clinical metabolomics measures small molecules in patients' samples. " * 8


def _chunk(delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = {"prompt_tokens": 12, "completion_tokens": 140, "total_tokens": 152}
WHOLE = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
PIECE, LAST = _chunk({"content": TEXT[:28]}), _chunk({}, finish_reason="stop", usage=USAGE) + b"data: [DONE]\n\n"
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()


probes = 0


async def handle(request: Request) -> Response:
    """One request; anything that is no question is a probe and answered at once. `GET /__stats` counts them."""
    global probes
    if request.path == "/__stats":
        return Response(200, JSON, json.dumps({"probes": probes}).encode())
    if request.method != "POST":
        probes += 1
        return Response(200, JSON, MODELS)
    await asyncio.sleep(FIRST)
    if b'"stream": true' in request.body or b'"stream":true' in request.body:
        return Response(200, SSE, _streamed())
    return Response(200, JSON, WHOLE)


async def _streamed() -> AsyncIterator[bytes]:
    for _ in range(EVENTS):
        yield PIECE
        await asyncio.sleep(BETWEEN)
    yield LAST


async def main(port: int) -> None:
    """Serve until killed."""
    server = Server(handle)
    await server.start("127.0.0.1", port)
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

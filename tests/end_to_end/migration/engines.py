"""The two sides as one process: an old router of ours behind HTTP, and a sandbox engine that answers at once.

It prints one line of JSON with their addresses, takes lines of JSON as faults of the new side, and ends with its standard
input.
"""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from equipoise.http import Request, Response, Server
from equipoise.sandbox import SandboxBackend, seeded
from equipoise.sandbox.faults import Faults

JSON = ((b"content-type", b"application/json"),)


async def old_router(request: Request) -> Response:
    """What an application had before: a question in, a decision and an answer out."""
    if request.method != "POST":
        return Response(200, JSON, b'{"alive": true}')
    text = json.loads(request.body)["query"]
    answer = {"response": f"The old router on: {text}", "routing_decision": "lightrag", "confidence": 0.8}
    return Response(200, JSON, json.dumps(answer).encode())


async def run() -> None:
    """Serve both until nobody holds the other end of standard input."""
    profile = next(profile for profile in seeded(1) if profile.name == "general_llm")
    new = SandboxBackend(msgspec.structs.replace(profile, first_token=0.0, per_token=0.0))
    old = Server(old_router)
    await new.start()
    await old.start()
    sys.stdout.write(json.dumps({"old": f"http://127.0.0.1:{old.port}/ask", "new": f"{new.url}/v1"}) + "\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        new.set_faults(Faults().merged(json.loads(line)))
    await new.stop()
    await old.drain(0)


if __name__ == "__main__":
    asyncio.run(run())

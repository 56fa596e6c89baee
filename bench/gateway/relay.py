"""What the gateway itself costs a request: everything between the HTTP server and the balancer, in microseconds.

    python -m bench.gateway.relay [--seconds 2]

The balancer is replaced by one that answers at once with bytes to relay; its own share is measured and taken off.
Each figure is the best of five rounds, for the noise of a shared machine only adds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

from equipoise.backends.base import Finished, Relayed, TextDelta
from equipoise.core.intake import NO_HINTS, Hints
from equipoise.core.model import Answer, Question, Request, Usage
from equipoise.gateway import ClientKeys, Gateway
from equipoise.http import Request as HTTPRequest
from equipoise.http import Response
from tests.shell.gateway.scripted import CITED, ScriptedBalancer, ScriptedStream, reply_of

ROUNDS = 5
QUESTION = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "You are a careful assistant."},
        {"role": "user", "content": "What is the role of carnitine in clinical metabolomics? " * 4},
    ],
    "temperature": 0.2,
    "max_tokens": 300,
}
RAW = json.dumps({"id": "c", "choices": [{"message": {"content": "x" * 1_500}}], "usage": {}}).encode()
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'


class Instant(ScriptedBalancer):
    """Answers with a prepared reply and forgets what it was asked."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._reply = reply_of(answer)

    def request(self, question: Question, hints: Hints = NO_HINTS) -> tuple[Request, str | None]:
        return Request(id=hints.request_id or "none", question=question, tenant=hints.tenant), None

    async def answer(self, request: Request) -> Any:
        return self._reply

    async def open(self, request: Request) -> ScriptedStream:
        return ScriptedStream(request.id, self.stream_with)

    def tell(self, event: object) -> None:
        pass


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waited")


def microseconds(action: Callable[[], object], seconds: float) -> float:
    """The mean of the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        count, end = 0, time.perf_counter() + seconds / ROUNDS
        begin = time.perf_counter()
        while time.perf_counter() < end:
            for _ in range(100):
                action()
            count += 100
        best = min(best, (time.perf_counter() - begin) / count)
    return best * 1e6


def gateway_of(balancer: Instant, keys: ClientKeys | None = None) -> Gateway:
    async def story(request_id: str) -> None:
        return None

    return Gateway(balancer, story=story, metrics=lambda: b"", ready=dict, keys=keys)  # type: ignore[arg-type]


def asking(path: str, body: dict[str, Any], **headers: str) -> HTTPRequest:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    fields |= {b"host": b"127.0.0.1:4000", b"content-type": b"application/json", b"user-agent": b"bench"}
    return HTTPRequest("POST", path, "", fields, json.dumps(body).encode(), "127.0.0.1", "http")


def whole_answers(seconds: float) -> None:
    """Non-streamed questions through the whole gateway."""
    raw = Instant(Answer(raw=RAW, usage=Usage(90, 300), model="gpt-4o-mini"))
    sized = raw.request(Question(messages=[]), Hints(request_id="x"))[0]
    stub = microseconds(lambda: (raw.request(sized.question, NO_HINTS), run(raw.answer(sized))), seconds)
    print(f"{'stand-in for the balancer (taken off below)':50} {stub:6.2f} us")
    plain, cited = gateway_of(raw), gateway_of(Instant(CITED))
    keyed = gateway_of(raw, ClientKeys.of(["sk-bench"]))
    chat = "/v1/chat/completions"
    cases = (
        ("OpenAI to OpenAI, relayed", plain, asking(chat, QUESTION)),
        ("  with a client key", keyed, asking(chat, QUESTION, authorization="Bearer sk-bench")),
        ("  with three hints", plain, asking(chat, QUESTION, x_equipoise_tags="a,b", x_equipoise_deadline_ms="900")),
        ("LightRAG's answer as a chat completion", cited, asking(chat, QUESTION)),
        ("a Responses body and answer", cited, asking("/v1/responses", {"input": "What is carnitine?"})),
        ("a LightRAG query and answer", cited, asking("/query", {"query": "What is carnitine?", "mode": "mix"})),
    )
    for name, gateway, request in cases:
        response: Response = run(gateway.handle(request))
        assert response.status == 200, response.body
        print(f"{name:50} {microseconds(lambda g=gateway, r=request: run(g.handle(r)), seconds) - stub:6.2f} us")  # type: ignore[misc]


def streamed_chunks(seconds: float) -> None:
    """The cost of one more chunk in a stream."""
    for name, item in (("a relayed chunk", Relayed(CHUNK)), ("a piece of text made a chunk", TextDelta("word "))):
        figures = []
        for pieces in (0, 200):
            balancer = Instant(CITED)
            balancer.stream_with = [*[item] * pieces, Finished(CITED)]
            gateway, request = gateway_of(balancer), asking("/v1/chat/completions", QUESTION | {"stream": True})
            figures.append(microseconds(lambda g=gateway, r=request: run(drained(g, r)), seconds))  # type: ignore[misc]
        print(f"{name:50} {(figures[1] - figures[0]) / 200:6.2f} us")


async def drained(gateway: Gateway, request: HTTPRequest) -> int:
    """All of a streamed answer."""
    response = await gateway.handle(request)
    size = 0
    async for piece in response.body:  # type: ignore[union-attr]
        size += len(piece)
    return size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The gateway's own microseconds.")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    chosen = parser.parse_args().seconds
    whole_answers(chosen)
    streamed_chunks(chosen)

"""A balancer that answers from a script, with the real one's methods and types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from equipoise.backends.base import Finished, StreamItem
from equipoise.core.attempts import Attempted, Unanswered
from equipoise.core.events import RequestEnded
from equipoise.core.inner import Graphs
from equipoise.core.intake import Hints
from equipoise.core.model import Answer, BackendType, Citation, CostSource, Decision, Question, Request, Usage, Verdict
from equipoise.gateway import ClientKeys, Gateway
from equipoise.http import Request as HTTPRequest
from equipoise.http import Response
from equipoise.reply import Reply

DECISION = Decision(
    backend_id="graph-a",
    strategy="cost_optimized",
    route="auto",
    reason="lowest expected cost",
    probability=1.0,
    compared={"graph-a": 1.0, "web-b": 2.0},
    probabilities={},
    excluded={"llm-c": "open"},
    candidates=(),
)
CITED = Answer(
    text="Water boils at 100 °C [1], less on mountains [2].",
    citations=[
        Citation(1, title="Steam", url="https://example.org/steam", snippet="It boils.", date="2026-01-02"),
        Citation(2, title="Heights", file="heights.txt"),
    ],
    usage=Usage(input_tokens=12, output_tokens=9, cached_tokens=4, reasoning_tokens=2, searches=1),
    model="sonar",
)


def reply_of(answer: Answer, request_id: str = "req-1", cost: int = 1_234_567, **changes: Any) -> Reply:
    """A reply around an answer, from one attempt."""
    attempt = Attempted("graph-a", Verdict.SUCCESS, cost, 0.5, None, CostSource.METERED)
    fields: dict[str, Any] = {
        "request_id": request_id,
        "answer": answer,
        "decision": DECISION,
        "backend_type": BackendType.LIGHTRAG,
        "attempts": (attempt,),
        "cost": cost,
        "cost_source": CostSource.METERED,
        "duration": 0.5,
        "overhead": 0.0,
    }
    return Reply(**(fields | changes))


class ScriptedStream:
    """A stream of given items; an exception among them is raised in its turn."""

    def __init__(self, request_id: str, script: list[StreamItem | Exception]) -> None:
        self.request_id, self._script = request_id, script
        self.decision, self.backend_id, self.model = DECISION, DECISION.backend_id, "graph-model"
        self.strategy, self.reason, self.fallback_from = DECISION.strategy, DECISION.reason, None
        self.corpus: str | None = None
        self.role = "answer"
        self.attempts: tuple[Attempted, ...] = ()
        self.reply: Reply | None = None
        self.closed = 0

    async def items(self) -> AsyncIterator[StreamItem]:
        for item in self._script:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Finished):
                self.reply = reply_of(item.answer, self.request_id)
            yield item

    async def aclose(self) -> None:
        self.closed += 1


class ScriptedBalancer:
    """Gives the same answer, stream or error to every question, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer_with: Answer | Exception = CITED
        self.stream_with: list[StreamItem | Exception] = []
        self.warning: str | None = None
        self.asked: list[Request] = []
        self.hints: list[Hints] = []
        self.streams: list[ScriptedStream] = []
        self.commands: list[tuple[str, str]] = []
        self.in_flight = 0
        self.events: list[RequestEnded] = []
        self.scorer: Any = None
        self.learning: Any = None
        nobody = SimpleNamespace(backends=(), fallback=())
        self.selection = SimpleNamespace(graphs=Graphs({}), routes={"auto": nobody}, backends={})

    def request(self, question: Question, hints: Hints) -> tuple[Request, str | None]:
        if hints.strategy == "astrology":
            raise Unanswered("invalid_request_error", "unknown strategy 'astrology'")
        self.hints.append(hints)
        return Request(id=hints.request_id or "none", question=question, tenant=hints.tenant), self.warning

    async def answer(self, request: Request) -> Reply:
        self.asked.append(request)
        if isinstance(self.answer_with, Exception):
            raise self.answer_with
        return reply_of(self.answer_with, request.id)

    async def open(self, request: Request) -> ScriptedStream:
        self.asked.append(request)
        if isinstance(self.answer_with, Unanswered):
            raise self.answer_with
        stream = ScriptedStream(request.id, self.stream_with)
        self.streams.append(stream)
        return stream

    def models(self) -> list[str]:
        return ["auto", "graph-a", "provider/model"]

    def status(self) -> dict[str, Any]:
        return {"in_flight": 0, "backends": [{"id": "graph-a", "draining": False}]}

    def drain(self, backend_id: str) -> None:
        self._command("drain", backend_id)

    def resume(self, backend_id: str) -> None:
        self._command("resume", backend_id)

    def set_weight(self, backend_id: str, weight: float) -> None:
        if weight < 0:
            raise ValueError("a weight is not negative")
        self._command(f"weight {weight:g}", backend_id)

    def _command(self, verb: str, backend_id: str) -> None:
        if backend_id != "graph-a":
            raise KeyError(backend_id)
        self.commands.append((verb, backend_id))

    def tell(self, event: RequestEnded) -> None:
        self.events.append(event)


STORY = [
    {
        "tenant": "default",
        "backend_id": "graph-a",
        "question_hash": "abc",
        "strategy": "cost_optimized",
        "decision": {"reason": "cheap", "compared": {"graph-a": 1.0}},
        "verdict": "success",
        "cost": 1_000,
    }
]


def gateway_of(balancer: Any, keys: ClientKeys | None = None, **options: Any) -> Gateway:
    """A gateway around a balancer, with a story for `known` and all checks fine."""

    async def story(request_id: str) -> list[dict[str, Any]] | None:
        return STORY if request_id == "known" else None

    defaults: dict[str, Any] = {"story": story, "metrics": lambda: b"up 1\n", "ready": lambda: {"ledger": "ok"}}
    return Gateway(balancer, keys=keys, **(defaults | options))


def http(method: str, path: str, body: bytes = b"", query: str = "", **headers: str) -> HTTPRequest:
    """An HTTP request; `x_request_id="1"` is the header `x-request-id`."""
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return HTTPRequest(method, path, query, {b"host": b"127.0.0.1:4001", **fields}, body, "127.0.0.1", "http")


def fields_of(response: Response) -> dict[bytes, bytes]:
    """The headers of a response by name."""
    return dict(response.headers)


async def whole(response: Response) -> bytes:
    """All of a body, streamed or not."""
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])

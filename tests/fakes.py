"""A clock that is told the time, backends that do as they are scripted, and a whole balancer made of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from equipoise.backends.base import BackendError, Finished, ProbeResult, StreamItem, TextDelta
from equipoise.balancer import LoadBalancer
from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerOptions
from equipoise.core.events import AttemptEnded, Event
from equipoise.core.features import classify
from equipoise.core.intake import Intake
from equipoise.core.model import Answer, BackendType, Message, Question, Request, Usage
from equipoise.core.policies import make_policy
from equipoise.core.pricing import Price
from equipoise.core.retry import RetryOptions
from equipoise.core.routing import Route, Router
from equipoise.core.selection import Selection


class FakeClock:
    """Time stands still until somebody moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_790_000_000.0 + self.now


def price(dollars_per_million: float) -> Price:
    rate = int(dollars_per_million * 1_000_000_000)
    return Price(input=rate, output=rate)


def backend(name: str, clock: FakeClock | None = None, **options: Any) -> Backend:
    options.setdefault("price", price(1.0))
    options.setdefault("breaker", BreakerOptions())
    options.setdefault("type", BackendType.LOCAL_LLM)
    now = clock.monotonic() if clock else 0.0
    return Backend(BackendOptions(id=name, **options), random.Random(name), now)


def selection(
    backends: Sequence[Backend],
    strategy: str = "round_robin",
    *,
    clock: FakeClock | None = None,
    fallback: tuple[tuple[str, ...], ...] = (),
    own: tuple[str, ...] | None = None,
    seed: int = 7,
    region: str | None = None,
    panic: bool = True,
    **of_route: Any,
) -> Selection:
    names = own or tuple(b.id for b in backends if not any(b.id in step for step in fallback))
    route = Route(name="auto", backends=names, strategy=strategy, fallback=fallback, **of_route)
    chance = random.Random(seed)
    return Selection(
        backends,
        {"auto": route},
        lambda route, name: make_policy(name, chance=chance, options=route.options_of(name)),
        clock=clock or FakeClock(),
        chance=chance,
        region=region,
        panic=panic,
    )


def request(text: str = "What is a metabolite?", **fields: Any) -> Request:
    fields.setdefault("id", "req-1")
    fields.setdefault("input_tokens", 10)
    return Request(question=Question(messages=[Message("user", text)]), **fields)


Step = Answer | BackendError | Exception | Callable[[Request], Answer]


class ScriptedClient:
    """Does the next step of its script at each call; the last one again and again."""

    def __init__(self, *script: Step, pieces: Sequence[str] = ("a ", "b"), cut: BackendError | None = None) -> None:
        self.script, self.pieces, self.cut = list(script), pieces, cut
        self.asked: list[Request] = []
        self.timeouts: list[float] = []
        self.closed_streams = 0

    def _next(self, request: Request, timeout: float) -> Answer:
        self.asked.append(request)
        self.timeouts.append(timeout)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        return step(request) if callable(step) else step

    async def send(self, request: Request, timeout: float) -> Answer:
        return self._next(request, timeout)

    async def stream(self, request: Request, timeout: float) -> AsyncIterator[StreamItem]:
        answer = self._next(request, timeout)
        try:
            for piece in self.pieces:
                yield TextDelta(piece)
            if self.cut is not None:
                raise self.cut
            yield Finished(answer)
        finally:
            self.closed_streams += 1

    async def probe(self) -> ProbeResult:
        return ProbeResult(healthy=True, seconds=0.001)

    async def close(self) -> None:
        return None


def answer(text: str = "a b", **fields: Any) -> Answer:
    fields.setdefault("usage", Usage(input_tokens=10, output_tokens=20))
    return Answer(text=text, **fields)


def balancer(
    clients: dict[str, ScriptedClient],
    *,
    clock: FakeClock | None = None,
    strategy: str = "round_robin",
    retry: RetryOptions | None = None,
    options: dict[str, dict[str, Any]] | None = None,
    **routing: Any,
) -> tuple[LoadBalancer, list[Event]]:
    clock = clock or FakeClock()
    backends = [backend(name, clock, **(options or {}).get(name, {})) for name in clients]
    chosen = selection(backends, strategy, clock=clock, **routing)
    router = Router(chosen.routes, tuple(chosen.backends))
    chance = random.Random(3)
    intake = Intake(router, classify, clock=clock, chance=chance)
    it = LoadBalancer(chosen, clients, intake, chance=chance, retry=retry or RetryOptions(backoff_base=0.0))
    events: list[Event] = []
    it.observers.append(events.append)
    return it, events


def attempts_of(events: list[Event]) -> list[Any]:
    return [event.attempt for event in events if isinstance(event, AttemptEnded)]

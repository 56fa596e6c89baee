"""A world for stories: the real balancer before modelled engines, in virtual time, and what must hold in all of them."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from equipoise.backends.base import BackendError, Finished, ProbeResult, StreamItem, TextDelta
from equipoise.balancer import LoadBalancer, Unanswered
from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerState
from equipoise.core.events import AttemptBegan, AttemptEnded, BackendChanged, Event
from equipoise.core.features import classify
from equipoise.core.intake import Intake
from equipoise.core.model import Answer, BackendType, Message, Question, Request, Urgency, Usage, Verdict
from equipoise.core.policies import make_policy
from equipoise.core.pricing import Price
from equipoise.core.retry import RetryOptions
from equipoise.core.routing import HedgeOptions, Route, Router
from equipoise.core.selection import Selection
from equipoise.waiting import WaitingOptions
from tests.simulation.virtual_time import JumpingLoop, LoopClock, jumping

HEAD = 0.2
"""Seconds to the first token of an engine that is well."""
QUESTION = Question(messages=[Message("user", "What is a metabolite?")])
RETRY = RetryOptions(max_attempts=3)
STREAMED = Question(messages=[Message("user", "What is a metabolite?")], stream=True)


@dataclass
class Engine:
    """A modelled engine: seconds of an answer by its tokens, and a trouble that can be switched.

    `trouble` is one of "", refuse, error, throttle, hang, cut, silent; `slow` multiplies its times. `tokens` are drawn anew
    for each answer; a share `flaky` of attempts fails, a share `stalls` waits eight seconds before it begins.
    """

    clock: LoopClock
    chance: random.Random
    rate: float = 100.0
    slow: float = 1.0
    trouble: str = ""
    flaky: float = 0.0
    stalls: float = 0.0
    in_flight: int = 0
    most: int = 0
    asked: int = 0
    asked_at: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)

    async def send(self, request: Request, timeout: float) -> Answer:
        tokens = await self._begin(timeout)
        try:
            await self._work(HEAD + tokens / self.rate, timeout)
            self.answered_at.append(self.clock.monotonic())
            return self._answer(tokens)
        finally:
            self.in_flight -= 1

    async def stream(self, request: Request, timeout: float) -> AsyncIterator[StreamItem]:
        tokens = await self._begin(timeout)
        try:
            await self._work(HEAD, timeout)
            for _ in range(4):
                yield TextDelta("a ")
                await self._work(tokens / self.rate / 4, timeout)
                if self.trouble == "cut":
                    raise BackendError(Verdict.FAILURE, "the connection was reset")
            self.answered_at.append(self.clock.monotonic())
        finally:
            self.in_flight -= 1
        yield Finished(self._answer(tokens))

    async def probe(self) -> ProbeResult:
        return ProbeResult(healthy=self.trouble not in ("refuse", "hang"), seconds=0.01)

    async def close(self) -> None:
        return None

    async def _begin(self, timeout: float) -> int:
        if self.trouble == "refuse":
            raise BackendError(Verdict.FAILURE, "connection refused", sent=False)
        self.asked += 1
        self.asked_at.append(self.clock.monotonic())
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await self._trouble(timeout)
        except BaseException:
            self.in_flight -= 1
            raise
        return max(1, int(self.chance.expovariate(1 / 60)))

    async def _trouble(self, timeout: float) -> None:
        if self.chance.random() < self.stalls:
            await self._work(8.0, timeout)
        if self.trouble == "hang":
            await self._work(1e6, timeout)
        if self.trouble == "error" or self.chance.random() < self.flaky:
            await asyncio.sleep(0.02)
            raise BackendError(Verdict.FAILURE, "overloaded", status=503)
        if self.trouble == "throttle":
            await asyncio.sleep(0.02)
            raise BackendError(Verdict.THROTTLED, "slow down", status=429, retry_after=2.0)
        if self.trouble == "silent":
            await asyncio.sleep(0.5)
            raise BackendError(Verdict.NO_ANSWER, "found nothing", status=200, code="no_answer")

    async def _work(self, seconds: float, timeout: float) -> None:
        seconds *= self.slow * self.chance.lognormvariate(0.0, 0.2)
        await asyncio.sleep(min(seconds, timeout))
        if seconds > timeout:
            raise BackendError(Verdict.FAILURE, "no answer in time", code="upstream_timeout")

    def _answer(self, tokens: int) -> Answer:
        return Answer(text="a", usage=Usage(input_tokens=20, output_tokens=tokens))


def most_in_a_minute(times: Sequence[float]) -> int:
    """The most of these times that lie within any 60 seconds."""
    most = oldest = 0
    for index, now in enumerate(times):
        while times[oldest] <= now - 60.0:
            oldest += 1
        most = max(most, index - oldest + 1)
    return most


@dataclass
class Told:
    """What became of the questions, second by second."""

    answered: int = 0
    gone: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    failed_at: list[float] = field(default_factory=list)
    late_codes: Counter[str] = field(default_factory=Counter)
    """Of those that failed after `World.well_again`."""
    durations: list[float] = field(default_factory=list)
    roles: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        return self.answered + self.gone + sum(self.codes.values())


class World:
    """Engines, the balancer before them, and the questions."""

    def __init__(
        self,
        names: str = "abc",
        *,
        seed: int = 1,
        strategy: str = "health_aware",
        options: dict[str, dict[str, Any]] | None = None,
        hedge: HedgeOptions | None = None,
        waiting: WaitingOptions = WaitingOptions(),
        region: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.loop = JumpingLoop()
        self.clock, self.chance = LoopClock(self.loop), random.Random(seed)
        self.engines = {name: Engine(self.clock, random.Random(f"{seed}{name}")) for name in names}
        self.events: list[Event] = []
        self.told, self.count = Told(), 0
        self.well_again = math.inf
        self._tasks = set[asyncio.Task[None]]()
        backends = [self._backend(name, (options or {}).get(name, {})) for name in names]
        route = Route(name="auto", backends=tuple(names), strategy=strategy, timeout=timeout, hedge=hedge)
        self.selection = Selection(
            backends,
            {"auto": route},
            lambda route, name: make_policy(name, chance=self.chance, options=route.options_of(name)),
            clock=self.clock,
            chance=self.chance,
            region=region,
        )
        self.selection.observers.append(self._observe)
        router = Router(self.selection.routes, tuple(names))
        intake = Intake(router, classify, clock=self.clock, chance=self.chance)
        self.balancer = LoadBalancer(
            self.selection,
            self.engines,
            intake,
            chance=self.chance,
            retry=RETRY,
            waiting=waiting,
        )

    def _backend(self, name: str, options: dict[str, Any]) -> Backend:
        of = {"timeout": 10.0, "price": Price(input=10**9, output=10**9), **options}
        return Backend(BackendOptions(id=name, type=BackendType.LOCAL_LLM, **of), random.Random(name), 0.0)

    def run(
        self,
        per_second: float,
        seconds: float,
        *plot: tuple[float, Callable[[], None]],
        streams: float = 0.2,
        leaving: float = 0.0,
        batch: float = 0.0,
        tenants: tuple[str, ...] = ("default",),
    ) -> Told:
        """Questions at a rate, while the plot happens at its times; returns when the last one has ended."""

        async def story() -> None:
            for when, what in plot:
                self.loop.call_at(self.loop.now + when, what)
            end = self.loop.now + seconds
            while self.loop.now < end:
                await asyncio.sleep(self.chance.expovariate(per_second))
                ask = self._stream if self.chance.random() < streams else self._answer
                urgency = Urgency.BATCH if self.chance.random() < batch else Urgency.INTERACTIVE
                task = self._begin(ask, self.chance.choice(tenants), urgency)
                if self.chance.random() < leaving:
                    self.loop.call_later(self.chance.uniform(0.0, 1.5), task.cancel)
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self.loop.run_until_complete(story())
        return self.told

    def herd(self, count: int) -> None:
        """So many questions at this very instant."""
        for _ in range(count):
            self._begin(self._answer, "default", Urgency.INTERACTIVE)

    def _begin(
        self, ask: Callable[[Request], Coroutine[Any, Any, None]], tenant: str, urgency: Urgency
    ) -> asyncio.Task[None]:
        task = self.loop.create_task(self._one(ask, tenant, urgency))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        """End the loop; everything must be settled by then."""
        jumping(asyncio.sleep(0), self.loop)
        self.hold()

    def hold(self) -> None:
        """What must be true of every story, whatever happened in it."""
        for backend in self.selection.backends.values():
            assert backend.load.in_flight == 0, "every lease is settled once"
            if backend.options.max_concurrent:
                assert self.engines[backend.id].most <= backend.options.max_concurrent
            if backend.breaker.state is BreakerState.HALF_OPEN:
                assert backend.breaker._probes == 0
            if backend.options.per_minute:
                assert most_in_a_minute(self.engines[backend.id].asked_at) <= backend.options.per_minute
        assert self.balancer.in_flight == self.balancer.room.waiting == 0
        assert self.told.asked == self.count
        assert all(engine.in_flight == 0 for engine in self.engines.values())
        begun, ended = (Counter(self._requests(kind)) for kind in (AttemptBegan, AttemptEnded))
        assert begun == ended, "every attempt that began has one end"
        self._bounded()

    def _bounded(self) -> None:
        """No question is asked more often than allowed, nor all together: an empty reply is outside the budget."""
        extra = Counter(
            a.request_id for a in self.attempts if a.outcome.sent and a.outcome.verdict is not Verdict.NO_ANSWER
        )
        assert all(count <= RETRY.max_attempts for count in extra.values())
        granted = RETRY.share * self.count + RETRY.floor_per_second * self.loop.now + RETRY.burst
        assert sum(extra.values()) - len(extra) <= granted

    def _requests(self, kind: type[AttemptBegan] | type[AttemptEnded]) -> list[str]:
        events = (event for event in self.events if isinstance(event, kind))
        return [e.request_id if isinstance(e, AttemptBegan) else e.attempt.request_id for e in events]

    def _observe(self, event: Event) -> None:
        """Note it; at no instant may a breaker have more probes under way than it is to have."""
        self.events.append(event)
        for backend in self.selection.backends.values():
            assert 0 <= backend.breaker._probes <= backend.breaker.options.half_open_probes

    @property
    def attempts(self) -> list[Any]:
        return [event.attempt for event in self.events if isinstance(event, AttemptEnded)]

    @property
    def trips(self) -> Counter[str]:
        return Counter(e.backend_id for e in self.events if isinstance(e, BackendChanged) and e.state == "open")

    def sent(self) -> int:
        """Attempts that an engine saw."""
        return sum(engine.asked for engine in self.engines.values())

    def shares(self, since: float) -> dict[str, float]:
        """Who answered how much of all since then."""
        counts = {name: sum(at >= since for at in engine.answered_at) for name, engine in self.engines.items()}
        return {name: count / max(1, sum(counts.values())) for name, count in counts.items()}

    async def _one(self, ask: Callable[[Request], Coroutine[Any, Any, None]], tenant: str, urgency: Urgency) -> None:
        self.count += 1
        request, _ = self.balancer.request(STREAMED if ask == self._stream else QUESTION)
        request = _with(request, tenant, urgency)
        began = self.loop.now
        try:
            await ask(request)
        except Unanswered as error:
            self.told.codes[error.code] += 1
            if self.loop.now > self.well_again:
                self.told.late_codes[error.code] += 1
            self.told.failed_at.append(self.loop.now)
        except asyncio.CancelledError:
            self.told.gone += 1
        else:
            self.told.answered += 1
            self.told.durations.append(self.loop.now - began)
            self.told.roles[f"{tenant} {urgency.value}"] += 1

    async def _answer(self, request: Request) -> None:
        await self.balancer.answer(request)

    async def _stream(self, request: Request) -> None:
        stream = await self.balancer.open(request)
        try:
            async for _ in stream.items():
                pass
        finally:
            await stream.aclose()


def _with(request: Request, tenant: str, urgency: Urgency) -> Request:
    from msgspec.structs import replace

    return replace(request, tenant=tenant, urgency=urgency)

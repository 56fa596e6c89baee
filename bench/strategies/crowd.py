"""A crowd of questions against modelled backends in virtual time: the real selection, no waiting."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerOptions
from equipoise.core.model import BackendType, NoBackendAvailable, Outcome, Question, Request, Usage, Verdict
from equipoise.core.policies import PolicyMaker, make_policy
from equipoise.core.pricing import Price
from equipoise.core.routing import Route
from equipoise.core.selection import Lease, Selection

FIRST_TOKEN = 0.3
NOTHING = Question(messages=[])


@dataclass
class Arrival:
    """A question: when it comes (seconds) and how long its answer is (tokens)."""

    at: float
    tokens: int


def arrivals(count: int, per_second: float, seed: int, mean_tokens: float = 210.0) -> list[Arrival]:
    """A Poisson process of questions with log-normal lengths of answer."""
    chance, now, made = Random(seed), 0.0, []
    centre = math.log(mean_tokens) - 0.5 * 0.8**2
    for _ in range(count):
        now += chance.expovariate(per_second)
        made.append(Arrival(now, max(1, min(2000, int(chance.lognormvariate(centre, 0.8))))))
    return made


@dataclass
class Server:
    """An LLM server: so many slots that each write so many tokens a second, a queue behind them."""

    rate: float
    slots: int = 16
    fails_in: float | None = None
    price: int = 0
    quality: float = 1.0
    busy: int = 0
    queue: deque[tuple[Lease, Arrival]] = field(default_factory=deque)

    def seconds(self, tokens: int) -> float:
        """How long a slot is taken by one answer."""
        return FIRST_TOKEN + tokens / self.rate


@dataclass
class Story:
    """What became of the crowd: seconds of each answer, failed attempts, attempts a backend."""

    durations: list[float] = field(default_factory=list)
    failures: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    cost: int = 0
    most_in_flight: dict[str, int] = field(default_factory=dict)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        return sorted(self.durations)[int(share * len(self.durations))]

    def failed_share(self) -> float:
        """Failed attempts (and questions that nobody could take) among all."""
        return self.failures / (self.failures + len(self.durations))


class Crowd:
    """Virtual time: a heap of what happens next."""

    def __init__(
        self,
        strategy: str | PolicyMaker,
        servers: dict[str, Server],
        *,
        breaker: bool = False,
        seed: int = 1,
        min_quality: float = 0.0,
    ) -> None:
        chance = Random(seed)
        self.now, self.servers, self.story = 0.0, servers, Story()
        self._request = Request(id="r", question=NOTHING, input_tokens=500, min_quality=min_quality)
        self._held_back = deque[Arrival]()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        backends = [_backend(name, server, breaker, chance) for name, server in servers.items()]
        routes = {"auto": Route(name="auto", backends=tuple(servers), strategy="this")}
        self._selection = Selection(
            backends, routes, lambda route, name: make_policy(strategy, chance=chance), clock=self, chance=chance
        )

    def monotonic(self) -> float:
        """The clock of this world."""
        return self.now

    def wall(self) -> float:
        """The same, for calendars."""
        return self.now

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen then."""
        self._count += 1
        heapq.heappush(self._events, (when, self._count, what))

    def limits(self) -> dict[str, float]:
        """What was learned of how much each server takes at once."""
        return {name: backend.limit.value for name, backend in self._selection.backends.items()}

    def run(self, crowd: Sequence[Arrival]) -> Story:
        """Let all come and go."""
        for arrival in crowd:
            self.at(arrival.at, partial(self._come, arrival))
        while self._events:
            self.now, _, what = heapq.heappop(self._events)
            what()
        return self.story

    def _come(self, arrival: Arrival) -> None:
        try:
            lease = self._selection.acquire(self._request)
        except NoBackendAvailable as nobody:
            self._turn_away(arrival, nobody)
            return
        self._note(lease)
        server = self.servers[lease.backend_id]
        if server.fails_in is not None:
            self.at(self.now + server.fails_in, lambda: self._fail(lease))
        elif server.busy < server.slots:
            self._start(server, lease, arrival)
        else:
            server.queue.append((lease, arrival))

    def _turn_away(self, arrival: Arrival, nobody: NoBackendAvailable) -> None:
        """Who only finds all places taken waits for one, as before the balancer."""
        if nobody.full:
            self._held_back.append(arrival)
        else:
            self.story.failures += 1

    def _let_in(self) -> None:
        if self._held_back:
            self._come(self._held_back.popleft())

    def _note(self, lease: Lease) -> None:
        story, name = self.story, lease.backend_id
        story.asked[name] += 1
        story.most_in_flight[name] = max(story.most_in_flight.get(name, 0), lease.backend.load.in_flight)

    def _start(self, server: Server, lease: Lease, arrival: Arrival) -> None:
        server.busy += 1
        first = self.now - arrival.at + FIRST_TOKEN
        self.at(self.now + server.seconds(arrival.tokens), lambda: self._finish(server, lease, arrival, first))

    def _finish(self, server: Server, lease: Lease, arrival: Arrival, first: float) -> None:
        server.busy -= 1
        duration = self.now - arrival.at
        self.story.durations.append(duration)
        usage = Usage(input_tokens=500, output_tokens=arrival.tokens)
        cost = server.price * arrival.tokens
        self.story.cost += cost
        self._selection.settle(
            lease, Outcome(verdict=Verdict.SUCCESS, duration=duration, first_token=first, usage=usage, cost=cost)
        )
        if server.queue:
            self._start(server, *server.queue.popleft())
        self._let_in()

    def _fail(self, lease: Lease) -> None:
        self.story.failures += 1
        duration = self.now - lease.started
        self._selection.settle(
            lease,
            Outcome(verdict=Verdict.FAILURE, duration=duration, status=500, error="broken", error_code="http_500"),
        )
        self._let_in()


def _backend(name: str, server: Server, breaker: bool, chance: Random) -> Backend:
    options = BackendOptions(
        id=name,
        type=BackendType.LOCAL_LLM,
        weight=server.rate * server.slots / 1000.0,
        expected_seconds=3.0,
        price=Price(output=server.price * 1_000_000),
        quality=server.quality,
        breaker=BreakerOptions(enabled=breaker),
    )
    return Backend(options, chance)

"""A simulated run: questions come, the real core decides, modelled backends answer, and time jumps in between."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from equipoise.core.accounting import answered, failed
from equipoise.core.attempts import Attempts, Unanswered
from equipoise.core.events import AnswerScored, Event
from equipoise.core.model import Answer, Chance, Message, Question, Request, Usage, Verdict
from equipoise.core.retry import RetryBudget, RetryOptions
from equipoise.core.selection import Lease, Selection
from equipoise.simulation.arrivals import Arrival
from equipoise.simulation.clock import VirtualClock
from equipoise.simulation.scoring import NO_SCORING, Scoring
from equipoise.simulation.server import Result, Server
from equipoise.simulation.shapes import lengths
from equipoise.simulation.story import Story
from equipoise.simulation.treasury import Treasury

STATUS = {"failing": 500, "throttling": 429}
SOMETHING = Question(messages=[Message("user", "")])
LATE = 1e-9


class Crowd:
    """What comes: arrivals, their mean length of answer where they do not say, kinds of question with their weights."""

    def __init__(self, arrivals: Iterator[Arrival], output_tokens: int, kinds: dict[str, float], tenant: str) -> None:
        self.arrivals, self.output_tokens, self.tenant = arrivals, output_tokens, tenant
        self._kinds, self._weights = list(kinds), list(kinds.values())

    def kind(self, chance: Chance) -> str:
        """The kind of the next question."""
        return self._kinds[0] if len(self._kinds) == 1 else chance.choices(self._kinds, self._weights)[0]


class Run:
    """One crowd under one strategy; `selection` must go by `clock`."""

    def __init__(
        self,
        selection: Selection,
        servers: dict[str, Server],
        clock: VirtualClock,
        *,
        retry: RetryOptions,
        route: str = "auto",
        strategy: str | None = None,
        seed: int = 1,
        scoring: Scoring = NO_SCORING,
    ) -> None:
        self.selection, self.servers, self.clock, self.scoring = selection, servers, clock, scoring
        self.treasury = Treasury(selection.budgets, clock.wall)
        self.story = Story(strategy or selection.routes[route].strategy)
        self.story.beginning = clock.wall()
        selection.observers.append(self.story.observe)
        self._retry, self._budget = retry, RetryBudget(retry, clock.monotonic())
        self._route, self._strategy = route, strategy
        self._chance = random.Random(seed)  # noqa: S311 - a simulation
        self._count = 0

    def play(self, crowd: Crowd, told: Callable[[int], None] = lambda count: None) -> Story:
        """Let all come and go; `told` is given the number of questions that came, now and then."""
        self._crowd, self._told = crowd, told
        self._await_next()
        while self.clock.step():
            pass
        if self.selection.budgets.active:
            self.treasury.turn()
            self.story.budgets = self.selection.budgets.status(self.clock.wall())
            self.story.curves = self.treasury.curves
        return self.story

    def _await_next(self) -> None:
        arrival = next(self._crowd.arrivals, None)
        if arrival is not None:
            self.clock.at(arrival.at, lambda: self._come(arrival))

    def _come(self, arrival: Arrival) -> None:
        self._await_next()
        self._count += 1
        if self._count % 1000 == 0:
            self._told(self._count)
        self.treasury.keep_up()
        route, kind = self.selection.routes[self._route], self._crowd.kind(self._chance)
        request = Request(
            id=f"simulated-{self._count}",
            question=SOMETHING,
            route=self._route,
            strategy=self._strategy,
            input_tokens=arrival.input_tokens,
            min_quality=route.min_quality,
            deadline=self.clock.now + route.timeout,
            tenant=self._crowd.tenant,
            kind=kind,
            features=self.scoring.features(kind),
        )
        tokens = arrival.output_tokens or lengths(self._chance, self._crowd.output_tokens)
        attempts = Attempts(request, self.selection, self._budget, self._retry, self._chance, self.tell)
        _Asking(self, attempts, tokens, self.clock.now).ask()

    def tell(self, event: Event) -> None:
        """Tell whoever observes."""
        for observer in self.selection.observers:
            observer(event)

    def judged(self, request: Request, backend_id: str, quality: float) -> None:
        """Perhaps somebody scores this answer, some time later: then those that learn hear of it."""
        if self._chance.random() < self.scoring.share:
            score = self.scoring.score(request, backend_id, quality)
            self.clock.at(self.clock.now + self.scoring.after_seconds, lambda: self._scored(score))

    def _scored(self, score: AnswerScored) -> None:
        self.selection.scored(score)
        self.tell(score)


class _Asking:
    """One question on its way: asked, asked again, answered or given up."""

    __slots__ = ("attempts", "began", "run", "tokens")

    def __init__(self, run: Run, attempts: Attempts, tokens: int, began: float) -> None:
        self.run, self.attempts, self.tokens, self.began = run, attempts, tokens, began

    def ask(self) -> None:
        """The next attempt, if there may be one."""
        try:
            lease = self._lease()
        except Unanswered as nobody:
            self.run.story.failed(self.run.clock.now, nobody.code)
            return
        clock = self.run.clock
        self.run.servers[lease.backend_id].ask(self.tokens, lambda result: self._answered(lease, result))
        clock.at(clock.now + self.attempts.seconds_left(lease) + LATE, lambda: self._timed_out(lease))

    def _lease(self) -> Lease:
        """The next attempt; where all that is missing is a slice of a budget, after a turn. Raises Unanswered."""
        try:
            return self.attempts.acquire()
        except Unanswered as refused:
            if not refused.short:
                raise
        self.run.treasury.turn()
        return self.attempts.acquire()

    def _answered(self, lease: Lease, result: Result) -> None:
        if lease.settled:  # too late: the attempt was given up
            return
        if result.trouble is not None:
            self._failed(lease, result.trouble)
            return
        now, run = self.run.clock.now, self.run
        usage = Usage(input_tokens=self.attempts.request.input_tokens, output_tokens=result.tokens)
        self.attempts.settle(lease, answered(lease, Answer(usage=usage), now, result.first_token))
        quality = run.servers[lease.backend_id].quality_of(self.attempts.request.kind)
        run.judged(self.attempts.request, lease.backend_id, quality)
        run.story.answered(now, self.began, result.first_token, lease.backend_id, quality)

    def _timed_out(self, lease: Lease) -> None:
        if not lease.settled:
            self._failed(lease, "hanging")

    def _failed(self, lease: Lease, trouble: str) -> None:
        run = self.run
        outcome = failed(
            lease,
            run.clock.now,
            verdict=Verdict.THROTTLED if trouble == "throttling" else Verdict.FAILURE,
            error=trouble,
            code="upstream_timeout" if trouble == "hanging" else "upstream_error",
            status=STATUS.get(trouble),
            sent=trouble != "down",
        )
        self.attempts.settle(lease, outcome)
        try:
            pause = self.attempts.pause_after(lease, outcome)
        except Unanswered as given_up:
            run.story.failed(run.clock.now, given_up.code)
            return
        run.clock.at(run.clock.now + pause, self.ask)


def simulate(
    runs: Sequence[tuple[Run, Crowd]], told: Callable[[int, int], None] = lambda run, count: None
) -> list[Story]:
    """Play one run after the other; `told` is given the number of the run and of the questions that came."""
    return [run.play(crowd, lambda count, i=index: told(i, count)) for index, (run, crowd) in enumerate(runs)]  # type: ignore[misc]

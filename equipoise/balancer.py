"""The path of a question: lease, await, settle; and again elsewhere until somebody has answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from equipoise.backends.base import BackendClient, BackendError
from equipoise.beside import Background, Learned, succeeded
from equipoise.core.accounting import answered, failed
from equipoise.core.attempts import Attempted, Attempts, Interrupted, Unanswered
from equipoise.core.efficiency import CostEfficiency
from equipoise.core.events import AnswerScored, AttemptEnded, Audience, Event, Observer
from equipoise.core.hedge import Hedges
from equipoise.core.intake import NO_HINTS, Hints, Intake
from equipoise.core.model import Answer, Chance, Decision, Message, Outcome, Question, Request, Verdict
from equipoise.core.retry import RetryBudget, RetryOptions
from equipoise.core.rollout import VALIDATION
from equipoise.core.routing import UnknownModel
from equipoise.core.selection import Lease, Selection
from equipoise.crew import Crew
from equipoise.escalation import Given, held_to_the_floor
from equipoise.racing import Race
from equipoise.reply import Reply, reply_of
from equipoise.scoring.judge import ROLE as JUDGE
from equipoise.stream import AnswerStream, OneByOne, close_items
from equipoise.trials import Trials
from equipoise.waiting import WaitingOptions, WaitingRoom

if TYPE_CHECKING:
    from equipoise.config import Config
    from equipoise.scoring.scorer import Scorer

__all__ = ["AnswerStream", "Attempted", "Background", "Hints", "Interrupted", "LoadBalancer", "Reply", "Unanswered"]


_SUCCESS = Verdict.SUCCESS
BUDGET_PATIENCE = 1.0
"""Seconds a question waits for a slice of a budget, where there may be one."""


class LoadBalancer:
    """Answers each question by the backend that fits best right now, and says why and at what cost."""

    def __init__(
        self,
        selection: Selection,
        clients: Mapping[str, BackendClient],
        intake: Intake,
        *,
        chance: Chance,
        retry: RetryOptions = RetryOptions(),
        waiting: WaitingOptions = WaitingOptions(),
        background: Sequence[Background] = (),
        config_hash: str = "",
        seed: int | None = None,
        replenish: Callable[[float], Awaitable[None]] | None = None,
        efficiency: CostEfficiency | None = None,
    ) -> None:
        self.seed, self._replenish = seed, replenish or asyncio.sleep
        self.efficiency = efficiency or CostEfficiency(86_400.0, lambda route: 0.0)
        self.selection, self.intake, self._crew = selection, intake, Crew(clients)
        self.retry, self.config_hash, self.in_flight = retry, config_hash, 0
        self.observers: list[Observer] = selection.observers
        self._audience = Audience()
        self._chance, self.background = chance, list(background)
        self._now = selection.clock.monotonic
        self._retry_budget = RetryBudget(retry, self._now())
        self.scorer: Scorer | None = None
        self.room = WaitingRoom(waiting, self._now)
        self._hedges, self._ends = dict[str, Hedges](), OneByOne()
        self.learning: Learned | None = None
        self.trials: Trials | None = None
        self.borrow: Callable[[Request], Awaitable[bool]] | None = None
        """Where limits are shared with other processes: asks them for what this question lacks; did any come?"""

    async def answer(self, request: Request, earlier: Sequence[Attempted] = ()) -> Reply:
        """Ask until somebody answers; `earlier` are another side's attempts at it. Raises Unanswered, with a reason, when
        nobody does in time."""
        attempts, began, crew = self._begin(request, earlier), self._now(), self._crew
        try:
            given, poor = await self._given(attempts, crew), None
            if given.quality is not None and _escalates(attempts):
                floor, ask = request.min_quality, partial(self._given, attempts, crew)
                given, poor = await held_to_the_floor(attempts, given, floor, ask, self.tell)
            reply = reply_of(attempts, given.lease, given.answer, self._now() - began)
            reply.quality, reply.escalated_from = given.quality, poor
            if self.trials is not None:
                self.trials.offer(request, given.lease.backend_id)
            return reply
        finally:
            self._done(crew)

    async def _given(self, attempts: Attempts, crew: Crew) -> Given:
        """The next answer, shown to the scorer; where a route escalates, and of questions of ours, at once."""
        lease, answer = await self._answered_by(attempts, crew)
        scorer, request = self.scorer, attempts.request
        if scorer is None:
            return Given(lease, answer)
        number = len(attempts.made)
        if request.role == VALIDATION or _escalates(attempts):
            return Given(lease, answer, scorer.look(request, answer, lease.backend_id, number))
        scorer.offer(request, answer, lease.backend_id, number, wanted=scorer.wants(request))
        return Given(lease, answer)

    async def _answered_by(self, attempts: Attempts, crew: Crew) -> tuple[Lease, Answer]:
        while True:
            lease, outcome = await self._acquired(attempts), None
            race = self._race(attempts, lease, partial(crew.send, attempts), streamed=False)
            try:
                answer = await (crew.send(attempts, lease) if race is None else race.run())
                lease = lease if race is None else race.lease
                outcome = answered(lease, answer, self._now())
            except BackendError as error:
                lease = lease if race is None else race.lease
                outcome = self._failed(lease, error)
            finally:
                self._settle(attempts, lease, race, outcome)
            if outcome.verdict is _SUCCESS:
                return lease, answer
            await asyncio.sleep(attempts.pause_after(lease, outcome))

    async def open(self, request: Request, earlier: Sequence[Attempted] = ()) -> AnswerStream:
        """Begin a streamed answer: returns with its first item in hand, fails over until then. Raises Unanswered."""
        attempts, began, crew = self._begin(request, earlier), self._now(), self._crew
        stream: AnswerStream | None = None
        try:
            while True:
                lease, outcome = await self._acquired(attempts), None
                race = self._race(attempts, lease, partial(crew.begin_stream, attempts), streamed=True)
                try:
                    items, first = await (crew.begin_stream(attempts, lease) if race is None else race.run())
                    lease, done = lease if race is None else race.lease, partial(self._done, crew)
                    stream = AnswerStream(attempts, lease, items, first, began, self._now(), done, self._ends)
                    if self.scorer is not None:
                        self._listen(self.scorer, request, stream)
                    if self.trials is not None:
                        stream.when_over(partial(self.trials.heard, request, stream))
                    return stream
                except BackendError as error:
                    lease = lease if race is None else race.lease
                    outcome = self._failed(lease, error)
                finally:
                    if stream is None:
                        self._settle(attempts, lease, race, outcome)
                await asyncio.sleep(attempts.pause_after(lease, outcome))
        finally:
            if stream is None:
                self._done(crew)

    def _listen(self, scorer: Scorer, request: Request, stream: AnswerStream) -> None:
        """Have a stream's answer offered to the scorer when it is whole."""
        stream.listening = wanted = scorer.wants(request)

        def over() -> None:
            if stream.reply is not None:
                scorer.offer(request, stream.heard(), stream.backend_id, len(stream.attempts), wanted=wanted)

        stream.when_over(over)

    def request(self, question: Question, hints: Hints = NO_HINTS) -> tuple[Request, str | None]:
        """Size and route a question; the second value is a warning about its model name.

        Raises Unanswered (`model_not_found`) under `strict_models`, (`invalid_request_error`) for an unknown strategy.
        """
        try:
            request, warning = self.intake.request(question, hints)
        except UnknownModel:
            raise Unanswered("model_not_found", f"there is no model {hints.model[:80]!r}; see /v1/models") from None
        except ValueError as error:
            raise Unanswered("invalid_request_error", str(error)) from None
        return self.selection.graphs.joined(request), warning

    async def ask(self, question: str | list[Message], **hints: Any) -> Reply:
        """Ask in one line: `reply = await balancer.ask("...", model="auto:cheap")`; the hints are those of Hints."""
        return await self.answer(self.request(_question(question), Hints(**hints))[0])

    async def stream(self, question: str | list[Message], **hints: Any) -> AsyncIterator[str]:
        """The pieces of an answer's text as they come; for its bill and reason use `open`, whose stream has a reply."""
        stream = await self.open(self.request(_question(question, stream=True), Hints(**hints))[0])
        async for piece in stream:
            yield piece

    def decide(self, question: str | list[Message], **hints: Any) -> Decision:
        """Who would be asked, and why; asks nobody. Raises NoBackendAvailable."""
        request = self.request(_question(question), Hints(**hints))[0]
        return self._side_of(request)[0].explain(request)

    def explain(self, request: Request) -> Decision:
        """What would be decided for this request if it came next; nothing moves on. Raises NoBackendAvailable."""
        return self._side_of(request)[0].foresee(request)

    def models(self) -> list[str]:
        """Every model name a client may use."""
        return self.intake.router.names()

    def status(self) -> dict[str, Any]:
        """The backends as rows, how many questions are being answered, how many wait and were turned away."""
        return {"in_flight": self.in_flight, **self._room_status(), "backends": self.selection.status()}

    def scored(self, event: AnswerScored) -> None:
        """An answer's quality became known: believe it of its backend, and tell everybody."""
        self._selection_of(event.role).scored(event)
        self.tell(event)

    def drain(self, backend_id: str) -> None:
        """Give a backend no new questions. Raises KeyError for an unknown id."""
        self.selection.drain(backend_id)

    def resume(self, backend_id: str) -> None:
        """Take a drained backend back. Raises KeyError for an unknown id."""
        self.selection.resume(backend_id)

    def set_weight(self, backend_id: str, weight: float) -> None:
        """Change a backend's weight from now on. Raises KeyError for an unknown id, ValueError for what is no weight."""
        self.selection.set_weight(backend_id, weight)

    def tell(self, event: Event) -> None:
        """Tell of something that is over whoever hears of such events; where an attempt has ended, whoever waits for its
        place gets it."""
        kind = type(event)
        ended = kind is AttemptEnded
        if ended:
            self.efficiency.observe(event)
        if self.learning is not None and (ended or kind is AnswerScored):
            self.learning.observe(event)
        for observer in self._audience.of(kind, self.observers):
            observer(event)
        if ended and self.room.waiting:
            self.room.wake()

    def go_on_from(self, base: LoadBalancer) -> None:
        """Have beside the questions what another balancer has; it is not to be used by itself any more."""
        self.observers, self.efficiency, self._replenish = base.observers, base.efficiency, base._replenish
        self.room.options = base.room.options
        self.scorer, self.learning = base.scorer, base.learning
        if self.scorer is not None:
            self.scorer.tell = self.scored
        self.trials = base.trials.asking(self.answer) if base.trials is not None else None

    @classmethod
    def from_config(cls, source: str | Path | Mapping[str, Any] | Config) -> LoadBalancer:
        """Build one from a file or a mapping of the same shape. Raises config.ConfigError naming all that is wrong."""
        from equipoise.build import load_balancer  # the one door upwards, for users of the library

        return load_balancer(source)

    @property
    def clients(self) -> dict[str, BackendClient]:
        """Who speaks to each backend."""
        return self._crew.clients

    def become(self, fresh: LoadBalancer) -> Crew:
        """Go by another balancer's configuration from the next question on, keeping what is known of backends that stay.

        Questions under way end as they began, at the crew that is returned: close it when it has none in flight. What
        runs in the background is left to the caller. `fresh` is not to be used by itself any more.
        """
        fresh.selection.inherit(self.selection)
        former, self._crew = self._crew, fresh._crew
        self.selection, self.intake, self.config_hash = fresh.selection, fresh.intake, fresh.config_hash
        self.seed = fresh.seed
        if fresh.retry != self.retry:
            self.retry, self._retry_budget = fresh.retry, fresh._retry_budget
        self.room.options = fresh.room.options
        self.observers = fresh.observers = self.selection.observers
        self.efficiency.follow(fresh.efficiency)
        if fresh.scorer is not None:
            if self.scorer is not None:
                fresh.scorer.inherit(self.scorer)
            fresh.scorer.tell = self.scored
        self.scorer = fresh.scorer
        self.learning = succeeded(self.learning, fresh.learning)
        self.trials = fresh.trials.asking(self.answer) if fresh.trials is not None else None
        return former

    async def start(self) -> None:
        """Begin what runs beside the questions."""
        for background in self.background:
            await background.start()

    async def close(self) -> None:
        """Stop it, and close every connection; what was recorded is written first."""
        for background in reversed(self.background):
            await background.close()
        await self._crew.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _acquired(self, attempts: Attempts) -> Lease:
        """The next lease, after a short wait where all that is missing is a slice of a budget. Raises Unanswered."""
        pause, patience = 0.005, min(self._now() + BUDGET_PATIENCE, attempts.request.deadline)
        while True:
            try:
                return await self.room.lease(attempts)
            except Unanswered as refused:
                if self._now() + pause > patience:
                    raise
                if self.borrow is not None and await self.borrow(attempts.request):
                    continue
                if not refused.short:
                    raise
            await self._replenish(pause)
            pause *= 1.5

    def _begin(self, request: Request, earlier: Sequence[Attempted] = ()) -> Attempts:
        self.in_flight += 1
        self._crew.in_flight += 1
        selection, budget, retry = self._side_of(request)
        attempts = Attempts(request, selection, budget, retry, self._chance, self.tell, self.config_hash)
        if earlier:
            attempts.follow(earlier)
        return attempts

    def _room_status(self) -> dict[str, int]:
        return {"waiting": self.room.waiting, "turned_away": self.room.turned_away}

    def _side_of(self, request: Request) -> tuple[Selection, RetryBudget, RetryOptions]:
        """Among whom a request is decided, and at whose expense it is repeated; a migration has two sides."""
        return self.selection, self._retry_budget, self.retry

    def _selection_of(self, role: str) -> Selection:
        """Whose backends answer in this role."""
        return self.selection

    def _settle(self, attempts: Attempts, lease: Lease, race: Race[Any] | None, outcome: Outcome | None) -> None:
        """Book what the attempt came to; without an outcome its caller went away, and so may one that raced with it have."""
        lease = lease if race is None or outcome is not None else race.lease
        if not lease.settled:
            attempts.settle(lease, outcome or self._cancelled(lease))

    def _race(
        self, attempts: Attempts, lease: Lease, ask: Callable[[Lease], Coroutine[Any, Any, Any]], *, streamed: bool
    ) -> Race[Any] | None:
        """A race for this attempt where the route wants slow ones hedged."""
        route = attempts.route
        if route is None or route.hedge is None:
            return None
        hedges = self._hedges.get(route.name)
        if hedges is None or hedges.options != route.hedge:
            hedges = self._hedges[route.name] = Hedges(route.hedge, self._now())
        hedges.asked()
        return Race(attempts, lease, hedges, streamed=streamed, ask=ask, failed=self._failed, lost=self._lost)

    async def _lost(self, lease: Lease, answer: Any, gone: bool) -> Outcome:
        """What an attempt costs that another one beat: an answer that was whole all the same its price, else a guess."""
        if isinstance(answer, Answer):
            return answered(lease, answer, self._now())
        if answer is not None:
            await close_items(answer[0])
        if gone:
            return self._cancelled(lease)
        why = "another backend was sooner"
        return failed(lease, self._now(), verdict=Verdict.IGNORED, error=why, code="hedge_lost")

    def _done(self, crew: Crew) -> None:
        self.in_flight -= 1
        crew.in_flight -= 1

    def _failed(self, lease: Lease, error: BackendError) -> Outcome:
        return failed(
            lease,
            self._now(),
            verdict=error.verdict,
            error=error.plain,
            said=str(error),
            code=error.code,
            status=error.status,
            retry_after=error.retry_after,
            sent=error.sent,
            usage=error.usage,
            metered_cost=error.metered_cost,
            client_error=error.client_error,
        )

    def _cancelled(self, lease: Lease) -> Outcome:
        return failed(lease, self._now(), verdict=Verdict.IGNORED, error="the caller went away", code="cancelled")


def _escalates(attempts: Attempts) -> bool:
    route = attempts.route
    return route is not None and route.escalate and attempts.request.role != JUDGE


def _question(question: str | list[Message], *, stream: bool = False) -> Question:
    messages = [Message("user", question)] if isinstance(question, str) else question
    return Question(messages=messages, stream=stream)

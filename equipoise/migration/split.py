"""Two sides behind one face: each question goes to the side that takes its key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

from msgspec.structs import replace

from equipoise.backends.base import BackendClient
from equipoise.balancer import Background, LoadBalancer
from equipoise.canary.evidence import CALLERS_FAULT
from equipoise.canary.shadow import Shadow
from equipoise.canary.sides import whole
from equipoise.canary.watch import Watch
from equipoise.core.attempts import Attempted, Unanswered
from equipoise.core.events import AnswerScored
from equipoise.core.intake import NO_HINTS, Hints, needs_of
from equipoise.core.model import Message, NanoUSD, Question, Request, Urgency, Verdict
from equipoise.core.retry import RetryBudget, RetryOptions
from equipoise.core.rollout import CANDIDATE, CONTROL, RESCUE, SHADOW, VALIDATION, State, candidate_takes
from equipoise.core.selection import Selection
from equipoise.migration.settings import INCUMBENT, Settings
from equipoise.migration.tallies import Tallies
from equipoise.reply import Reply
from equipoise.stream import AnswerStream

NO_NEEDS: frozenset[str] = frozenset()
DEFAULT_TENANT = "default"
SECONDS_FOR_A_COPY = 120.0


class SplitBalancer(LoadBalancer):
    """A LoadBalancer whose questions are answered by the old side until their key's turn comes.

    It takes over `candidate` (its backends, observers and background), which is not to be used by itself any more; the
    old side is one backend in a selection of its own, so neither side's failures burden the other. Who asks for a
    model by name is split like everybody: in a move, a client's old words must not choose the new side.
    """

    def __init__(
        self,
        candidate: LoadBalancer,
        control: Selection,
        incumbent: BackendClient,
        *,
        settings: Settings,
        tallies: Tallies,
        state: State,
    ) -> None:
        super().__init__(
            candidate.selection,
            {**candidate.clients, INCUMBENT: incumbent},
            candidate.intake,
            chance=candidate._chance,
            retry=candidate.retry,
            background=candidate.background,
            config_hash=candidate.config_hash,
        )
        self.go_on_from(candidate)
        self.control, self.settings, self.state = control, settings, state
        control.observers = candidate.observers
        self.shadow: Shadow | None = None
        self.watch: Watch | None = None
        self._tallies = tallies
        # As often as before the move: the old side is asked once, whatever the new one is allowed.
        self._control_retry = replace(candidate.retry, max_attempts=1)
        self._control_budget = RetryBudget(self._control_retry, self._now())

    def beside(self, background: Background) -> None:
        """Have this run beside the questions, after all that does already."""
        self.background.append(background)

    def request(self, question: Question, hints: Hints = NO_HINTS) -> tuple[Request, str | None]:
        """Size a question and settle which side answers it; the same errors and warnings on both."""
        request, warning = super().request(question, hints)
        key, percentage = self.key_of(request), self.state.percentage
        taken = candidate_takes(key, percentage, self.settings.salt)
        if self.watch is not None:
            self.watch.assigned(key, percentage, candidate=taken)
        return replace(request, role=CANDIDATE) if taken else self.for_control(request), warning

    def for_control(self, request: Request) -> Request:
        """The same request for the old side, which gets whatever it got before."""
        return replace(
            request, role=CONTROL, strategy=None, pinned=None, min_quality=0.0, needs=NO_NEEDS, max_cost=None
        )

    def for_shadow(self, request: Request, max_cost: NanoUSD) -> Request:
        """A copy of an old side's request for the new side, booked under an id of its own."""
        question = replace(request.question, stream=False)
        return replace(
            request,
            id=f"{request.id}.shadow",
            question=question,
            min_quality=self.intake.router.routes[request.route].min_quality,
            needs=needs_of(question),
            max_cost=max_cost,
            deadline=self._now() + SECONDS_FOR_A_COPY,
            role=SHADOW,
            urgency=Urgency.SHADOW,
        )

    def for_validation(self, text: str, max_cost: NanoUSD) -> Request:
        """A question of ours to the new side."""
        hints = Hints(max_cost=max_cost, tags=("validation",))
        request, _ = super().request(Question(messages=[Message("user", text)]), hints)
        return replace(request, role=VALIDATION)

    def key_of(self, request: Request) -> str:
        """What a question sticks to: its session, else its end user, else (where that is wanted) its tenant, else itself."""
        if request.session is not None:
            return f"session {request.session}"
        user = request.question.options.get("user")
        if isinstance(user, str) and user:
            return f"user {user}"
        if self.settings.tenants_are_keys and request.tenant != DEFAULT_TENANT:
            return f"tenant {request.tenant}"
        return f"request {request.id}"

    async def answer(self, request: Request, earlier: Sequence[Attempted] = ()) -> Reply:
        """Ask the side that the request is for; what the new one cannot answer, the old one may. Raises Unanswered."""
        began = self._now()
        try:
            reply = await super().answer(request, earlier)
        except Unanswered as error:
            self._unanswered(request, error)
            if not self._may_be_rescued(request, error):
                raise
            return whole(await self.answer(self._rescue(request), error.attempts), self._now() - began)
        except asyncio.CancelledError:
            self._left(request)
            raise
        self._answered(request, reply)
        return reply

    async def open(self, request: Request, earlier: Sequence[Attempted] = ()) -> AnswerStream:
        """Begin a streamed answer of the side that the request is for. Raises Unanswered."""
        try:
            stream = await super().open(request, earlier)
        except Unanswered as error:
            self._unanswered(request, error)
            if not self._may_be_rescued(request, error):
                raise
            return await self.open(self._rescue(request), error.attempts)
        except asyncio.CancelledError:
            self._left(request)
            raise
        stream.when_over(lambda: self._streamed(request, stream))
        return stream

    def status(self) -> dict[str, Any]:
        """The backends of both sides as rows, each with its side and whether that has any traffic now."""
        percentage = self.state.percentage
        new = [{**row, "side": CANDIDATE, "has_traffic": percentage > 0} for row in self.selection.status()]
        old = [{**row, "side": CONTROL, "has_traffic": percentage < 100} for row in self.control.status()]
        return {"in_flight": self.in_flight, **self._room_status(), "backends": [*new, *old]}

    def drain(self, backend_id: str) -> None:
        """Give a backend of the new side no new questions. Raises KeyError for any other: the old side is not drained."""
        self.selection.drain(backend_id)

    def become(self, fresh: LoadBalancer) -> NoReturn:
        """Not during a move: whose evidence would it be? Raises ValueError."""
        raise ValueError("a configuration with a migration is read at the start only: restart the gateway to change it")

    def _side_of(self, request: Request) -> tuple[Selection, RetryBudget, RetryOptions]:
        if request.role in (CONTROL, RESCUE):
            return self.control, self._control_budget, self._control_retry
        return super()._side_of(request)

    def scored(self, event: AnswerScored) -> None:
        """An answer's quality became known; it counts for the side that gave it."""
        super().scored(event)
        self._tallies.scored(self.state.era, event)

    def _selection_of(self, role: str) -> Selection:
        return self.control if role in (CONTROL, RESCUE) else self.selection

    def _may_be_rescued(self, request: Request, error: Unanswered) -> bool:
        wanted = self.settings.rescue and request.role == CANDIDATE and request.repeatable
        return wanted and error.code not in CALLERS_FAULT and request.deadline > self._now()

    def _rescue(self, request: Request) -> Request:
        return replace(self.for_control(request), role=RESCUE)

    def _unanswered(self, request: Request, error: Unanswered) -> None:
        self._tallies.unanswered(self.state.era, request.role, error)
        if (watch := self._watch_of(request)) is not None:
            watch.unanswered(request.role, error)

    def _left(self, request: Request) -> None:
        if (watch := self._watch_of(request)) is not None:
            watch.left(request.role)

    def _watch_of(self, request: Request) -> Watch | None:
        """Copies and questions of ours are no live traffic: they are for the gates."""
        live = request.role in (CONTROL, CANDIDATE) and self.state.percentage > 0
        return self.watch if live else None

    def _answered(self, request: Request, reply: Reply) -> None:
        self._tallies.answered(self.state.era, reply)
        if (watch := self._watch_of(request)) is not None:
            watch.answered(request.role, reply)
        if self.shadow is not None and request.role == CONTROL:
            self.shadow.offer(request, reply)

    def _streamed(self, request: Request, stream: AnswerStream) -> None:
        """A stream is over: whole, cut, or left by its client, which says nothing about the side."""
        if stream.reply is not None:
            self._answered(request, stream.reply)
        elif stream.attempts[-1].verdict is not Verdict.IGNORED:
            self._tallies.failed(self.state.era, request.role)
            if (watch := self._watch_of(request)) is not None:
                watch.failed(request.role)
        else:
            self._left(request)

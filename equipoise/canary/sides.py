"""Two configurations behind one face: each question goes to the side that takes its key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Literal

from msgspec.structs import replace

from equipoise.balancer import Attempted, Background, LoadBalancer
from equipoise.canary.evidence import CALLERS_FAULT
from equipoise.canary.shadow import Shadow
from equipoise.canary.watch import SIDES, Watch
from equipoise.core.attempts import Unanswered
from equipoise.core.intake import NO_HINTS, Hints
from equipoise.core.model import NanoUSD, Question, Request
from equipoise.core.retry import RetryBudget, RetryOptions
from equipoise.core.rollout import CANDIDATE, CONTROL, RESCUE, SHADOW, candidate_takes
from equipoise.core.routing import UnknownModel
from equipoise.core.selection import Selection
from equipoise.crew import Crew
from equipoise.reply import Reply
from equipoise.stream import AnswerStream

StickyBy = Literal["session", "user", "key"]
DEFAULT_TENANT = "default"
SECONDS_FOR_A_COPY = 120.0


def sticky_key(request: Request, by: StickyBy) -> str:
    """What a question sticks to: its session, its end user or its client's key, whichever is wanted first, else itself."""
    user = request.question.options.get("user")
    known = {
        "session": request.session,
        "user": user if isinstance(user, str) and user else None,
        "key": request.tenant if request.tenant != DEFAULT_TENANT else None,
    }
    order = (by, "session", "user") if by != "key" else ("key",)
    for name in order:
        if known[name]:
            return f"{name} {known[name]}"
    return f"request {request.id}"


def hints_of(request: Request, seconds: float) -> Hints:
    """What was asked for, to ask it again of another side; `seconds` are left."""
    return Hints(
        model=request.pinned or request.route,
        strategy=request.strategy,
        max_cost=request.max_cost,
        deadline_seconds=seconds,
        tags=request.tags,
        session=request.session,
        tenant=request.tenant,
        request_id=request.id,
        trace=request.trace,
        repeatable=request.repeatable,
        data_classes=request.data_classes,
    )


class CanaryBalancer(LoadBalancer):
    """A LoadBalancer beside which another may stand: the candidate, with backends and policies of its own.

    It takes over `base`, which is not to be used by itself any more. Without a candidate it is what `base` was. What the
    candidate cannot answer is asked of the control (`rescue`), once, before anything was passed on: the failure counts
    against the candidate all the same, and the caller has his answer.
    """

    def __init__(
        self, base: LoadBalancer, *, salt: str = "", sticky_by: StickyBy = "session", rescue: bool = True
    ) -> None:
        super().__init__(
            base.selection,
            base.clients,
            base.intake,
            chance=base._chance,
            retry=base.retry,
            background=base.background,
            config_hash=base.config_hash,
            seed=base.seed,
        )
        self.go_on_from(base)
        self.candidate: LoadBalancer | None = None
        self.percentage = 0.0
        self.watch: Watch | None = None
        self.shadow: Shadow | None = None
        self.on_replaced: Callable[[], None] = _nothing
        self._salt, self._by, self._rescues = salt, sticky_by, rescue

    def beside(self, background: Background) -> None:
        """Have this run beside the questions, after all that does already."""
        self.background.append(background)

    def stand(self, candidate: LoadBalancer | None) -> LoadBalancer | None:
        """Put a candidate beside the control, or none; gives the one that stood there, to be closed once it is idle."""
        former, self.candidate = self.candidate, candidate
        if candidate is not None:
            candidate.observers, candidate.scorer = self.observers, self.scorer
            candidate.selection.observers = []  # its backends may have the names of the control's: one state each
        return former

    def request(self, question: Question, hints: Hints = NO_HINTS) -> tuple[Request, str | None]:
        """Size a question and settle which side answers it; what the control refuses is refused."""
        request, warning = super().request(question, hints)
        candidate = self.candidate
        if candidate is None:
            return request, warning
        if not self.percentage:
            return replace(request, role=CONTROL), warning
        key = sticky_key(request, self._by)
        taken = candidate_takes(key, self.percentage, self._salt)
        if self.watch is not None:
            self.watch.assigned(key, self.percentage, candidate=taken)
        if not taken:
            return replace(request, role=CONTROL), warning
        try:
            sized, said = candidate.request(
                question, replace(hints, request_id=request.id, data_classes=request.data_classes)
            )
        except Unanswered:  # the control knows what is meant: the candidate should
            if self.watch is not None:
                self.watch.failed(CANDIDATE)
            return replace(request, role=RESCUE), warning
        return replace(sized, role=CANDIDATE), said

    def answer(self, request: Request, earlier: Sequence[Attempted] = ()) -> Coroutine[Any, Any, Reply]:
        """Ask the side that the request is for. Raises Unanswered."""
        if self.watch is None or request.role not in SIDES:
            return super().answer(request, earlier)
        return self._watched(self.watch, request, earlier)

    async def _watched(self, watch: Watch, request: Request, earlier: Sequence[Attempted]) -> Reply:
        began = self._now()
        try:
            side = self._other(request)
            reply = await (side.answer(request, earlier) if side else super().answer(request, earlier))
        except Unanswered as error:
            watch.unanswered(request.role, error)
            again = self._rescue(request, error)
            if again is None:
                raise
            return whole(await super().answer(again, error.attempts), self._now() - began)
        except asyncio.CancelledError:
            watch.left(request.role)
            raise
        watch.answered(request.role, reply)
        if request.role == CONTROL and self.shadow is not None:
            self.shadow.offer(request, reply)
        return reply

    def open(self, request: Request, earlier: Sequence[Attempted] = ()) -> Coroutine[Any, Any, AnswerStream]:
        """Begin a streamed answer of the side that the request is for. Raises Unanswered."""
        if self.watch is None or request.role not in SIDES:
            return super().open(request, earlier)
        return self._watched_stream(self.watch, request, earlier)

    async def _watched_stream(self, watch: Watch, request: Request, earlier: Sequence[Attempted]) -> AnswerStream:
        try:
            side = self._other(request)
            stream = await (side.open(request, earlier) if side else super().open(request, earlier))
        except Unanswered as error:
            watch.unanswered(request.role, error)
            again = self._rescue(request, error)
            if again is None:
                raise
            return await super().open(again, error.attempts)
        except asyncio.CancelledError:
            watch.left(request.role)
            raise
        stream.when_over(partial(watch.streamed, request.role, stream))
        return stream

    def for_shadow(self, request: Request, max_cost: NanoUSD) -> Request:
        """A copy of a control's request for the candidate, booked under an id of its own."""
        candidate = self.candidate or self
        question = replace(request.question, stream=False)
        copy, _ = candidate.intake.request(question, hints_of(request, SECONDS_FOR_A_COPY))
        return replace(copy, id=f"{request.id}.shadow", max_cost=max_cost, role=SHADOW)

    def status(self) -> dict[str, Any]:
        """The backends of both sides as rows; with a candidate each says its side and whether that has any traffic."""
        candidate = self.candidate
        if candidate is None:
            return super().status()
        share = self.percentage
        old = [{**row, "side": CONTROL, "has_traffic": share < 100} for row in self.selection.status()]
        new = [{**row, "side": CANDIDATE, "has_traffic": share > 0} for row in candidate.selection.status()]
        return {"in_flight": self.in_flight + candidate.in_flight, **self._room_status(), "backends": [*old, *new]}

    def drain(self, backend_id: str) -> None:
        """Give a backend no new questions of either side. Raises KeyError for an id that the control does not know."""
        self.selection.drain(backend_id)
        if self.candidate is not None and backend_id in self.candidate.selection.backends:
            self.candidate.selection.drain(backend_id)

    def resume(self, backend_id: str) -> None:
        """Take a drained backend back on both sides. Raises KeyError for an id that the control does not know."""
        self.selection.resume(backend_id)
        if self.candidate is not None and backend_id in self.candidate.selection.backends:
            self.candidate.selection.resume(backend_id)

    def become(self, fresh: LoadBalancer) -> Crew:
        """Replace the control; `on_replaced` hears of it, for evidence about another control is none."""
        crew = super().become(fresh)
        if self.candidate is not None:
            self.candidate.observers, self.candidate.scorer = self.observers, self.scorer
            self.on_replaced()
        return crew

    def _other(self, request: Request) -> LoadBalancer | None:
        """The candidate, where the request is for it; None for the control, also when the candidate is gone already."""
        return self.candidate if request.role in (CANDIDATE, SHADOW) else None

    def _rescue(self, request: Request, error: Unanswered) -> Request | None:
        """The request as the control gets it after the candidate failed, or None where that would be wrong."""
        left = request.deadline - self._now()
        wanted = self._rescues and request.role == CANDIDATE and request.repeatable
        if not wanted or error.code in CALLERS_FAULT or left <= 0.0:
            return None
        try:
            again, _ = self.intake.request(request.question, hints_of(request, left))
        except (UnknownModel, ValueError):  # the candidate's own name for something
            return None
        return replace(again, role=RESCUE)

    def _selection_of(self, role: str) -> Selection:
        other = self.candidate if role in (CANDIDATE, SHADOW) else None
        return self.selection if other is None else other.selection

    def _side_of(self, request: Request) -> tuple[Selection, RetryBudget, RetryOptions]:
        if request.role == CANDIDATE and self.candidate is not None:
            return self.candidate._side_of(request)
        return self.selection, self._retry_budget, self.retry


def whole(reply: Reply, seconds: float) -> Reply:
    """A rescued reply took as long as both sides together."""
    reply.duration = seconds
    reply.overhead = max(0.0, seconds - sum(attempt.duration for attempt in reply.attempts))
    return reply


def _nothing() -> None:
    """Nobody wants to hear of it."""

"""One request's attempts: whom to ask next, when to pause, when to give up and what to tell the caller then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from equipoise.core.data_classes import NOT_ALLOWED
from equipoise.core.events import AttemptBegan, AttemptEnded, Event
from equipoise.core.features import FEATURES_VERSION, embedding_in, hand_features
from equipoise.core.hedge import Hedges
from equipoise.core.model import (
    Attempt,
    Chance,
    CostSource,
    Decision,
    NanoUSD,
    NoBackendAvailable,
    Outcome,
    Request,
    Verdict,
)
from equipoise.core.retry import RetryBudget, RetryOptions, backoff
from equipoise.core.routing import Route
from equipoise.core.selection import NOBODY, Lease, Selection

ROUNDS = 2
BETTER = 0.1
"""How much better than a poor answer another backend must be believed to be, to be paid for its answer as well."""
STATUS = {
    "no_healthy_backend": 503,
    "data_class_not_allowed": 503,
    "rate_limit_exceeded": 429,
    "budget_exceeded": 429,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "upstream_timeout": 504,
    "deadline_too_short": 504,
    "overloaded": 503,
    "upstream_error": 502,
    "no_answer": 502,
    "stream_interrupted": 502,
}
NOT_SENT = Outcome(verdict=Verdict.IGNORED, duration=0.0, sent=False, error="not sent", error_code="cancelled")
_NO_ANSWER, PASSING = Verdict.NO_ANSWER, (Verdict.FAILURE, Verdict.THROTTLED)
FINAL = frozenset(
    {
        "budget_exceeded",
        "context_length_exceeded",
        "data_class_not_allowed",
        "invalid_request_error",
        "model_not_found",
        "no_answer",
    }
)


class Attempted(msgspec.Struct, frozen=True):
    """One attempt, as a caller sees it; cost in nano-dollars, duration in seconds, `status` the upstream's."""

    backend_id: str
    verdict: Verdict
    cost: NanoUSD
    duration: float
    error: str | None
    cost_source: CostSource
    status: int | None = None
    code: str | None = None


class Unanswered(Exception):
    """Nobody answered. `status` is the HTTP status that fits, `retry_after` seconds, `cost` all its attempts' sum."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        attempts: tuple[Attempted, ...] = (),
        reasons: Mapping[str, str] | None = None,
        client_error: dict[str, Any] | None = None,
        request_id: str = "",
        decision: Decision | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.message = code, STATUS.get(code, 502), message
        self.retry_after, self.should_retry = retry_after, code not in FINAL
        self.attempts, self.reasons = attempts, dict(reasons or {})
        self.cost = sum(attempt.cost for attempt in attempts)
        self.client_error, self.request_id, self.decision = client_error, request_id, decision
        self.short = False  # a budget may have room again in a moment


class Full(Unanswered):
    """Everybody who may answer has all the attempts at once that they take: waiting a little may help."""


class Interrupted(Unanswered):
    """A stream was cut after its first byte had been passed on: what came is no whole answer."""


class Attempts:
    """The plan of one request. Look-ups and bookkeeping only; who waits is the caller."""

    def __init__(
        self,
        request: Request,
        selection: Selection,
        budget: RetryBudget,
        options: RetryOptions,
        chance: Chance,
        tell: Callable[[Event], None],
        config_hash: str = "",
    ) -> None:
        self.request = request
        self.made: list[Attempted] = []
        self.lease: Lease | None = None
        self.cost: NanoUSD = 0
        self._selection, self._budget, self._options, self._chance = selection, budget, options, chance
        self.now = selection.clock.monotonic
        self._tell, self._config_hash = tell, config_hash
        self._avoid = self._said_all = NOBODY
        self._passing: Outcome | None = None
        self._corpus: str | None = None
        self._sent = self._round = 0
        self._decision_seconds = 0.0
        self._question_hash = ""
        self._features: dict[str, float] = {}
        budget.deposit()

    def follow(self, earlier: Sequence[Attempted]) -> None:
        """Go on after attempts that another side made at the same question: they count and cost, and stay in order."""
        self.made[:0] = earlier
        self.cost += sum(attempt.cost for attempt in earlier)

    def acquire(self) -> Lease:
        """Choose and admit the next attempt. Raises Unanswered when nobody may be asked."""
        try:
            lease = self._selection.acquire(self.request, self._avoid, self._corpus)
        except NoBackendAvailable as nobody:
            raise self._nobody(nobody) from None
        self._decision_seconds = self.now() - lease.started
        self.lease = lease
        self._tell(self._begun(lease))
        return lease

    @property
    def route(self) -> Route | None:
        """The route of the request."""
        return self._selection.routes.get(self.request.route)

    def hedge(self, first: Lease, hedges: Hedges) -> Lease | None:
        """A second attempt beside `first`, which is overdue; None when there may be none, or nobody is quick enough."""
        now = self.now()
        if not self.request.repeatable or self._sent + 2 > self._options.max_attempts or now >= self.request.deadline:
            return None
        everybody = self._selection.backends
        if hedges.all_slow(everybody.values()):
            return None
        slow = {name for name, backend in everybody.items() if hedges.slow(backend)}
        corpus = self._corpus or first.backend.options.corpus
        try:
            lease = self._selection.acquire(self.request, self._avoid | slow | {first.backend_id}, corpus)
        except NoBackendAvailable:
            return None
        cost = lease.backend.expected_cost(self.request)
        if lease.decision.panic or not (hedges.take(cost, now) and self._budget.withdraw(now)):
            self._selection.settle(lease, NOT_SENT)
            return None
        self._tell(self._begun(lease))
        return lease

    def wall(self) -> float:
        """Unix seconds."""
        return self._selection.clock.wall()

    def seconds_left(self, lease: Lease) -> float:
        """How long this attempt may take: the backend's own timeout, within the deadline of the request."""
        return max(0.0, min(lease.backend.options.timeout, self.request.deadline - lease.started))

    def settle(self, lease: Lease, outcome: Outcome) -> None:
        """Book one attempt and tell the observers."""
        self._selection.settle(lease, outcome)
        cost = outcome.cost + outcome.inner_cost
        self.cost += cost
        self._sent += outcome.sent and outcome.verdict is not _NO_ANSWER
        self.made.append(
            Attempted(
                lease.backend_id,
                outcome.verdict,
                cost,
                outcome.duration,
                outcome.error,
                outcome.cost_source,
                outcome.status,
                outcome.error_code,
            )
        )
        self._tell(AttemptEnded(self._record(lease, outcome)))

    def pause_after(self, lease: Lease, outcome: Outcome) -> float:
        """Seconds to wait before the next attempt. Raises Unanswered when there is to be none.

        Another backend is asked at once; when all were tried, those whose trouble may pass are tried once more after a
        backoff. A reply that answers nothing is no sign of overload, and what was never sent burdens nobody: both are
        outside the budget.
        """
        if outcome.verdict is Verdict.IGNORED and outcome.error_code != "context_length_exceeded":
            raise self._unanswered_as(outcome)
        self._rule_out(lease, outcome)
        now = self.now()
        if now >= self.request.deadline or not self._may_send_again(outcome, now):
            raise self.give_up(outcome)
        if self._selection.anybody(self.request, self._avoid, self._corpus):
            return 0.0
        return self._begin_another_round(outcome, now)

    def escalate(self, quality: float) -> bool:
        """May a backend believed to do better than this answer's quality be asked? Then it is the next to be acquired.

        It counts as a repetition: within the attempts of a request and the budget for all of them.
        """
        lease, now = self.lease, self.now()
        if lease is None or self.request.pinned is not None or now >= self.request.deadline:
            return False
        kind, others = self.request.kind, self._selection.backends.values()
        worse = {backend.id for backend in others if backend.quality.of(kind).mean <= quality + BETTER}
        avoid = self._avoid | worse | {lease.backend_id}
        corpus = self._corpus or lease.backend.options.corpus
        if self._sent >= self._options.max_attempts or not self._selection.anybody(self.request, avoid, corpus):
            return False
        if not self._budget.withdraw(now):
            return False
        self._avoid = self._said_all = avoid
        self._corpus = corpus
        return True

    def give_up(self, outcome: Outcome) -> Unanswered:
        """The error that tells the caller what the last attempt came to, or what may pass and is worth coming back for."""
        return self._unanswered_as(self._passing or outcome)

    def _unanswered_as(self, outcome: Outcome) -> Unanswered:
        code, message = _final_code(outcome), outcome.said or outcome.error or "the backend gave no answer"
        return self._unanswered(code, message, retry_after=outcome.retry_after, client_error=outcome.client_error)

    def interrupted(self, outcome: Outcome) -> Interrupted:
        """The error that ends a stream whose first byte was already passed on."""
        return Interrupted(
            "stream_interrupted",
            f"the answer was cut: {outcome.said or outcome.error}",
            attempts=tuple(self.made),
            request_id=self.request.id,
            decision=self.lease.decision if self.lease else None,
        )

    @property
    def fallback_from(self) -> str | None:
        """Who should have answered, when somebody else did."""
        if self.made and self.lease is not None and self.made[0].backend_id != self.lease.backend_id:
            return self.made[0].backend_id
        return None

    def _rule_out(self, lease: Lease, outcome: Outcome) -> None:
        """Do not ask this one again in this round, nor one with no longer a context after an overflow."""
        ruled_out = {lease.backend_id}
        options = lease.backend.options
        if outcome.error_code == "context_length_exceeded" and options.context_tokens:
            others = self._selection.backends.values()
            ruled_out |= {
                b.id
                for b in others
                if (b.options.context_tokens or options.context_tokens + 1) <= options.context_tokens
            }
        self._avoid |= ruled_out
        if outcome.verdict in PASSING:
            self._passing = outcome
        else:
            self._said_all |= ruled_out
        self._corpus = self._corpus or options.corpus

    def _may_send_again(self, outcome: Outcome, now: float) -> bool:
        if not self.request.repeatable and outcome.sent and outcome.status is None:
            return False
        if not outcome.sent or outcome.verdict in (Verdict.NO_ANSWER, Verdict.IGNORED):
            return True
        return self._sent < self._options.max_attempts and self._budget.withdraw(now)

    def _begin_another_round(self, outcome: Outcome, now: float) -> float:
        """Again without those that have said all they have to say: nothing, a refusal, or that it is too long."""
        self._round += 1
        if self._passing is None or self._round >= ROUNDS:
            raise self.give_up(outcome)
        pause = backoff(self._options, self._round, self._chance, self._passing.retry_after)
        if now + pause >= self.request.deadline:
            raise self.give_up(outcome)
        self._avoid = self._said_all
        return pause

    def full(self, why: str) -> Full:
        """The error that turns this request away for want of room."""
        return Full("overloaded", f"there is no room for this question now ({why})", request_id=self.request.id)

    def _nobody(self, nobody: NoBackendAvailable) -> Unanswered:
        reasons = "; ".join(f"{name}: {why}" for name, why in nobody.reasons.items())
        if nobody.full:
            full = self.full(reasons)
            full.reasons, full.attempts, full.cost = dict(nobody.reasons), tuple(self.made), self.cost
            return full
        unanswered = self._unanswered(
            nobody.code,
            f"no backend may answer this now ({reasons})",
            retry_after=nobody.retry_after,
            reasons=nobody.reasons,
        )
        unanswered.short = nobody.short
        return unanswered

    def _unanswered(self, code: str, message: str, **details: Any) -> Unanswered:
        decision = self.lease.decision if self.lease else None
        made = tuple(self.made)
        return Unanswered(code, message, attempts=made, request_id=self.request.id, decision=decision, **details)

    def _begun(self, lease: Lease) -> AttemptBegan:
        request, options = self.request, lease.backend.options
        return AttemptBegan(
            request.id,
            len(self.made) + 1,
            self._selection.clock.wall(),
            request.tenant,
            lease.backend.type,
            options.model,
            request.question.stream,
            lease.decision,
        )

    def _record(self, lease: Lease, outcome: Outcome) -> Attempt:
        request, options = self.request, lease.backend.options
        self._question_hash = self._question_hash or _hash(request.question.text)
        return Attempt(
            request_id=request.id,
            number=len(self.made),
            wall=self._selection.clock.wall(),
            tenant=request.tenant,
            tags=request.tags,
            backend_id=lease.backend_id,
            backend_type=lease.backend.type,
            model=outcome.model or options.model,
            stream=request.question.stream,
            decision=lease.decision,
            outcome=_without_words(outcome),
            decision_seconds=self._decision_seconds,
            question_hash=self._question_hash,
            features=self._features_of(lease.decision),
            features_version=FEATURES_VERSION,
            policy_version=self._selection.policy_version(lease.decision),
            config_hash=self._config_hash,
            session=request.session,
            role=request.role,
            key=request.key,
            question_tokens=request.input_tokens,
            parent=request.parent,
        )

    def _features_of(self, decision: Decision) -> dict[str, float]:
        """Numbers about the question, for replay: only chance shows what another choice would have brought."""
        if decision.probability < 1.0 and not self._features:
            self._features = hand_features(self.request.question.text) | embedding_in(self.request.features)
        return self._features if decision.probability < 1.0 else {}


def _final_code(outcome: Outcome) -> str:
    match outcome.verdict:
        case Verdict.THROTTLED:
            return "rate_limit_exceeded"
        case Verdict.NO_ANSWER:
            return "no_answer"
        case Verdict.IGNORED:
            own = outcome.error_code
            return own if own in ("context_length_exceeded", NOT_ALLOWED) else "invalid_request_error"
        case _:
            return "upstream_timeout" if outcome.error_code == "upstream_timeout" else "upstream_error"


def _without_words(outcome: Outcome) -> Outcome:
    """What an upstream said may repeat the question: that is for the caller, not for the records."""
    if outcome.said is None and outcome.client_error is None:
        return outcome
    return msgspec.structs.replace(outcome, said=None, client_error=None)


def _hash(text: str) -> str:
    """Enough to recognise a question asked twice, not to read it."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

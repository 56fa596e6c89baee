"""A whole reply: the answer with its bill and its reason."""

from __future__ import annotations

import msgspec

from equipoise.core.attempts import Attempted, Attempts
from equipoise.core.model import Answer, BackendType, Citation, CostSource, Decision, NanoUSD, Usage, dollars
from equipoise.core.selection import Lease

WEAKEST_LAST = (CostSource.METERED, CostSource.PRICED, CostSource.ESTIMATED, CostSource.UNPRICED)


class Decided:
    """What whoever has a decision can say of it."""

    __slots__ = ()
    decision: Decision

    @property
    def backend_id(self) -> str:
        """Who answers."""
        return self.decision.backend_id

    @property
    def strategy(self) -> str:
        """What chose."""
        return self.decision.strategy

    @property
    def reason(self) -> str:
        """Why it was chosen."""
        return self.decision.reason


class Reply(msgspec.Struct, Decided, kw_only=True):
    """An answer with its bill and its reason.

    `cost` is the sum over all attempts in nano-dollars, `cost_source` the weakest of theirs; `duration` and `overhead`
    (what was not spent waiting for an upstream) are seconds. `fallback_from` names who should have answered.
    `role` is the side of a migration that answered, or "answer" where there is none. `quality` is the answer's own, where
    it was looked at before it went out; `escalated_from` names whose answer was not good enough, with its quality.
    """

    request_id: str
    answer: Answer
    decision: Decision
    backend_type: BackendType
    attempts: tuple[Attempted, ...]
    cost: NanoUSD
    cost_source: CostSource
    duration: float
    overhead: float
    fallback_from: str | None = None
    corpus: str | None = None
    role: str = "answer"
    quality: float | None = None
    escalated_from: tuple[str, float] | None = None

    @property
    def text(self) -> str:
        """The words of the answer."""
        return self.answer.text

    @property
    def citations(self) -> list[Citation]:
        """The sources that came with the answer."""
        return self.answer.citations

    @property
    def usage(self) -> Usage:
        """Tokens of the attempt that answered."""
        return self.answer.usage

    @property
    def cost_usd(self) -> str:
        """The cost in exact decimal dollars."""
        return dollars(self.cost)


def reply_of(attempts: Attempts, lease: Lease, answer: Answer, duration: float) -> Reply:
    """Put a reply together once the answering attempt was settled."""
    made = tuple(attempts.made)
    source, upstream = made[-1].cost_source, 0.0
    for attempt in made:
        upstream += attempt.duration
        if attempt.cost and attempt.cost_source is not source:
            source = max(source, attempt.cost_source, key=WEAKEST_LAST.index)
    return Reply(
        request_id=attempts.request.id,
        answer=answer,
        decision=lease.decision,
        backend_type=lease.backend.options.type,
        attempts=made,
        cost=attempts.cost,
        cost_source=source,
        duration=duration,
        overhead=max(0.0, duration - upstream),
        fallback_from=attempts.fallback_from,
        corpus=lease.backend.options.corpus,
        role=attempts.request.role,
    )

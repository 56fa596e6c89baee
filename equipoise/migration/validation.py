"""The validation queries of a phase: real questions to the new side, paid, bounded and booked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from equipoise.balancer import Unanswered
from equipoise.canary.evidence import is_evidence
from equipoise.core.model import CostSource, NanoUSD, Request, dollars
from equipoise.core.rollout import PHASES, VALIDATION, Evidence
from equipoise.migration.split import SplitBalancer

AT_ONCE = 3


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one validation query; seconds and exact dollars."""

    question: str
    answered: bool
    seconds: float
    cost_usd: str
    backend: str | None
    error: str | None
    evidence: Evidence


async def validate(balancer: SplitBalancer, phase: int, queries: Sequence[str], most: NanoUSD) -> list[Validated]:
    """Ask a phase's queries of the new side, a few at once; `most` nano-dollars are the expected cost of all."""
    count = PHASES[phase].queries
    places, part = asyncio.Semaphore(AT_ONCE), most // count

    async def asked(text: str) -> Validated:
        async with places:
            return await _ask(balancer, balancer.for_validation(text, part))

    return await asyncio.gather(*(asked(queries[index % len(queries)]) for index in range(count)))


async def _ask(balancer: SplitBalancer, request: Request) -> Validated:
    text = request.question.text
    try:
        reply = await balancer.answer(request)
    except Unanswered as error:
        return _told(text, error=error.message, cost=error.cost, evidence=_evidence(error))
    known = reply.cost_source is not CostSource.UNPRICED
    evidence = Evidence(
        requests=1,
        answered=1,
        seconds=reply.duration,
        cost=reply.cost if known else 0,
        costed=int(known),
        quality=reply.quality or 0.0,
        scored=int(reply.quality is not None),
    )
    return _told(text, cost=reply.cost, backend=reply.backend_id, evidence=evidence)


def _evidence(error: Unanswered) -> Evidence:
    return Evidence(requests=int(is_evidence(VALIDATION, error)))


def _told(
    question: str, *, cost: NanoUSD, evidence: Evidence, backend: str | None = None, error: str | None = None
) -> Validated:
    return Validated(
        question=question,
        answered=error is None,
        seconds=evidence.seconds,
        cost_usd=dollars(cost),
        backend=backend,
        error=error,
        evidence=evidence,
    )


def summed(validated: Sequence[Validated]) -> Evidence:
    """The evidence of all together."""
    return sum((one.evidence for one in validated), Evidence())

"""What an attempt came to: its outcome, with what it cost and how that is known."""

from __future__ import annotations

from typing import Any

from equipoise.core.model import Answer, CostSource, NanoUSD, Outcome, Usage, Verdict
from equipoise.core.pricing import Price, settled_cost
from equipoise.core.selection import Lease

NO_USAGE = Usage(requests=0)


def answered(lease: Lease, answer: Answer, now: float, first_token: float | None = None) -> Outcome:
    """The outcome of an answer that is one."""
    cost, source = cost_of_usage(lease.backend.options.price, answer.usage, answer.metered_cost)
    return Outcome(
        verdict=Verdict.SUCCESS,
        duration=now - lease.started,
        first_token=None if first_token is None else first_token - lease.started,
        usage=answer.usage,
        cost=cost,
        cost_source=source,
        model=answer.model,
        finish_reason=answer.finish_reason,
        citations=len(answer.citations),
    )


def failed(
    lease: Lease,
    now: float,
    *,
    verdict: Verdict,
    error: str,
    code: str,
    status: int | None = None,
    retry_after: float | None = None,
    sent: bool = True,
    usage: Usage | None = None,
    metered_cost: NanoUSD | None = None,
    first_token: float | None = None,
    interrupted: bool = False,
    client_error: dict[str, Any] | None = None,
) -> Outcome:
    """The outcome of an attempt that gave no (whole) answer.

    What the upstream reported is booked; where it may have worked on the question without a report (lost connection,
    timeout, cut stream, an unreadable 200, cancellation), the question's input is booked as a possible cost, marked
    estimated. Who answers with an error status bills nothing.
    """
    if usage is None and sent and (status is None or status < 300):
        usage = Usage(input_tokens=lease.backend.input_tokens(lease.request), estimated=True)
    cost, source = 0, CostSource.ESTIMATED
    if usage is not None or metered_cost is not None:
        cost, source = cost_of_usage(lease.backend.options.price, usage or NO_USAGE, metered_cost)
    return Outcome(
        verdict=verdict,
        duration=now - lease.started,
        first_token=None if first_token is None else first_token - lease.started,
        usage=usage or NO_USAGE,
        cost=cost,
        cost_source=source,
        error=error,
        error_code=code,
        status=status,
        retry_after=retry_after,
        sent=sent,
        interrupted=interrupted,
        client_error=client_error,
    )


def cost_of_usage(price: Price | None, usage: Usage, metered: NanoUSD | None) -> tuple[NanoUSD, CostSource]:
    """Metered, else priced, else estimated; an unknown price is said to be unpriced, never passed off as free."""
    return settled_cost(price, usage, metered) or (0, CostSource.UNPRICED)

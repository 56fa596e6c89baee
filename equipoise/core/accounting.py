"""What an attempt came to: its outcome, with what it cost and how that is known."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.core.backend import LLM_VIA, Backend
from equipoise.core.gaps import Gaps
from equipoise.core.inner import Inner
from equipoise.core.model import Answer, CostSource, NanoUSD, Outcome, Usage, Verdict
from equipoise.core.pricing import BYTES_PER_TOKEN, Bill, Price, settled_cost, size_of
from equipoise.core.redaction import printable
from equipoise.core.selection import Lease

LONGEST_WORD = 128
"""Characters that are recorded of what an upstream calls its model and the end of an answer."""
_SUCCESS = Verdict.SUCCESS
NO_USAGE = Usage(requests=0)
NO_INNER = Inner()
NOTHING = Bill(0, CostSource.ESTIMATED, "")


def answered(
    lease: Lease, answer: Answer, now: float, first_token: float | None = None, gaps: Gaps | None = None
) -> Outcome:
    """The outcome of an answer that is one."""
    inner, usage = inner_of(lease), answer.usage
    if usage.estimated:
        usage = _better_known(lease.backend, usage, inner)
    bill = measured(lease) or bill_of(lease.backend.options.price, usage, answer.metered_cost)
    answer.usage = usage  # whoever asked is told what is booked
    return Outcome(
        verdict=_SUCCESS,
        duration=now - lease.started,
        first_token=None if first_token is None else first_token - lease.started,
        usage=usage,
        cost=bill.cost,
        cost_source=bill.source,
        price_source=bill.price,
        claimed_cost=bill.claimed,
        text_bytes=0 if answer.tool_calls or inner.calls else size_of(answer.text),
        inner_cost=inner.cost,
        inner_calls=inner.calls,
        joined=inner.how,
        model=printable(answer.model, LONGEST_WORD),
        finish_reason=printable(answer.finish_reason, LONGEST_WORD),
        citations=len(answer.citations),
        gaps=gaps,
    )


def failed(
    lease: Lease,
    now: float,
    *,
    verdict: Verdict,
    error: str,
    code: str,
    said: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
    sent: bool = True,
    usage: Usage | None = None,
    metered_cost: NanoUSD | None = None,
    first_token: float | None = None,
    interrupted: bool = False,
    client_error: dict[str, Any] | None = None,
    gaps: Gaps | None = None,
) -> Outcome:
    """The outcome of an attempt that gave no (whole) answer.

    What the upstream reported is booked; where it may have worked on the question without a report (lost connection,
    timeout, cut stream, an unreadable 200, cancellation), the question's input is booked as a possible cost, marked
    estimated. Who answers with an error status bills nothing.
    """
    if usage is None and sent and (status is None or status < 300):
        usage = Usage(input_tokens=lease.backend.input_tokens(lease.request), estimated=True)
    bill, inner = NOTHING, inner_of(lease)
    if (own := measured(lease)) is not None:
        bill = own
    elif usage is not None or metered_cost is not None:
        bill = bill_of(lease.backend.options.price, usage or NO_USAGE, metered_cost)
    return Outcome(
        verdict=verdict,
        duration=now - lease.started,
        first_token=None if first_token is None else first_token - lease.started,
        usage=usage or NO_USAGE,
        cost=bill.cost,
        cost_source=bill.source,
        price_source=bill.price,
        claimed_cost=bill.claimed,
        inner_cost=inner.cost,
        inner_calls=inner.calls,
        joined=inner.how,
        error=error,
        said=said,
        error_code=code,
        status=status,
        retry_after=retry_after,
        sent=sent,
        interrupted=interrupted,
        client_error=client_error,
        gaps=gaps,
    )


def _better_known(backend: Backend, estimated: Usage, inner: Inner) -> Usage:
    """An estimated usage as a graph's own questions show it, from which is learned; else in the backend's own tokens."""
    if not inner.exact:
        counts = (round(estimated.input_tokens * backend.scale), round(estimated.output_tokens * backend.scale))
        return msgspec.structs.replace(estimated, input_tokens=counts[0], output_tokens=counts[1])
    guess, real = (usage.input_tokens + usage.output_tokens for usage in (estimated, inner.usage))
    backend.counted(round(guess * BYTES_PER_TOKEN), real)
    return inner.usage


def inner_of(lease: Lease) -> Inner:
    """What a graph's own questions came to, where they come through us."""
    inner = lease.backend.inner
    return NO_INNER if inner is None else inner.so_far(lease.request.id)


def measured(lease: Lease) -> Bill | None:
    """A graph that asks through us bills nothing itself: its questions have records of their own. None until one came,
    for it may be that the server was never told to ask here; then nobody knows what it costs."""
    inner, price = lease.backend.inner, lease.backend.options.price
    if inner is None:
        return None
    if inner.seen:
        return Bill(0, CostSource.METERED, LLM_VIA)
    return Bill(0, CostSource.UNPRICED, "") if price is None or price.source == LLM_VIA else None


def bill_of(price: Price | None, usage: Usage, metered: NanoUSD | None) -> Bill:
    """Metered, else priced, else estimated; an unknown price is said to be unpriced, never passed off as free."""
    return settled_cost(price, usage, metered) or Bill(0, CostSource.UNPRICED, "", metered)

"""What a load test came to: the specification's six lines, and what they leave out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from equipoise.cli.loading import Plan, Taken

Document = dict[str, Any]
LATE_MS = 20.0
"""Lateness of the generator (99th percentile) above which its figures are its own as much as the target's."""


def summary(plan: Plan, taken: Sequence[Taken], elapsed: float) -> Document:
    """All figures; times in milliseconds, of answered questions, from the instant each was to be sent."""
    answered = [each for each in taken if each.answered]
    streams = [each for each in taken if each.streamed]
    whole = sorted(each.seconds * 1e3 for each in answered)
    first = sorted(each.first * 1e3 for each in answered if each.streamed)
    late = sorted(each.late * 1e3 for each in taken)
    return {
        "total_requests": len(taken),
        "successful": len(answered),
        "failed": len(taken) - len(answered),
        "average_response_time_ms": sum(whole) / len(whole) if whole else None,
        "p50_ms": percentile(whole, 50),
        "p95_ms": percentile(whole, 95),
        "p99_ms": percentile(whole, 99),
        "max_ms": whole[-1] if whole else None,
        "requests_per_second": len(taken) / elapsed,
        "intended_requests_per_second": plan.rate,
        "seconds": elapsed,
        "streams": len(streams),
        "streams_failed": sum(not each.answered for each in streams),
        "ttft_ms": {f"p{share}": percentile(first, share) for share in (50, 95, 99)} if streams else None,
        "errors": dict(Counter(each.fate for each in taken if not each.answered).most_common()),
        "generator_late_ms": {"p50": percentile(late, 50), "p99": percentile(late, 99)},
    }


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank: the smallest value that so many percent do not exceed; None of nothing."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)] if ordered else None


def lines(found: Document) -> list[str]:
    """For people: first the six lines as specified, then the rest."""
    total = found["total_requests"] or 1
    shown = [
        "Load Test Results:",
        f"Total requests: {found['total_requests']}",
        f"Successful: {found['successful']} ({100 * found['successful'] / total:.1f}%)",
        f"Failed: {found['failed']} ({100 * found['failed'] / total:.1f}%)",
        f"Average response time: {_ms(found['average_response_time_ms'])}",
        f"95th percentile response time: {_ms(found['p95_ms'])}",
        f"Requests per second: {found['requests_per_second']:.2f}",
        "",
        f"Response time p50 / p99 / max: {_ms(found['p50_ms'])} / {_ms(found['p99_ms'])} / {_ms(found['max_ms'])}",
    ]
    if found["streams"]:
        first = " / ".join(_ms(value) for value in found["ttft_ms"].values())
        shown.append(f"Time to first token p50 / p95 / p99: {first} ({found['streams']} streams)")
    shown += [f"  {count} x {fate}" for fate, count in found["errors"].items()]
    return [*shown, *_candour(found)]


def _candour(found: Document) -> list[str]:
    late = found["generator_late_ms"]["p99"] or 0.0
    told = [f"Sent in an open loop, times from when each was to be sent; generator late by {_ms(late)} at p99."]
    if late > LATE_MS:
        told.append("The generator could not keep its pace: these times are its own as much as the target's.")
    return told


def failed_gates(found: Document, max_errors: float | None, max_p99: float | None) -> list[str]:
    """A sentence for each gate that was missed: errors in percent of all requests, p99 in milliseconds."""
    errors, p99 = 100 * found["failed"] / max(1, found["total_requests"]), found["p99_ms"]
    missed = []
    if max_errors is not None and errors > max_errors:
        missed.append(f"{errors:.2f} % of the requests failed, {max_errors:g} % may")
    if max_p99 is not None and (p99 is None or p99 > max_p99):
        missed.append(f"p99 is {_ms(p99)}, it may be {max_p99:g}ms")
    return missed


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}ms"

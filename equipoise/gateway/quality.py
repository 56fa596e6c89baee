"""How good the answers were, over the admin listener: GET /admin/quality?hours=168."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

import msgspec

from equipoise.gateway.problems import Problem
from equipoise.gateway.records import readable
from equipoise.http import Request
from equipoise.scoring.report import lines

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer

QUALITY = "/admin/quality"
HOURS = 168.0


class Sums(Protocol):
    """Where the sums by backend and kind come from; raises StoreError."""

    async def sums(self, since: float = 0.0, tenant: str | None = None) -> tuple[list[dict[str, Any]], ...]: ...


def operations(
    balancer: LoadBalancer, records: Sums | None
) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]]:
    """Method and path to what is done there."""

    async def report(request: Request) -> dict[str, Any]:
        if records is None:
            raise Problem(404, "no_ledger", "No ledger is kept, so there is nothing to report from.")
        hours = _hours(request.query)
        scored, spent = await readable(records.sums(time.time() - hours * 3600.0))
        scorer = balancer.scorer
        return {
            "hours": hours,
            "lines": msgspec.to_builtins(lines(scored, spent)),
            "scoring": scorer.status() if scorer is not None else {},
        }

    return {("GET", QUALITY): report}


def _hours(query: str) -> float:
    said = parse_qs(query).get("hours", [str(HOURS)])[-1]
    try:
        hours = float(said)
    except ValueError:
        hours = math.nan
    if not 0.0 < hours < math.inf:
        raise Problem(400, "invalid_request_error", "hours is a number above 0.", param="hours", should_retry=False)
    return hours

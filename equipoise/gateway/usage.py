"""What one key has used: told to whoever shows it, and to nobody else.

GET /me/usage   this day, this month and each of the last thirty days (UTC), by backend too, with the key's limits
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from equipoise.core.callers import Caller
from equipoise.gateway.records import Usage
from equipoise.stores import Ledger
from equipoise.stores.database import Connection
from equipoise.stores.ledger import FOREVER
from equipoise.stores.reports import Wanted, sums
from equipoise.stores.reuses import Reuses, saved

DAYS = 30
SHOWN = ("requests", "attempts", "input_tokens", "output_tokens", "cost_usd")
NOTHING: dict[str, Any] = dict.fromkeys(SHOWN[:-1], 0) | {"cost_usd": "0.000000000"}


def usage_of(ledger: Ledger, reuses: Reuses | None = None, wall: Callable[[], float] = time.time) -> Usage:
    """Tells a caller's usage from the ledger."""

    async def used(caller: Caller) -> dict[str, Any]:
        if reuses is not None:
            await reuses.flush()
        return await ledger.query(partial(told, caller=caller, wall=wall()))

    return used


def told(connection: Connection, caller: Caller, wall: float) -> dict[str, Any]:
    """The document; a key without a name of its own is told what its tenant used."""
    where = {"key": caller.key, "tenant": caller.tenant} if caller.key else {"tenant": caller.tenant}
    now = datetime.fromtimestamp(wall, UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month, days = today.replace(day=1), today - timedelta(days=DAYS - 1)

    def since(moment: datetime, *by: str) -> list[dict[str, Any]]:
        found = sums(connection, Wanted(since=moment.timestamp(), where=where), by)
        return [{name: row[name] for name in (*by, *SHOWN)} for row in found]

    def again(moment: datetime) -> dict[str, Any]:
        """Answers that cost nothing, being given again, and what they would have cost."""
        return saved(connection, moment.timestamp(), FOREVER, where)[0]

    return {
        "object": "equipoise.usage",
        "key": caller.key or None,
        "tenant": caller.tenant,
        "today": next(iter(since(today)), NOTHING),
        "month": next(iter(since(month)), NOTHING),
        "month_by_backend": since(month, "backend"),
        "days": since(days, "day"),
        "given_again": {name: again(moment) for name, moment in (("today", today), ("month", month))},
        "terms": terms_of(caller),
    }


def terms_of(caller: Caller) -> dict[str, Any]:
    """What the key may do, for people and programs."""
    return {
        "routes": sorted(caller.routes) if caller.routes is not None else None,
        "strategies": sorted(caller.strategies) if caller.strategies is not None else None,
        "budgets": list(caller.budgets),
        "requests_per_minute": caller.requests_per_minute,
        "tokens_per_minute": caller.tokens_per_minute,
        "expires": datetime.fromtimestamp(caller.expires, UTC).isoformat() if caller.expires is not None else None,
    }

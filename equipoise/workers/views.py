"""What several workers say of the same backends, as one document: work adds up, and of two opinions the worse is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

Document = dict[str, Any]
SUMS = ("in_flight", "requests", "errors", "no_answers")
WORSE = ("closed", "half_open", "open")
COUNTS = ("in_flight", "waiting", "turned_away")


def merged(documents: Sequence[Mapping[str, Any]]) -> Document:
    """The status of several balancers as that of one; {} of none."""
    if not documents:
        return {}
    rows: dict[str, Document] = {}
    for row in (row for document in documents for row in document["backends"]):
        rows[row["id"]] = _beside(rows[row["id"]], row) if row["id"] in rows else dict(row)
    sums = {name: sum(of[name] for of in documents) for name in COUNTS if name in documents[0]}
    return {**documents[0], **sums, "backends": list(rows.values())}


def _beside(one: Document, other: Mapping[str, Any]) -> Document:
    """Two rows of one backend: `one` tells what is not a sum, except where `other` is worse off."""
    found = {**one, **{name: one[name] + other[name] for name in SUMS}}
    found["cost_usd"] = f"{Decimal(one['cost_usd']) + Decimal(other['cost_usd']):.9f}"
    found["checks"] = {name: one["checks"][name] + other["checks"][name] for name in one["checks"]}
    found["health"] = min(one["health"], other["health"])
    found["why_not"] = one["why_not"] or other["why_not"]
    found["draining"] = one["draining"] or other["draining"]
    found["breaker"] = _breaker(one["breaker"], other["breaker"])
    found["status"] = one["status"] if one["health"] <= other["health"] else other["status"]
    whole = found["requests"]
    for name in ("response_time", "first_token", "seconds_per_token", "success_rate", "pace"):
        share = one["requests"] / whole if whole else 1.0
        found[name] = round(one[name] * share + other[name] * (1.0 - share), 6)
    return found


def _breaker(one: Mapping[str, Any], other: Mapping[str, Any]) -> Document:
    lead, rest = sorted((one, other), key=lambda of: WORSE.index(of["state"]), reverse=True)
    return {**lead, **{name: lead[name] + rest[name] for name in ("calls", "failures", "slow")}}

"""Rows and sums of the ledger for people and programs: filtered, grouped, bounded. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from equipoise.core.model import dollars
from equipoise.stores.database import Connection, Row
from equipoise.stores.quality import WEIGHTIEST
from equipoise.stores.rows import COLUMNS, DOCUMENTS, FLAGS

GROUPS = {
    "day": "strftime('%Y-%m-%d', attempts.wall, 'unixepoch')",
    "hour": "strftime('%Y-%m-%d %H:00', attempts.wall, 'unixepoch')",
    "month": "strftime('%Y-%m', attempts.wall, 'unixepoch')",
    "backend": "attempts.backend_id",
    "type": "attempts.backend_type",
    "model": "attempts.model",
    "tenant": "attempts.tenant",
    "key": "attempts.key",
    "route": "attempts.route",
    "strategy": "attempts.strategy",
    "kind": "attempts.kind",
    "verdict": "attempts.verdict",
    "role": "attempts.role",
    "source": "attempts.cost_source",
    "price": "attempts.price_source",
    "tag": "tag.value",
}
"""What records can be grouped by. Days are UTC. A record counts once for each of its tags, and none for having none."""

FILTERS = ("tenant", "key", "backend", "route", "strategy", "model", "kind", "verdict", "role", "source", "price")
QUALITY = f"""
SELECT quality FROM quality WHERE quality.request_id = attempts.request_id AND quality.number = attempts.number
    AND quality.tenant = attempts.tenant
ORDER BY {WEIGHTIEST} LIMIT 1
"""  # noqa: S608 - a constant
"""The quality of an attempt by the weightiest voice there is, as part of a statement over attempts."""
FLAT = tuple(name for name in COLUMNS if name != "decision")
"""The columns of a record as a table has them: the grounds of a decision are told by /v1/requests."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: those with a wall time in [since, until) (Unix seconds) and all of these values.

    `where` holds names of FILTERS with the one value each must have; `tag` is one of a record's tags.
    """

    since: float = 0.0
    until: float = 1e18
    where: dict[str, str] = {}
    tag: str | None = None


def records(connection: Connection, wanted: Wanted, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Records in the order of time, the last `limit` of them, each with its quality where that is known."""
    condition, values = condition_of(wanted)
    columns = ", ".join(f"attempts.{name}" for name in FLAT)
    newest = f"SELECT {columns}, ({QUALITY}) AS quality FROM attempts WHERE {condition}"  # noqa: S608 - our own words
    sql = f"{newest} ORDER BY wall, request_id, number"
    if limit is not None:
        sql = f"SELECT * FROM ({newest} ORDER BY wall DESC, request_id DESC, number DESC LIMIT ?) AS newest ORDER BY wall, request_id, number"  # noqa: S608
        values = [*values, limit]
    for row in connection.execute(sql, values):
        yield _record(row)


def sums(connection: Connection, wanted: Wanted, by: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row for each group: counts, tokens, cost (nano-dollars and dollars), mean latency in seconds.

    Raises KeyError for what is no group.
    """
    condition, values = condition_of(wanted)
    groups = [f'{GROUPS[name]} AS "{name}"' for name in by]
    source = "attempts, json_each(attempts.tags) AS tag" if "tag" in by else "attempts"
    numbers = ", ".join(str(number + 1) for number in range(len(by)))
    sql = f"SELECT {', '.join([*groups, _SUMS])} FROM {source} WHERE {condition}"  # noqa: S608 - our own words
    sql += f" GROUP BY {numbers} ORDER BY {numbers}" if by else ""
    rows = [dict(row) for row in connection.execute(sql, values)]
    return [row | {"cost_usd": dollars(row["cost"])} for row in rows if by or row["attempts"]]


_SUMS = """
COUNT(*) AS attempts, COUNT(DISTINCT request_id) AS requests, COUNT(*) FILTER (WHERE verdict = 'success') AS answers,
SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens, SUM(searches) AS searches,
COUNT(*) FILTER (WHERE cost_source = 'estimated') AS estimated, COUNT(*) FILTER (WHERE cost_source = 'unpriced') AS unpriced,
COUNT(claimed_cost) AS disputed, AVG(latency) AS mean_latency, AVG(first_token) AS mean_first_token,
SUM(cost) AS cost
"""


def condition_of(wanted: Wanted) -> tuple[str, list[Any]]:
    """A condition of our own words, and the values it is about."""
    parts, values = ["attempts.wall >= ?", "attempts.wall < ?"], [wanted.since, wanted.until]
    for name, value in wanted.where.items():
        if name not in FILTERS:
            raise KeyError(name)
        parts.append(f"{GROUPS[name]} = ?")
        values.append(value)  # type: ignore[arg-type]
    if wanted.tag is not None:
        parts.append("EXISTS (SELECT 1 FROM json_each(attempts.tags) AS one WHERE one.value = ?)")
        values.append(wanted.tag)  # type: ignore[arg-type]
    return " AND ".join(parts), list(values)


def _record(row: Row) -> dict[str, Any]:
    record = dict(row)
    record |= {name: bool(record[name]) for name in FLAGS}
    record |= {name: json.loads(record[name]) for name in DOCUMENTS}
    return record | {"cost_usd": dollars(record["cost"])}

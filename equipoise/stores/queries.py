"""What the ledger is asked: stories, sums, one line a backend."""

from __future__ import annotations

from typing import Any

from equipoise.core.model import NanoUSD, dollars
from equipoise.stores.database import Connection, Row
from equipoise.stores.rows import story_of

DAY = 86_400.0
MOST_INNER = 200
"""Questions of a graph that are told with the one that caused them."""

# Percentiles by rank: the smallest latency that at least that share of the attempts did not exceed.
_SUMMARY = """
WITH ranked AS (
    SELECT backend_id, verdict, interrupted, input_tokens, output_tokens, citations, cost, cost_source, latency,
           ROW_NUMBER() OVER (PARTITION BY backend_id ORDER BY latency NULLS FIRST) AS rank,
           COUNT(*) OVER (PARTITION BY backend_id) AS count
    FROM attempts WHERE wall >= ?
)
SELECT backend_id, COUNT(*) AS attempts, COUNT(*) FILTER (WHERE verdict = 'success') AS successes,
       COUNT(*) FILTER (WHERE verdict NOT IN ('success', 'ignored')) AS failures, SUM(interrupted) AS interrupted,
       SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens, SUM(citations) AS citations,
       SUM(cost) AS cost, COUNT(*) FILTER (WHERE cost_source = 'estimated') AS estimated,
       COUNT(*) FILTER (WHERE cost_source = 'unpriced') AS unpriced,
       AVG(latency) AS mean_latency,
       MIN(CASE WHEN rank >= 0.50 * count THEN latency END) AS p50_latency,
       MIN(CASE WHEN rank >= 0.95 * count THEN latency END) AS p95_latency
FROM ranked GROUP BY backend_id ORDER BY backend_id
"""


def story(connection: Connection, request_id: str) -> list[dict[str, Any]] | None:
    """The attempts of one request in order, then those its graph had made for it; None when there is no such request."""
    own = connection.execute("SELECT * FROM attempts WHERE request_id = ? ORDER BY number", (request_id,))
    inner = connection.execute(
        "SELECT * FROM attempts WHERE parent = ? ORDER BY wall, number LIMIT ?", (request_id, MOST_INNER)
    )
    stories = [story_of(row) for row in (*own, *inner)]
    return stories or None


_SCOPE = "(tenant = :tenant OR :tenant IS NULL) AND (backend_id = :backend_id OR :backend_id IS NULL)"
_TOTAL = f"""
SELECT (SELECT COALESCE(SUM(cost), 0) FROM attempts WHERE wall >= :since AND wall < :until AND {_SCOPE})
     + (SELECT COALESCE(SUM(cost), 0) FROM retired
        WHERE day * 86400.0 >= :since AND (day + 1) * 86400.0 <= :until AND {_SCOPE})
"""  # noqa: S608 - two constants


def total_cost(
    connection: Connection, since: float, until: float, tenant: str | None, backend_id: str | None
) -> NanoUSD:
    """The exact sum over attempts with a wall time in [since, until); what retention removed counts by whole UTC days."""
    values = {"since": since, "until": until, "tenant": tenant, "backend_id": backend_id}
    return int(connection.execute(_TOTAL, values).fetchone()[0])


def summary(connection: Connection, since: float) -> list[dict[str, Any]]:
    """One row a backend over the attempts since then: counts, tokens, cost, latency in seconds."""
    rows = [dict(row) for row in connection.execute(_SUMMARY, (since,))]
    return [row | {"cost_usd": dollars(row["cost"])} for row in rows]


def gaps(connection: Connection) -> list[dict[str, Any]]:
    """When attempts could not be recorded, how many, and what they cost."""
    return [dict(row) for row in connection.execute("SELECT * FROM gaps ORDER BY first_wall")]


def retire(connection: Connection, before: float, keep: int, most: int) -> int:
    """Remove about `most` of the oldest attempts that are too old or too many, adding them to the sums by day.

    Inside the caller's transaction. Gives the number removed.
    """
    (count,) = connection.execute("SELECT COUNT(*) FROM attempts").fetchone()
    surplus = count - keep
    if surplus > 0:
        before = max(before, _wall_at(connection, min(surplus, most)))
    before = min(before, _wall_at(connection, most))
    gone = connection.execute(_REMOVE, (before,)).fetchall()
    connection.executemany(_ADD_TO_SUMS, _sums(gone))
    return len(gone)


def _sums(gone: list[Row]) -> list[tuple[Any, ...]]:
    """Attempts, tokens and money by UTC day, tenant and backend."""
    found: dict[tuple[int, str, str], list[int]] = {}
    for wall, tenant, backend_id, *amounts in gone:
        sums = found.setdefault((int(wall // DAY), tenant, backend_id), [0, 0, 0, 0])
        sums[:] = [sum(pair) for pair in zip(sums, (1, *amounts), strict=True)]
    return [(*key, *sums) for key, sums in sorted(found.items())]


def _wall_at(connection: Connection, rank: int) -> float:
    row = connection.execute("SELECT wall FROM attempts ORDER BY wall LIMIT 1 OFFSET ?", (rank,)).fetchone()
    return float("inf") if row is None else float(row[0])


# What was removed is what is summed: another gateway may remove, or record, at the same time.
_REMOVE = "DELETE FROM attempts WHERE wall < ? RETURNING wall, tenant, backend_id, input_tokens, output_tokens, cost"
_ADD_TO_SUMS = """
INSERT INTO retired (day, tenant, backend_id, attempts, input_tokens, output_tokens, cost) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, tenant, backend_id) DO UPDATE SET attempts = retired.attempts + excluded.attempts,
    input_tokens = retired.input_tokens + excluded.input_tokens,
    output_tokens = retired.output_tokens + excluded.output_tokens, cost = retired.cost + excluded.cost
"""

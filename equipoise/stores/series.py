"""What the pictures of the dashboard are drawn from: sums and percentiles by step of time. Reads only, bounded in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from equipoise.stores.database import Connection
from equipoise.stores.quality import WEIGHTIEST
from equipoise.stores.reports import QUALITY, Wanted, condition_of
from equipoise.stores.rows import story_of

T = TypeVar("T")
MOST_RANKED = 100_000
"""Attempts whose latencies are ranked: the newest of a range."""
MOST_STEPS = 5_000
PATIENCE = 4.0
"""Seconds one question to the ledger may take."""

# Percentiles by rank, as in the summary: the smallest value that at least that share did not exceed.
_RANKED = """
WITH chosen AS (
    SELECT CAST(FLOOR(attempts.wall / :step) AS BIGINT) * :step AS moment, backend_id, latency, first_token
    FROM attempts WHERE {condition} AND verdict = 'success' AND latency IS NOT NULL
    ORDER BY attempts.wall DESC LIMIT :most
), ranked AS (
    SELECT moment, backend_id, latency, first_token,
           ROW_NUMBER() OVER (PARTITION BY {part} ORDER BY latency) AS rank,
           COUNT(*) OVER (PARTITION BY {part}) AS count,
           ROW_NUMBER() OVER (PARTITION BY {part} ORDER BY first_token IS NULL, first_token) AS first_rank,
           COUNT(first_token) OVER (PARTITION BY {part}) AS first_count
    FROM chosen
)
SELECT {shown}, COUNT(*) AS answers,
       MIN(CASE WHEN rank >= 0.50 * count THEN latency END) AS p50,
       MIN(CASE WHEN rank >= 0.95 * count THEN latency END) AS p95,
       MIN(CASE WHEN rank >= 0.99 * count THEN latency END) AS p99,
       MIN(CASE WHEN first_rank >= 0.50 * first_count AND first_rank <= first_count THEN first_token END) AS first_token_p50,
       MIN(CASE WHEN first_rank >= 0.95 * first_count AND first_rank <= first_count THEN first_token END) AS first_token_p95
FROM ranked GROUP BY {part} ORDER BY {part} LIMIT :limit
"""


def patiently(query: Callable[[Connection], T], seconds: float = PATIENCE) -> Callable[[Connection], T]:
    """The same query, given up after so many seconds: the engine's error, or StoreError from where it is asked."""

    def run(connection: Connection) -> T:
        connection.patience(seconds)
        return query(connection)

    return run


def traffic(connection: Connection, wanted: Wanted, step: float) -> list[dict[str, Any]]:
    """One row a step (seconds) and backend: attempts, answers, failures, tokens, nano-dollars."""
    return _grouped(connection, wanted, step, "backend_id", _SUMS)


def errors(connection: Connection, wanted: Wanted, step: float) -> list[dict[str, Any]]:
    """One row a step and class of error: how many attempts ended so."""
    classes = "COALESCE(NULLIF(error_code, ''), verdict) AS class"
    return _grouped(connection, wanted, step, classes, "COUNT(*) AS count", "AND verdict <> 'success'")


def _grouped(
    connection: Connection, wanted: Wanted, step: float, by: str, sums: str, more: str = ""
) -> list[dict[str, Any]]:
    condition, values = condition_of(wanted)
    sql = (
        f"SELECT CAST(FLOOR(attempts.wall / ?) AS BIGINT) * ? AS moment, {by}, {sums} FROM attempts "  # noqa: S608 - our own words
        f"WHERE {condition} {more} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {MOST_STEPS}"
    )
    return [dict(row) for row in connection.execute(sql, [step, step, *values])]


_SUMS = """
COUNT(*) AS attempts, COUNT(*) FILTER (WHERE verdict = 'success') AS answers,
COUNT(*) FILTER (WHERE verdict NOT IN ('success', 'ignored')) AS failures,
SUM(input_tokens + output_tokens) AS tokens, SUM(cost) AS cost
"""


def latency(connection: Connection, wanted: Wanted, step: float | None) -> list[dict[str, Any]]:
    """Percentiles of answers' seconds by step and backend; by backend alone without a step."""
    part = "backend_id" if step is None else "moment, backend_id"
    condition, values = condition_of(wanted)
    named = {f"v{i}": value for i, value in enumerate(values)}
    for name in named:
        condition = condition.replace("?", f":{name}", 1)
    sql = _RANKED.format(condition=condition, part=part, shown=part)
    bounds = {"step": step or 1.0, "most": MOST_RANKED, "limit": MOST_STEPS}
    return [dict(row) for row in connection.execute(sql, named | bounds)]


def efficiency(connection: Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """One row a backend: attempts, answers, failures, nano-dollars, and the mean quality of the answers that were scored."""
    condition, values = condition_of(wanted)
    sql = f"SELECT backend_id, {_SUMS} FROM attempts WHERE {condition} GROUP BY 1 ORDER BY 1"  # noqa: S608 - our own words
    worth = {row["backend_id"]: row for row in _worth(connection, wanted, "0")}
    return [dict(row) | _quality(worth.get(row["backend_id"])) for row in connection.execute(sql, values)]


def _quality(row: dict[str, Any] | None) -> dict[str, Any]:
    return {"quality": row["quality"], "scored": row["scored"]} if row else {"quality": None, "scored": 0}


def quality(connection: Connection, wanted: Wanted, step: float) -> list[dict[str, Any]]:
    """One row a step and backend: the mean of the weightiest opinion of each answer, its standard error, how many."""
    return _worth(connection, wanted, "CAST(FLOOR(wall / :step) AS BIGINT) * :step", step)


def _worth(connection: Connection, wanted: Wanted, moment: str, step: float = 1.0) -> list[dict[str, Any]]:
    sql = f"""
    SELECT {moment} AS moment, backend_id, COUNT(*) AS scored, AVG(quality) AS quality,
           AVG(quality * quality) AS squared
    FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY request_id, number ORDER BY {WEIGHTIEST}) AS place
          FROM quality WHERE wall >= :since AND role <> 'judge' AND (backend_id = :backend OR :backend IS NULL)
                         AND (route = :route OR :route IS NULL) AND (tenant = :tenant OR :tenant IS NULL)) AS voices
    WHERE place = 1 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {MOST_STEPS}
    """  # noqa: S608 - our own words
    scope = {name: wanted.where.get(name) for name in ("backend", "route", "tenant")}
    rows = connection.execute(sql, {"step": step, "since": wanted.since, **scope})
    return [_with_error(**dict(row)) for row in rows]


def _with_error(squared: float, **row: Any) -> dict[str, Any]:
    """With the standard error of the mean."""
    return row | {"error": math.sqrt(max(0.0, squared - row["quality"] ** 2) / row["scored"])}


def newest(connection: Connection, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """The newest attempts with the grounds of their decisions, newest first."""
    condition, values = condition_of(wanted)
    sql = f"SELECT attempts.*, ({QUALITY}) AS worth FROM attempts WHERE {condition} ORDER BY wall DESC LIMIT ?"  # noqa: S608
    return [story_of(row) | {"quality": row["worth"]} for row in connection.execute(sql, [*values, limit])]


def spent(connection: Connection, wanted: Wanted, step: float) -> list[dict[str, Any]]:
    """One row a step: nano-dollars."""
    condition, values = condition_of(wanted)
    sql = f"SELECT CAST(FLOOR(wall / ?) AS BIGINT) * ? AS moment, SUM(cost) AS cost FROM attempts WHERE {condition} GROUP BY 1 ORDER BY 1 LIMIT {MOST_STEPS}"  # noqa: S608
    return [dict(row) for row in connection.execute(sql, [step, step, *values])]


def asked(query: Callable[..., T], *arguments: Any) -> Callable[[Connection], T]:
    """A query of this module with its arguments, given up in time."""
    return patiently(lambda connection: partial(query, connection)(*arguments))

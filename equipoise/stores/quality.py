"""The record of how good answers were, in the ledger's file beside their attempts; written beside the request path."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from equipoise.core.events import AnswerScored, Event, hears
from equipoise.stores.database import Connection, Database, Row
from equipoise.stores.ledger import SETTLE_SECONDS
from equipoise.stores.sqlite import database_of, ledger_schema
from equipoise.stores.tables import QUALITY
from equipoise.stores.writer import BatchWriter

T = TypeVar("T")
Story: TypeAlias = Callable[[str], Awaitable[list[dict[str, Any]] | None]]
SHOWN = ("source", "voice", "quality", "variance", "score", "dimensions", "wall")
# Of several opinions of an answer the weightiest counts.
WEIGHTIEST = (
    "CASE voice WHEN 'expert' THEN 0 WHEN 'rating' THEN 1 WHEN 'automated' THEN 2 WHEN 'judge' THEN 3 ELSE 4 END"
)
_BEST = f"""
WITH ranked AS (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY request_id, number ORDER BY {WEIGHTIEST}
    ) AS place FROM quality WHERE wall >= :since AND (tenant = :tenant OR :tenant IS NULL)
)
SELECT backend_id, kind, COUNT(*) AS scored, SUM(quality) AS quality, SUM(quality * quality) AS squared,
       SUM(variance) AS variance, COUNT(*) FILTER (WHERE source = 'judge') AS judged, COUNT(*) FILTER (WHERE source = 'feedback') AS rated
FROM ranked WHERE place = 1 GROUP BY backend_id, kind ORDER BY backend_id, kind
"""  # noqa: S608 - a constant
# What a graph asked through us for its answer is in its inner_cost, and no answer of its own.
_SPENT = """
SELECT backend_id, kind, COUNT(*) AS attempts, COUNT(*) FILTER (WHERE verdict = 'success') AS answers,
       COUNT(*) FILTER (WHERE verdict = 'no_answer') AS no_answers, SUM(cost + inner_cost) AS cost,
       SUM(1.0 * (cost + inner_cost) * (cost + inner_cost)) AS squared,
       COUNT(*) FILTER (WHERE cost_source = 'unpriced') AS unpriced
FROM attempts WHERE wall >= :since AND role != 'judge' AND parent IS NULL AND verdict != 'ignored'
    AND (tenant = :tenant OR :tenant IS NULL)
GROUP BY backend_id, kind ORDER BY backend_id, kind
"""
TIDY_SECONDS = 3600.0


class QualityRecords:
    """Keeps every opinion of an answer, the latest of each voice; those older than `max_age` seconds are removed.

    `where` is the ledger's file or database. At most `capacity` opinions wait for the disk; what comes after is dropped and counted.
    Raises StoreError when it cannot be opened.
    """

    def __init__(
        self,
        where: str | Path | Database,
        *,
        batch_seconds: float = 0.5,
        capacity: int = 20_000,
        max_age: float = 90 * 86_400.0,
        wall: Callable[[], float] = time.time,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.database, self.dropped = database_of(where, ledger_schema()), 0
        self._wall, self._max_age, self._next_tidy = wall, max_age, 0.0
        self._on_error = on_error
        self._books = self.database.books(QUALITY.name, self._unwritable, self._chore)
        self._books.begin()
        self._writer = BatchWriter[AnswerScored](
            self._write, batch_seconds=batch_seconds, capacity=capacity, tidy=self._books.tidy, on_error=on_error
        )

    @hears(AnswerScored)
    def observe(self, event: Event) -> None:
        """Record what an answer was worth; other events are not for this record. Never waits."""
        if type(event) is AnswerScored and not self._writer.put(event):
            self.dropped += 1

    async def close(self) -> None:
        """Write what is left and close the file, beside the loop."""
        await asyncio.to_thread(self._close)

    async def of(self, request_id: str) -> list[dict[str, Any]]:
        """The opinions of a request's answers, by attempt and time."""
        query = "SELECT * FROM quality WHERE request_id = ? ORDER BY number, wall"
        return [_told(row) for row in await self._read(lambda it: it.execute(query, (request_id,)).fetchall())]

    async def sums(self, since: float = 0.0, tenant: str | None = None) -> tuple[list[dict[str, Any]], ...]:
        """Sums by backend and kind of question since then: of the opinions that count, and of what was spent.

        Money in nano-dollars; attempts for a judge, and those that are no evidence, are left out of the second.
        """
        values = {"since": since, "tenant": tenant}

        def both(connection: Connection) -> tuple[list[dict[str, Any]], ...]:
            return tuple([dict(row) for row in connection.execute(query, values)] for query in (_BEST, _SPENT))

        return await self._read(both)

    async def _read(self, query: Callable[[Connection], T]) -> T:
        if self._writer.pending or self._books.health().queued:
            await asyncio.wrap_future(self._writer.flush())
            await asyncio.to_thread(self._books.settle, SETTLE_SECONDS)
        return await asyncio.to_thread(self._query, query)

    def _query(self, query: Callable[[Connection], T]) -> T:
        with self.database.reading("the quality of answers") as connection:
            return query(connection)

    def _close(self) -> None:
        if self._writer.is_alive():
            self.dropped += len(self._writer.close())
        if not self._writer.is_alive():
            self._books.close()

    # ---- in the writer's thread ----

    def _write(self, scored: list[AnswerScored]) -> None:
        self._books.put(QUALITY.name, list(map(_row, scored)))

    def _unwritable(self, row: Row, why: str) -> None:
        self.dropped += 1
        self._on_error(f"an opinion of an answer could not be written: {why}")

    def _chore(self, connection: Connection) -> None:
        if (now := self._wall()) >= self._next_tidy:
            with connection.transaction():
                connection.execute("DELETE FROM quality WHERE wall < ?", (now - self._max_age,))
            self._next_tidy = now + TIDY_SECONDS


def _row(of: AnswerScored) -> tuple[Any, ...]:
    return (
        of.request_id, of.attempt, of.source, of.by or of.source, of.wall, of.tenant, of.backend_id, of.route, of.kind,
        of.role, of.quality, of.variance, of.score, json.dumps(of.dimensions),
    )  # fmt: skip


def _told(row: Row) -> dict[str, Any]:
    return {**{name: row[name] for name in QUALITY.columns}, "dimensions": json.loads(row["dimensions"])}


def with_quality(story: Story, records: QualityRecords) -> Story:
    """A request's story with the opinions of each attempt's answer."""

    async def told(request_id: str) -> list[dict[str, Any]] | None:
        attempts = await story(request_id)
        opinions = await records.of(request_id) if attempts else []
        for row in attempts or ():
            own = [of for of in opinions if (of["number"], of["tenant"]) == (row["number"], row["tenant"])]
            row["quality"] = [{name: of[name] for name in SHOWN} for of in own]
        return attempts

    return told

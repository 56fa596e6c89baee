"""The record of answers given again, in the ledger's file: who got one, whose it was, and what that saved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from equipoise.core.events import AnswerReused, Event, hears
from equipoise.core.model import dollars
from equipoise.stores.database import Connection, Database, Row
from equipoise.stores.sqlite import database_of, ledger_schema
from equipoise.stores.tables import REUSES
from equipoise.stores.writer import BatchWriter

if TYPE_CHECKING:
    from equipoise.stores.ledger import Ledger

GROUPS = ("day", "month", "tenant", "key", "route", "backend", "result")
_GROUPED = {
    "day": "strftime('%Y-%m-%d', wall, 'unixepoch')",
    "month": "strftime('%Y-%m', wall, 'unixepoch')",
    "backend": "backend_id",
}
TIDY_SECONDS, SETTLE_SECONDS = 3600.0, 2.0


class Reuses:
    """Writes each answer given again beside the request path; records older than `max_age` seconds are removed.

    `where` is the ledger's file or database. At most `capacity` records wait for the disk; what comes after is dropped and counted:
    no money was spent on it. The file is opened with the first record: where no route keeps answers, there is none.
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
        self.database, self.dropped, self._on_error = database_of(where, ledger_schema()), 0, on_error
        self._wall, self._max_age, self._next_tidy = wall, max_age, 0.0
        self._books = self.database.books(REUSES.name, self._unwritable, self._chore)
        self._writer: BatchWriter[AnswerReused] | None = None
        self._begin = partial(
            BatchWriter[AnswerReused],
            self._write,
            batch_seconds=batch_seconds,
            capacity=capacity,
            tidy=self._books.tidy,
            on_error=on_error,
        )

    @hears(AnswerReused)
    def observe(self, event: Event) -> None:
        """Record an answer given again; other events are not for this record. Never waits."""
        if type(event) is not AnswerReused:
            return
        self._writer = self._writer or self._begin()
        self.dropped += not self._writer.put(event)

    async def flush(self) -> None:
        """Return once everything recorded so far is durable; StoreError when it cannot be written now."""
        if self._writer is not None and self._writer.pending:
            await asyncio.wrap_future(self._writer.flush())
            await asyncio.to_thread(self._books.settle, SETTLE_SECONDS)

    def close(self) -> None:
        """Write what is left and close the file; waits for the disk."""
        writer = self._writer
        if writer is not None and writer.is_alive():
            self.dropped += len(writer.close())
        if not (writer is not None and writer.is_alive()):
            self._books.close()

    # ---- in the writer's thread ----

    def _write(self, reuses: list[AnswerReused]) -> None:
        self._books.put(REUSES.name, list(map(_row, reuses)))

    def _unwritable(self, row: Row, why: str) -> None:
        self.dropped += 1
        self._on_error(f"an answer given again could not be recorded: {why}")

    def _chore(self, connection: Connection) -> None:
        if (now := self._wall()) >= self._next_tidy:
            with connection.transaction():
                connection.execute("DELETE FROM reuses WHERE wall < ?", (now - self._max_age,))
            self._next_tidy = now + TIDY_SECONDS


Told: TypeAlias = Callable[[str], Awaitable[list[dict[str, Any]]]]


def told_of(ledger: Ledger, reuses: Reuses) -> Told:
    """Where the records of a request are looked up, the newest included."""

    async def found(request_id: str) -> list[dict[str, Any]]:
        await reuses.flush()
        return await ledger.query(partial(told, request_id=request_id))

    return found


def told(connection: Connection, request_id: str) -> list[dict[str, Any]]:
    """The records of one request, oldest first; several where clients used an id again."""
    query = "SELECT * FROM reuses WHERE request_id = ? ORDER BY wall"
    return [_shown(row) for row in connection.execute(query, (request_id,))]


def saved(
    connection: Connection,
    since: float,
    until: float,
    where: Mapping[str, str],
    by: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """How many answers were given again with a wall time in [since, until), and what that saved, for each group.

    Raises KeyError for what is no group.
    """
    groups = [f'{_column(name)} AS "{name}"' for name in by]
    conditions = " AND ".join(["wall >= ?", "wall < ?", *(f"{_column(name)} = ?" for name in where)])
    numbers = ", ".join(str(number + 1) for number in range(len(by)))
    sums = ("COUNT(*) AS reused", "COALESCE(SUM(saved), 0) AS saved")
    query = f"SELECT {', '.join([*groups, *sums])} FROM reuses WHERE {conditions}"  # noqa: S608 - our own words
    query += f" GROUP BY {numbers} ORDER BY {numbers}" if by else ""
    rows = [dict(row) for row in connection.execute(query, [since, until, *where.values()])]
    return [{"saved_usd": dollars(row.pop("saved")), **row} for row in rows]


def _column(group: str) -> str:
    if group not in GROUPS:
        raise KeyError(group)
    return _GROUPED.get(group, group)


def _row(of: AnswerReused) -> tuple[Any, ...]:
    return (
        of.request_id, of.wall, of.tenant, of.key, of.route, of.result, of.backend_id, of.source,
        of.age, of.saved,
    )  # fmt: skip


def _shown(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in REUSES.columns if name != "saved"} | {"saved_usd": dollars(row["saved"])}

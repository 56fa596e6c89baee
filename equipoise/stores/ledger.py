"""The record of every attempt: written beside the request path, durable within a second, nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from equipoise.core.events import AttemptEnded, Event, hears
from equipoise.core.model import Attempt, NanoUSD
from equipoise.stores import queries
from equipoise.stores.database import Connection, Database, StoreError
from equipoise.stores.insertion import UNWRITABLE
from equipoise.stores.losses import Losses
from equipoise.stores.rows import COLUMNS, LARGEST_INTEGER, Row, row_of
from equipoise.stores.sqlite import database_of, ledger_schema
from equipoise.stores.tables import ATTEMPTS, GAPS
from equipoise.stores.writer import BatchWriter

T = TypeVar("T")
FOREVER = float("inf")
_WALL, _COST, _NUMBER = (COLUMNS.index(name) for name in ("wall", "cost", "number"))

# Retention looks once a minute and removes at most this many rows in one transaction.
TIDY_SECONDS = 60.0
RETIRE_AT_ONCE = 10_000
# A row takes 15 microseconds in which the event loop beside has to wait, forty of them a request's whole latency: after a
# few the writer pauses, so that the loop gets its turn. Not more often, for a busy loop gives the turn back late.
ROWS_AT_ONCE, PAUSES, PAUSE = 8, 8, 0.0001
SETTLE_SECONDS = 2.0
"""How long a reader waits for what was just recorded, where that is still on its way to a server."""


class LedgerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger is: counts of attempts since it was opened, money in nano-dollars, and what is wrong, if anything.

    `dropped` were never written because memory was full, the ledger closed, or a value could not be stored. `queued`
    records (and their bytes) are safe in a journal of this machine and not yet in the database, which cannot be written
    since `away_since` (Unix seconds).
    """

    ok: bool
    written: int
    pending: int
    dropped: int
    dropped_cost: NanoUSD
    retired: int
    error: str | None
    queued: int = 0
    queued_bytes: int = 0
    away: str | None = None
    away_since: float | None = None


class Ledger:
    """Keeps every attempt; what was recorded more than a second ago survives kill -9.

    `where` is a SQLite file, or a database with the ledger's tables. `capacity` attempts are held in memory while the disk fails; what comes after is dropped, counted, and once the
    disk is back noted in the table `gaps`. `on_error` is told in the writer's thread when writing begins to fail.
    `max_rows` and `max_age` (seconds) bound the size; removed attempts stay in the totals, summed by UTC day.
    Raises StoreError when it cannot be opened.
    """

    def __init__(
        self,
        where: str | Path | Database,
        *,
        batch_seconds: float = 0.2,
        capacity: int = 20_000,
        max_rows: int = 2_000_000,
        max_age: float = 90 * 86_400.0,
        wall: Callable[[], float] = time.time,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.database = database_of(where, ledger_schema())
        self._max_rows, self._max_age, self._wall, self._on_error = max_rows, max_age, wall, on_error
        self._next_tidy = 0.0
        self._written = self._retired = 0
        self._losses = Losses()
        self._books = self.database.books(ATTEMPTS, self._unwritable, self._chore)
        self._books.begin()
        self._writer = BatchWriter[Attempt](
            self._write, batch_seconds=batch_seconds, capacity=capacity, tidy=self._tidy, on_error=on_error
        )

    def record(self, attempt: Attempt) -> None:
        """Take an attempt into memory; safe from any thread, never waits, never raises."""
        if not self._writer.put(attempt):
            self._lose(attempt)

    @hears(AttemptEnded)
    def observe(self, event: Event) -> None:
        """Record attempts that ended; other events are not for the ledger."""
        if type(event) is AttemptEnded and not self._writer.put(event.attempt):
            self._lose(event.attempt)

    async def flush(self) -> None:
        """Return once everything recorded so far is durable, and can be read unless the database is away.

        Raises StoreError when it cannot be written now.
        """
        await asyncio.wrap_future(self._writer.flush())
        await asyncio.to_thread(self._books.settle, SETTLE_SECONDS)

    def close(self) -> None:
        """Write what is left and close the file; waits for the disk. Attempts that cannot be written count as dropped."""
        if not self._writer.is_alive():
            return
        for attempt in self._writer.close():
            self._lose(attempt)
        if not self._writer.is_alive():
            self._books.close()

    def health(self) -> LedgerHealth:
        """How the ledger is, from memory."""
        error, books = self._writer.error, self._books.health()
        return LedgerHealth(
            ok=error is None and self._writer.is_alive(),
            written=self._written,
            pending=self._writer.pending,
            dropped=self._losses.attempts,
            dropped_cost=self._losses.cost,
            retired=self._retired,
            error=error,
            queued=books.queued,
            queued_bytes=books.queued_bytes,
            away=books.error,
            away_since=books.since,
        )

    async def story(self, request_id: str) -> list[dict[str, Any]] | None:
        """The attempts of one request as plain dicts in order, decisions included; None when nobody knows it."""
        return await self._read(lambda connection: queries.story(connection, request_id))

    async def total_cost(
        self,
        since: float = 0.0,
        until: float = FOREVER,
        *,
        tenant: str | None = None,
        backend_id: str | None = None,
    ) -> NanoUSD:
        """The exact sum over recorded attempts with a wall time in [since, until), Unix seconds."""
        return await self._read(lambda connection: queries.total_cost(connection, since, until, tenant, backend_id))

    async def summary(self, since: float = 0.0) -> list[dict[str, Any]]:
        """One row a backend over the attempts since then: counts, tokens, cost, latency in seconds."""
        return await self._read(lambda connection: queries.summary(connection, since))

    async def gaps(self) -> list[dict[str, Any]]:
        """When attempts could not be recorded, how many, and what they cost."""
        return await self._read(queries.gaps)

    async def query(self, query: Callable[[Connection], T]) -> T:
        """What a function of `queries` or `reports` finds, in another thread; raises StoreError."""
        return await self._read(query)

    async def _read(self, query: Callable[[Connection], T]) -> T:
        if self._writer.pending or self._books.health().queued:
            await self.flush()
        return await asyncio.to_thread(self._query, query)

    def _query(self, query: Callable[[Connection], T]) -> T:
        with self.database.reading() as connection:
            return query(connection)

    def _lose(self, attempt: Attempt) -> None:
        self._losses.add(attempt.wall, attempt.outcome.cost)

    # ---- in the writer's thread ----

    def _write(self, attempts: list[Attempt]) -> None:
        rows: list[Row] = []
        strange: list[tuple[Attempt, str]] = []
        at_once = max(ROWS_AT_ONCE, len(attempts) // PAUSES)
        for number, attempt in enumerate(attempts):
            if number and number % at_once == 0:
                time.sleep(PAUSE)
            try:
                rows.append(row_of(attempt))
            except UNWRITABLE as error:
                strange.append((attempt, str(error)))
        self._written += self._books.put(ATTEMPTS, rows)
        for attempt, why in strange:  # not before: what cannot be written now comes again
            self._lose(attempt)
            self._tell(attempt.number, why)

    def _unwritable(self, row: Row, why: str) -> None:
        self._losses.add(row[_WALL], row[_COST])
        self._tell(row[_NUMBER], why)

    def _tell(self, number: int, why: str) -> None:
        self._on_error(f"attempt {number} of a request could not be written: {why}")

    def _tidy(self) -> None:
        self._note_losses()
        self._books.tidy()

    def _note_losses(self) -> None:
        if (gap := self._losses.take()) is None:
            return
        values = (gap.first_wall, gap.last_wall, gap.attempts, min(gap.cost, LARGEST_INTEGER))
        try:
            self._books.put(GAPS.name, [values])
        except StoreError:
            self._losses.give_back(gap)
            raise

    def _chore(self, connection: Connection) -> None:
        """Retention; in the thread that writes to the database."""
        if (now := self._wall()) < self._next_tidy:
            return
        with connection.transaction():
            removed = queries.retire(connection, now - self._max_age, self._max_rows, RETIRE_AT_ONCE)
        self._retired += removed
        self._next_tidy = now if removed >= RETIRE_AT_ONCE else now + TIDY_SECONDS

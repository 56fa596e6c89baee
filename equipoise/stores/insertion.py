"""Puts attempts into the ledger's table: once each, none lost to a repeated id, one bad row never spoils a batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TypeAlias

import msgspec

from equipoise.core.model import Attempt
from equipoise.stores.rows import COLUMNS, Row, row_of

# What Python or SQLite raise for a value that cannot be stored, as opposed to a disk that cannot store.
UNWRITABLE = (
    ValueError,
    TypeError,
    OverflowError,
    msgspec.MsgspecError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.IntegrityError,
)
OnUnwritable: TypeAlias = Callable[[Attempt, str], None]

# Several rows a statement: sqlite3 lets go of the interpreter lock in each, and beside a busy event loop getting it back
# takes up to 5 ms; row by row the writer was up to five times slower there. 64 x 40 values stay below SQLite's 32,766.
STATEMENT_SIZES = (64, 8, 1)

_REQUEST, _NUMBER, _WALL, _BACKEND, _COST = (
    COLUMNS.index(name) for name in ("request_id", "number", "wall", "backend_id", "cost")
)


@cache
def insert_statement(rows: int) -> str:
    """An INSERT of so many rows that leaves existing ones as they are."""
    values = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO attempts ({', '.join(COLUMNS)}) VALUES {', '.join([values] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608


def portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut into the sizes that have a prepared statement, largest first."""
    start = 0
    for size in STATEMENT_SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def insert(connection: sqlite3.Connection, attempts: Sequence[Attempt], on_unwritable: OnUnwritable) -> int:
    """Insert inside the caller's transaction; gives the number of new rows. What cannot be written is reported."""
    before = connection.total_changes
    rows = list(_rows(attempts, on_unwritable))
    if not _insert_quickly(connection, [row for row, _ in rows]):
        for row, attempt in rows:
            _insert_carefully(connection, row, attempt, on_unwritable)
    return connection.total_changes - before


def _rows(attempts: Sequence[Attempt], on_unwritable: OnUnwritable) -> Iterator[tuple[Row, Attempt]]:
    for attempt in attempts:
        try:
            yield row_of(attempt), attempt
        except UNWRITABLE as error:
            on_unwritable(attempt, str(error))


def _insert_quickly(connection: sqlite3.Connection, rows: Sequence[Row]) -> bool:
    """Whether every row was new and writable; otherwise some may be in and some not."""
    try:
        return sum(_insert_portion(connection, portion) for portion in portions(rows)) == len(rows)
    except UNWRITABLE:
        return False


def _insert_portion(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    values = [value for row in rows for value in row]
    return connection.execute(insert_statement(len(rows)), values).rowcount


def _insert_carefully(connection: sqlite3.Connection, row: Row, attempt: Attempt, on_unwritable: OnUnwritable) -> None:
    """One row of a batch that met a number already taken or a value that cannot be stored."""
    try:
        if not _insert_portion(connection, [row]) and not _is_there(connection, row):
            _insert_portion(connection, [_renumbered(connection, row)])
    except UNWRITABLE as error:
        on_unwritable(attempt, str(error))


def _is_there(connection: sqlite3.Connection, row: Row) -> bool:
    """Whether this very attempt was written before (a commit that succeeded but said it did not), maybe renumbered."""
    query = "SELECT 1 FROM attempts WHERE request_id = ? AND number >= ? AND wall = ? AND backend_id = ? AND cost = ?"
    identity = (row[_REQUEST], row[_NUMBER], row[_WALL], row[_BACKEND], row[_COST])
    return connection.execute(query, identity).fetchone() is not None


def _renumbered(connection: sqlite3.Connection, row: Row) -> Row:
    """Another request came with an id already used (clients may choose theirs): its money must still be in the bill."""
    query = "SELECT MAX(number) + 1 FROM attempts WHERE request_id = ?"
    (number,) = connection.execute(query, (row[_REQUEST],)).fetchone()
    return (*row[:_NUMBER], number, *row[_NUMBER + 1 :])

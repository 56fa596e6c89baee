"""Puts attempts into the ledger's table: once each, none lost to a repeated id, one bad row never spoils a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TypeAlias

import msgspec

from equipoise.stores.database import Connection
from equipoise.stores.rows import COLUMNS, Row

UNWRITABLE: tuple[type[Exception], ...] = (ValueError, TypeError, OverflowError, msgspec.MsgspecError)
"""What Python raises for a value that cannot be stored; each engine adds its own."""
OnUnwritable: TypeAlias = Callable[[Row, str], None]

# Several rows a statement: sqlite3 lets go of the interpreter lock in each, and beside a busy event loop getting it back
# takes up to 5 ms; row by row the writer was up to five times slower there. 64 x 40 values stay below SQLite's 32,766.
STATEMENT_SIZES = (64, 8, 1)

_REQUEST, _NUMBER, _WALL, _BACKEND, _COST = (
    COLUMNS.index(name) for name in ("request_id", "number", "wall", "backend_id", "cost")
)


@cache
def insert_statement(rows: int, width: int = len(COLUMNS)) -> str:
    """An INSERT of so many rows that leaves existing ones as they are."""
    columns, values = ", ".join(COLUMNS[:width]), f"({', '.join('?' * width)})"
    return f"INSERT INTO attempts ({columns}) VALUES {', '.join([values] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608


def portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut into the sizes that have a prepared statement, largest first."""
    start = 0
    for size in STATEMENT_SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def insert(
    connection: Connection, rows: Sequence[Row], on_unwritable: OnUnwritable, unwritable: tuple[type[Exception], ...]
) -> int:
    """Insert inside the caller's transaction; gives the number of new rows. What cannot be written is reported.

    All rows have the same length: that of this version, or of an earlier one, for columns are only added at the end.
    """
    errors: tuple[type[Exception], ...] = (_Met, *UNWRITABLE, *unwritable)
    try:
        with connection.savepoint():
            return _insert_quickly(connection, rows)
    except errors:
        return sum(_insert_carefully(connection, row, on_unwritable, errors) for row in rows)


class _Met(Exception):
    """A row met another of its number."""


def _insert_quickly(connection: Connection, rows: Sequence[Row]) -> int:
    """Every row, all new and writable; otherwise it raises."""
    if sum(_insert_portion(connection, portion) for portion in portions(rows)) != len(rows):
        raise _Met
    return len(rows)


def _insert_portion(connection: Connection, rows: Sequence[Row]) -> int:
    values = [value for row in rows for value in row]
    return connection.execute(insert_statement(len(rows), len(rows[0])), values).rowcount


def _insert_carefully(
    connection: Connection, row: Row, on_unwritable: OnUnwritable, errors: tuple[type[Exception], ...]
) -> int:
    """One row of a batch that met a number already taken or a value that cannot be stored; gives 1 where it is new."""
    try:
        with connection.savepoint():
            new = _insert_portion(connection, [row])
            while not new and not _is_there(connection, row):
                new = _insert_portion(connection, [_renumbered(connection, row)])
            return new
    except errors as error:
        on_unwritable(row, str(error))
        return 0


def _is_there(connection: Connection, row: Row) -> bool:
    """Whether this very attempt was written before (a commit that succeeded but said it did not), maybe renumbered."""
    query = "SELECT 1 FROM attempts WHERE request_id = ? AND number >= ? AND wall = ? AND backend_id = ? AND cost = ?"
    identity = (row[_REQUEST], row[_NUMBER], row[_WALL], row[_BACKEND], row[_COST])
    return connection.execute(query, identity).fetchone() is not None


def _renumbered(connection: Connection, row: Row) -> Row:
    """Another request came with an id already used (clients may choose theirs): its money must still be in the bill."""
    query = "SELECT MAX(number) + 1 FROM attempts WHERE request_id = ?"
    (number,) = connection.execute(query, (row[_REQUEST],)).fetchone()
    return (*row[:_NUMBER], number, *row[_NUMBER + 1 :])

"""Puts attempts into the ledger's table: once each, none lost to a repeated id, one bad row never spoils a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from equipoise.stores.database import Connection
from equipoise.stores.rows import COLUMNS, Row

UNWRITABLE: tuple[type[Exception], ...] = (ValueError, TypeError, OverflowError, msgspec.MsgspecError)
"""What Python raises for a value that cannot be stored; each engine adds its own."""
OnUnwritable: TypeAlias = Callable[[Row, str], None]

_REQUEST, _NUMBER, _WALL, _BACKEND, _COST = (
    COLUMNS.index(name) for name in ("request_id", "number", "wall", "backend_id", "cost")
)


def insert(
    connection: Connection, rows: Sequence[Row], on_unwritable: OnUnwritable, unwritable: tuple[type[Exception], ...]
) -> int:
    """Insert inside the caller's transaction; gives the number of new rows. What cannot be written is reported.

    All rows have the same length: that of this version, or of another, for columns are only added at the end. What a
    later one has more is left out.
    """
    rows = [row[: len(COLUMNS)] for row in rows]
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
    if _filled(connection, rows) != len(rows):
        raise _Met
    return len(rows)


def _filled(connection: Connection, rows: Sequence[Row]) -> int:
    return connection.fill("attempts", COLUMNS[: len(rows[0])], rows) if rows else 0


def _insert_carefully(
    connection: Connection, row: Row, on_unwritable: OnUnwritable, errors: tuple[type[Exception], ...]
) -> int:
    """One row of a batch that met a number already taken or a value that cannot be stored; gives 1 where it is new."""
    try:
        with connection.savepoint():
            new = _filled(connection, [row])
            while not new and not _is_there(connection, row):
                new = _filled(connection, [_renumbered(connection, row)])
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

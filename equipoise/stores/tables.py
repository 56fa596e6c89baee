"""The tables that records are put into, one after another: their columns, and how rows come in."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from equipoise.stores.database import Connection, StoreError
from equipoise.stores.insertion import UNWRITABLE, OnUnwritable, insert
from equipoise.stores.rows import Row


class Table(msgspec.Struct, frozen=True):
    """A table without a rule of its own; a row takes the place of one with the same `key` if it `may`."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    may: str = ""

    @property
    def statement(self) -> str:
        """Puts one row in."""
        said = f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({', '.join('?' * len(self.columns))})"  # noqa: S608
        if not self.key:
            return said
        new = ", ".join(f"{name} = excluded.{name}" for name in self.columns if name not in self.key)
        return f"{said} ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {new} WHERE {self.may}"


ATTEMPTS = "attempts"
GAPS = Table("gaps", ("first_wall", "last_wall", "attempts", "cost"))
# Two tenants may have chosen one request id: an opinion takes the place of its own tenant's, or of one that stood where
# the ledger knows the attempt to be its tenant's.
_OWN = """
quality.tenant = excluded.tenant OR EXISTS (
    SELECT 1 FROM attempts AS own WHERE own.request_id = excluded.request_id AND own.number = excluded.number
        AND own.tenant = excluded.tenant
)
"""
QUALITY = Table(
    "quality",
    (
        "request_id", "number", "source", "voice", "wall", "tenant", "backend_id", "route", "kind", "role", "quality",
        "variance", "score", "dimensions",
    ),
    key=("request_id", "number", "voice"),
    may=_OWN,
)  # fmt: skip
REUSES = Table(
    "reuses", ("request_id", "wall", "tenant", "key", "route", "result", "backend_id", "source", "age", "saved")
)
TABLES = {table.name: table for table in (GAPS, QUALITY, REUSES)}


def put(
    connection: Connection,
    table: str,
    rows: Sequence[Row],
    on_unwritable: OnUnwritable,
    unwritable: tuple[type[Exception], ...],
) -> int:
    """Put rows into a table inside the caller's transaction; gives how many are new or replaced others.

    What cannot be stored is reported, and the others go in.
    """
    if table == ATTEMPTS:
        return insert(connection, rows, on_unwritable, unwritable)
    if table not in TABLES:
        raise StoreError(f"records for {table} wait, which only a later version knows: it has to ship them")
    statement, errors = TABLES[table].statement, (*UNWRITABLE, *unwritable)
    try:
        with connection.savepoint():
            connection.executemany(statement, rows)
    except errors:
        return sum(_put_one(connection, statement, row, on_unwritable, errors) for row in rows)
    return len(rows)


def _put_one(
    connection: Connection, statement: str, row: Row, on_unwritable: OnUnwritable, errors: tuple[type[Exception], ...]
) -> int:
    try:
        with connection.savepoint():
            connection.execute(statement, row)
    except errors as error:
        on_unwritable(row, str(error))
        return 0
    return 1

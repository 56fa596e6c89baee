"""Where records go: straight into a database of this machine, or by way of a journal to one that may be gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from equipoise.stores.database import Connection, Database
from equipoise.stores.insertion import OnUnwritable
from equipoise.stores.rows import Row
from equipoise.stores.tables import put

Chore: TypeAlias = Callable[[Connection], None]


class BooksHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What waits between here and the database: records, their bytes, and since when it cannot be written (Unix seconds)."""

    queued: int = 0
    queued_bytes: int = 0
    error: str | None = None
    since: float | None = None


WELL = BooksHealth()


class Books(Protocol):
    """Takes the rows of one store, each batch whole or not at all. For one thread at a time, but for `health`."""

    database: Database

    def begin(self) -> None:
        """Open now what the first row would open. Raises StoreError."""
        ...

    def put(self, table: str, rows: Sequence[Row]) -> int:
        """Make rows durable; gives how many were new. Raises StoreError when they cannot be kept now."""
        ...

    def tidy(self) -> None:
        """A moment with nothing to write: may be used for chores. Raises StoreError."""
        ...

    def settle(self, seconds: float) -> None:
        """Return when everything that was put can be read in the database, or after so long. Raises StoreError."""
        ...

    def health(self) -> BooksHealth:
        """How it is, from memory."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class DirectBooks:
    """Writes into the database itself, and does the chore of its store whenever there is nothing to write."""

    def __init__(self, database: Database, on_unwritable: OnUnwritable, chore: Chore) -> None:
        self.database, self._on_unwritable, self._chore = database, on_unwritable, chore
        self._connection: Connection | None = None

    def begin(self) -> None:
        """As Books has it."""
        self._opened()

    def put(self, table: str, rows: Sequence[Row]) -> int:
        """As Books has it."""
        strange: list[tuple[Row, str]] = []
        with self._opened().transaction() as connection:
            new = put(connection, table, rows, lambda *what: strange.append(what), self.database.unwritable)
        for row, why in strange:
            self._on_unwritable(row, why)
        return new

    def tidy(self) -> None:
        """As Books has it."""
        self._chore(self._opened())

    def settle(self, seconds: float) -> None:
        """As Books has it: it is there already."""

    def health(self) -> BooksHealth:
        """As Books has it."""
        return WELL

    def close(self) -> None:
        """As Books has it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> Connection:
        self._connection = self._connection or self.database.open()
        return self._connection

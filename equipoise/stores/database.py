"""What stores ask of a database, be it a SQLite file or a PostgreSQL server: one language, rows by name, whole transactions.

The language is the part of SQL that both engines read alike. Values stand as `?` or as `:name`. Where PostgreSQL knows
a thing by another name (types, json_each, strftime), its schema is given the one used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from equipoise.stores.books import Books

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]
Row: TypeAlias = Any
"""Indexed by place and by name, with `keys()`; iterated over its values."""


class StoreError(Exception):
    """The store could not be opened, read or written; the cause says why."""


class StoreGone(StoreError):
    """The store is elsewhere and does not answer: there is no use in waiting for it."""


class Migration(NamedTuple):
    """One numbered step of a schema; `postgres` in its stead where that engine needs other words for it."""

    version: int
    name: str
    sql: str
    postgres: str | None = None


class Schema(NamedTuple):
    """The tables that one store keeps, and how they came to be: numbered steps, applied once each and in order."""

    name: str
    steps: tuple[Migration, ...]


class Rows(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int:
        """How many rows it has written."""
        ...

    def fetchone(self) -> Row:
        """The next row, or None."""
        ...

    def fetchall(self) -> list[Row]:
        """The rows that are left."""
        ...

    def __iter__(self) -> Iterator[Row]: ...


class Connection(Protocol):
    """A connection to a store's tables; for one thread at a time."""

    def execute(self, sql: str, values: Any = (), /) -> Rows:
        """One statement, within a transaction or alone."""
        ...

    def executemany(self, sql: str, rows: Iterable[Values], /) -> object:
        """The same statement for each of these values."""
        ...

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], /) -> int:
        """Put in many rows, leaving those as they are that are there already; gives how many were new."""
        ...

    def look(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a statement that only reads; raises StoreError."""
        ...

    def transaction(self, *, alone: bool = True) -> AbstractContextManager[Connection]:
        """All of it or nothing; what the engine says becomes StoreError.

        `alone`: no other such transaction of this store runs at the same time, in any process.
        """
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Inside a transaction: what fails in here is taken back alone, and what the engine says comes out as it is."""
        ...

    def patience(self, seconds: float) -> None:
        """Give up what takes longer from now on (StoreError); on a connection for reading."""
        ...

    def types(self, table: str) -> dict[str, str]:
        """The columns of a table with the types they were given here: INTEGER, REAL, TEXT, BLOB."""
        ...

    def overwrite(self) -> None:
        """From now on what is deleted is overwritten, where the engine can do that."""
        ...

    def compact(self) -> None:
        """Let go of old copies of what was deleted, as far as the engine can be told to. Raises StoreError."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Database(Protocol):
    """Where one store keeps its tables."""

    name: str
    """As people know it; without secrets."""
    unwritable: tuple[type[Exception], ...]
    """What is raised for a value that cannot be stored, as opposed to a database that cannot store."""
    folder: Path
    """Where files lie that belong beside it."""

    def exists(self) -> bool:
        """Is there anything to read? A file is made when it is first opened."""
        ...

    def open(self) -> Connection:
        """For writing, at the newest schema. Raises StoreError."""
        ...

    def reading(self, what: str = "the ledger") -> AbstractContextManager[Connection]:
        """A connection that only reads what is committed, for a while; failures become StoreError, which says `what`."""
        ...

    def books(
        self, table: str, on_unwritable: Callable[[Row, str], None], chore: Callable[[Connection], None]
    ) -> Books:
        """Where the records of a table are put, beside the request path. Nothing is opened yet.

        `on_unwritable` is told of rows of that table that cannot be stored; `chore` is done when nothing is to be written.
        """
        ...

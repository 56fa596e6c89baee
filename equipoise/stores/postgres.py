"""Stores' tables in a PostgreSQL server; a connection that was lost is made again.

Needs the extra: `pip install 'equipoise[postgres]'`. All tables are in one schema, `equipoise`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from equipoise.stores import dialect
from equipoise.stores.books import Books, Chore, DirectBooks
from equipoise.stores.database import Row, Schema, StoreError, Values
from equipoise.stores.insertion import OnUnwritable
from equipoise.stores.postgres_server import (
    ANSWER_SECONDS,
    FIRST,
    LOCKS,
    MIGRATION_SECONDS,
    SCHEMA,
    Bounded,
    PostgresServer,
    lock_of,
    migrate,
    said,
)
from equipoise.stores.postgres_values import NamedRow

T = TypeVar("T")


class PostgresConnection:
    """A store's own connection, made again when it was lost; whatever was under way then has not happened."""

    def __init__(self, database: PostgresDatabase, raw: Bounded | None, patience: float) -> None:
        self._database, self._server, self._patience = database, database.server, patience
        self._raw, self._closed, self._inside = raw, False, False

    def execute(self, sql: str, values: Values = ()) -> psycopg.Cursor[NamedRow]:
        """As Connection has it."""
        return self._live().execute(dialect.statement(sql), values)

    def executemany(self, sql: str, rows: Iterable[Values]) -> None:
        """As Connection has it."""
        self._live().cursor().executemany(dialect.statement(sql), rows)

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], /) -> int:
        """As Connection has it; by COPY, four times as fast as statements (bench/stores)."""
        raw, names, beside = self._live(), ", ".join(columns), f"incoming_{table}"
        raw.execute(f"CREATE TEMP TABLE IF NOT EXISTS {beside} (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DELETE ROWS")
        raw.execute(f"DELETE FROM {beside}")  # noqa: S608 - our own words
        with raw.cursor() as cursor, cursor.copy(f"COPY {beside} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return raw.execute(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM {beside} ON CONFLICT DO NOTHING"  # noqa: S608
        ).rowcount

    def look(self, sql: str, values: Values = ()) -> list[Row]:
        """As Connection has it."""
        try:
            return self._again(lambda: self.execute(sql, values).fetchall())
        except psycopg.Error as error:
            raise StoreError(f"cannot read {self._server.name}: {said(error)}") from error

    @contextmanager
    def transaction(self, *, alone: bool = True) -> Iterator[PostgresConnection]:
        """As Connection has it."""
        try:
            self._again(lambda: self.execute("BEGIN"))
            self._inside = True
            if alone:
                self.execute("SELECT pg_advisory_xact_lock(?, ?)", (LOCKS, lock_of(self._database.schema.name)))
            yield self
            self._commit()
        except BaseException as error:
            self._inside = False
            self._take_back()
            if isinstance(error, psycopg.Error):
                raise StoreError(f"cannot write {self._server.name}: {said(error)}") from error
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """As Connection has it."""
        self.execute("SAVEPOINT here")
        whole = False
        try:
            yield
            whole = True
        finally:
            self.execute("RELEASE here" if whole else "ROLLBACK TO here")

    def types(self, table: str) -> dict[str, str]:
        """As Connection has it."""
        ours = {"bigint": "INTEGER", "double precision": "REAL", "text": "TEXT", "bytea": "BLOB"}
        sql = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ? AND table_name = ?"
        return {name: ours.get(kind, kind) for name, kind in self.execute(sql, (SCHEMA, table))}

    def overwrite(self) -> None:
        """As Connection has it: PostgreSQL has no such thing."""

    def compact(self) -> None:
        """As Connection has it: dead rows go, and their room is used again."""
        try:
            self.execute("VACUUM attempts")
        except psycopg.Error as error:
            raise StoreError(f"{self._server.name} could not be tidied: {said(error)}") from error

    def patience(self, seconds: float) -> None:
        """As Connection has it: of the server's own accord within the transaction, and a little later of ours."""
        raw = self._live()
        raw.execute(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
        raw.patience = seconds + 1.0

    def close(self) -> None:
        """As Connection has it."""
        self._closed = True
        self._drop()

    def _live(self) -> Bounded:
        if self._closed:
            raise psycopg.InterfaceError("the store is closed")
        if self._raw is None or self._raw.closed:
            if self._inside:  # on another connection the rest would be done without the beginning
                raise psycopg.OperationalError("the connection was lost")
            self._database.require_newest()
            self._raw = self._server.connect(self._patience)
        return self._raw

    def _again(self, action: Callable[[], T]) -> T:
        """Do it, and once more on a new connection where an old one turns out to be dead."""
        was_there = self._raw is not None and not self._raw.closed
        try:
            return action()
        except psycopg.OperationalError:
            if not was_there or self._raw is None or not self._raw.closed:
                raise
            return action()

    def _commit(self) -> None:
        """A transaction that met an error is taken back by COMMIT as well, and that is said in this word only."""
        told = self.execute("COMMIT").statusmessage
        self._inside = False
        if told != "COMMIT":
            raise StoreError(f"cannot write {self._server.name}: the transaction was taken back")

    def _take_back(self) -> None:
        try:
            if self._raw is not None and not self._raw.closed:
                self._raw.execute("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None


class PostgresDatabase:
    """One store's tables in a server. `folder` is where this process keeps files of its own."""

    unwritable: tuple[type[Exception], ...] = (psycopg.DataError, psycopg.IntegrityError)

    def __init__(self, server: PostgresServer, schema: Schema, folder: Path, patience: float = ANSWER_SECONDS) -> None:
        self.server, self.schema, self.folder, self._patience = server, schema, folder, patience
        self.name, self._newest = server.name, False

    def exists(self) -> bool:
        """As Database has it: there is always a server to ask."""
        return True

    def open(self) -> PostgresConnection:
        """As Database has it, when it is first used: it may be away now."""
        return PostgresConnection(self, None, self._patience)

    @contextmanager
    def reading(self, what: str = "the ledger") -> Iterator[PostgresConnection]:
        """As Database has it."""
        try:
            self.require_newest()
            with self.server.lent() as raw:
                raw.patience = self._patience
                yield PostgresConnection(self, raw, self._patience)
        except psycopg.Error as error:
            raise StoreError(f"cannot read {what} in {self.name}: {said(error)}") from error

    def books(self, table: str, on_unwritable: OnUnwritable, chore: Chore) -> Books:
        """As Database has it."""
        return DirectBooks(self, on_unwritable, chore)

    def require_newest(self) -> None:
        """Bring the schema up to date, when it is first needed. Raises StoreError, and tries again then."""
        if self._newest:
            return
        try:
            with self.server.connect(MIGRATION_SECONDS) as raw:
                for schema in (FIRST, self.schema):
                    migrate(raw, schema)
        except psycopg.Error as error:
            raise StoreError(f"cannot open {self.name}: {said(error)}") from error
        self._newest = True

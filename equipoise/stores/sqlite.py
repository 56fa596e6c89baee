"""SQLite as we use it: WAL, private files, numbered forward-only migrations."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from equipoise.stores.books import Chore, DirectBooks
from equipoise.stores.database import Database, Migration, Row, Schema, StoreError, Values
from equipoise.stores.insertion import OnUnwritable

__all__ = ["Migration", "SqliteConnection", "SqliteFile", "StoreError", "database_of", "open_database"]

BUSY_SECONDS = 5.0
CHECK_EVERY = 20_000
"""Steps of SQLite's machine between two looks at the clock, where a statement may be given up."""
_CREATING = threading.Lock()
# Several rows a statement: sqlite3 lets go of the interpreter lock in each, and beside a busy event loop getting it back
# takes up to 5 ms; row by row the writer was up to five times slower there. 64 x 49 values stay below SQLite's 32,766.
STATEMENT_SIZES = (64, 8, 1)
# Without an adapter sqlite3 asks each None and each bytes for one by attribute and swallows two exceptions: a quarter of
# what an insert costs.
sqlite3.register_adapter(type(None), lambda nothing: nothing)
sqlite3.register_adapter(bytes, bytearray)


class SqliteConnection(sqlite3.Connection):
    """sqlite3's own, with what else stores ask of a connection."""

    place = ""

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], /) -> int:
        """As Connection has it."""
        names, new = tuple(columns), 0
        for portion in portions(rows):
            values = list(chain.from_iterable(portion))
            new += self.execute(insert_statement(table, names, len(portion)), values).rowcount
        return new

    def look(self, sql: str, values: Values = ()) -> list[Row]:
        """As Connection has it."""
        try:
            return self.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {self.place}: {error}") from error

    @contextmanager
    def transaction(self, *, alone: bool = True) -> Iterator[SqliteConnection]:
        """As Connection has it; whoever writes is alone in any case."""
        try:
            self.execute("BEGIN IMMEDIATE")
            yield self
            self.execute("COMMIT")
        except BaseException as error:
            # SQLite has often rolled back by itself by now; should this fail too, the next BEGIN says so.
            with suppress(sqlite3.Error):
                self.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"cannot write {self.place}: {error}") from error
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """As Connection has it."""
        self.execute("SAVEPOINT here")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK TO here")
            raise
        finally:
            self.execute("RELEASE here")

    def types(self, table: str) -> dict[str, str]:
        """As Connection has it."""
        return {row[1]: row[2] for row in self.execute(f"PRAGMA table_info({table})")}

    def overwrite(self) -> None:
        """As Connection has it."""
        self.execute("PRAGMA secure_delete = ON")

    def compact(self) -> None:
        """As Connection has it: old pages are in the log of writes."""
        self.look("PRAGMA wal_checkpoint(TRUNCATE)")

    def patience(self, seconds: float) -> None:
        """As Connection has it."""
        until = time.monotonic() + seconds
        self.set_progress_handler(lambda: time.monotonic() > until, CHECK_EVERY)


class SqliteFile:
    """A store's tables in a file of their own."""

    unwritable: tuple[type[Exception], ...] = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError)

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path, self.name, self.folder, self._schema = path, str(path), path.parent, schema

    def exists(self) -> bool:
        """As Database has it."""
        return self.path.is_file()

    def open(self) -> SqliteConnection:
        """As Database has it."""
        return open_database(self.path, self._schema.steps)

    def books(self, table: str, on_unwritable: OnUnwritable, chore: Chore) -> DirectBooks:
        """As Database has it."""
        return DirectBooks(self, on_unwritable, chore)

    @contextmanager
    def reading(self, what: str = "the ledger") -> Iterator[SqliteConnection]:
        """As Database has it."""
        try:
            with closing(open_for_reading(self.path)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {what}: {error}") from error


@cache
def insert_statement(table: str, columns: tuple[str, ...], rows: int) -> str:
    """An INSERT of so many rows that leaves existing ones as they are."""
    values = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([values] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608


def portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut into the sizes that have a prepared statement, largest first."""
    start = 0
    for size in STATEMENT_SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def database_of(where: str | Path | Database, schema: Schema) -> Database:
    """A path is that of a SQLite file."""
    return SqliteFile(Path(where), schema) if isinstance(where, str | Path) else where


def open_database(path: Path, steps: Sequence[Migration] | None = None) -> SqliteConnection:
    """Open for writing, made private (file 0600, a new folder 0700) and brought to the newest schema; else StoreError.

    The schema is the ledger's, or the one these steps make.
    """
    try:
        make_private(path)
        connection = _connect(path, str(path), check_same_thread=False)
        _configure(connection)
        migrate(connection, migrations() if steps is None else steps)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    return connection


def open_for_reading(path: Path) -> SqliteConnection:
    """A connection that cannot write; it sees what is committed and never waits for the writer."""
    connection = _connect(path, path.resolve().as_uri() + "?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _connect(path: Path, address: str, **options: Any) -> SqliteConnection:
    connection = sqlite3.connect(
        address, timeout=BUSY_SECONDS, isolation_level=None, factory=SqliteConnection, **options
    )
    connection.place = str(path)
    return connection


def make_private(path: Path) -> None:
    """Let nobody but the owner read: SQLite gives its -wal and -shm files the mode of the database."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A file that is there is never opened: closing it would drop every lock this process has on it (POSIX), and another
    # process could then take the write-ahead log away from under a connection of ours.
    with _CREATING, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _configure(connection: sqlite3.Connection) -> None:
    # An attempt among five backends is about 2.7 kB: three to a page of 8 kB, but only one to the usual 4 kB.
    connection.execute("PRAGMA page_size = 8192")
    _write_ahead(connection)
    # FULL: a commit survives losing power, not only kill -9. At five commits a second the sync costs nothing.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA trusted_schema = OFF")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """SQLite does not wait its busy timeout for this change where another connection is making it: then we do."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


@cache
def migrations() -> tuple[Migration, ...]:
    """The ledger's steps shipped with this version, in order: files named `0001_what.sql`."""
    folder = resources.files("equipoise.stores.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(Migration(int(file.name[:4]), file.name, file.read_text(encoding="utf-8")) for file in files)


def ledger_schema() -> Schema:
    """The tables of the ledger: attempts, what retention removed, gaps, quality, reuses."""
    return Schema("ledger", migrations())


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration]) -> list[int]:
    """Apply what is missing, each step whole or not at all; gives the versions applied.

    A database that is ahead of this version is left as it is. Several processes may start at once: the write lock
    orders them and the later ones find nothing to do.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT, applied REAL)"
    )
    return [step.version for step in steps if _apply(connection, step)]


def _apply(connection: sqlite3.Connection, step: Migration) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = connection.execute("SELECT 1 FROM schema_migrations WHERE version = ?", (step.version,)).fetchone()
        if done is None:
            for statement in statements(step.sql):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", (step.version, step.name, time.time()))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return done is None


def statements(script: str) -> Iterator[str]:
    """Split a script into statements; sqlite3's own `executescript` would commit half a migration."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending

"""SQLite as we use it: WAL, private files, numbered forward-only migrations."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import NamedTuple

BUSY_SECONDS = 5.0
_CREATING = threading.Lock()


class StoreError(Exception):
    """The store could not be opened, read or written; the cause says why."""


class Migration(NamedTuple):
    """One numbered step of the schema."""

    version: int
    name: str
    sql: str


def open_database(path: Path, steps: Sequence[Migration] | None = None) -> sqlite3.Connection:
    """Open for writing, made private (file 0600, a new folder 0700) and brought to the newest schema; else StoreError.

    The schema is the ledger's, or the one these steps make.
    """
    try:
        make_private(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        _configure(connection)
        migrate(connection, migrations() if steps is None else steps)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; it sees what is committed and never waits for the writer."""
    address = path.resolve().as_uri() + "?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """All of it or nothing, whatever goes wrong inside; what SQLite says becomes StoreError."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except BaseException as error:
        # SQLite has often rolled back by itself by now; should this fail too, the next BEGIN says so.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"cannot write {path}: {error}") from error
        raise


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


def migrations() -> list[Migration]:
    """The steps shipped with this version, in order: files named `0001_what.sql`."""
    folder = resources.files("equipoise.stores.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name[:4]), file.name, file.read_text(encoding="utf-8")) for file in files]


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

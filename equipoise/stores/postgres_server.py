"""How a PostgreSQL server is reached: every wait has an end; and how its schema is brought up to date."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import finalize
from zlib import crc32

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from equipoise.stores import dialect
from equipoise.stores.database import Migration, Schema
from equipoise.stores.postgres_values import NamedRow, adapters, named_rows

SCHEMA = "equipoise"
CONNECT_SECONDS = 2
"""libpq knows no shorter time."""
ANSWER_SECONDS, MIGRATION_SECONDS, KEPT_SECONDS = 5.0, 120.0, 60.0
MOST_KEPT, SILENT_SECONDS = 4, 1.0
LOCKS = 0x45517073
"""The first half of the keys of our advisory locks; the second is of a store's name."""
MIGRATING = 0
DEFAULTS = {
    "application_name": "equipoise",
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "5000",
}
"""Unless the address says otherwise. A server that is gone without a word is noticed within seconds."""
# What was left open by a process that is gone holds locks no longer than this.
_SETTINGS = f"SET search_path = {SCHEMA}; SET client_min_messages = warning; SET idle_in_transaction_session_timeout = '15s'; SET statement_timeout = {{}}"
FIRST = Schema(
    "postgres",
    (
        Migration(1, "what SQLite has", dialect.LACKING),
        # How far each file of waiting records has come: written in the transaction that writes the records.
        Migration(2, "shipped", "CREATE TABLE shipped (segment TEXT PRIMARY KEY, position INTEGER NOT NULL, wall REAL NOT NULL)"),
    ),
)  # fmt: skip


class Bounded(psycopg.Connection[NamedRow]):
    """A connection that waits no longer than its patience for an answer, however the server falls silent."""

    patience = ANSWER_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg has it; a connection that did not answer in time is closed, for its state is not known."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as silent:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer in {self.patience:g} s") from silent


class PostgresServer:
    """How to reach a server: an address as libpq knows it, `postgresql://user:password@host:port/database?sslmode=…`.

    Raises ValueError for what is no address. Contacts nobody.
    """

    def __init__(self, url: str) -> None:
        try:
            said = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.ProgrammingError:
            raise ValueError("that is no address of a PostgreSQL server; say postgresql://user@host/database") from None
        self._said = make_conninfo("", **(DEFAULTS | said))
        self.name = (
            f"PostgreSQL {said.get('host') or 'localhost'}:{said.get('port') or 5432}/{said.get('dbname') or ''}"
        )
        self._idle: deque[tuple[float, Bounded]] = deque()
        finalize(self, _close, self._idle)
        self._silent_until, self._silence = 0.0, ""
        self._adapters = adapters()

    def connect(self, patience: float = ANSWER_SECONDS) -> Bounded:
        """A new connection. Raises psycopg.Error; at once where another has just waited in vain."""
        begun = time.monotonic()
        if begun < self._silent_until:
            raise psycopg.OperationalError(self._silence)
        try:
            made = Bounded.connect(
                self._said, autocommit=True, row_factory=named_rows, context=_Context(self._adapters)
            )
        except psycopg.Error as error:
            if (now := time.monotonic()) - begun > SILENT_SECONDS:
                self._silent_until, self._silence = now + SILENT_SECONDS, str(error)
            raise
        made.patience = patience
        try:
            _require_unicode(made)
            made.execute(_SETTINGS.format(round(patience * 1000)))
        except BaseException:
            made.close()
            raise
        return made

    @contextmanager
    def lent(self) -> Iterator[Bounded]:
        """A connection for reading, kept open for the next who wants one if nothing goes wrong. Raises psycopg.Error."""
        connection = self._begun()
        try:
            yield connection
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        self._idle.append((time.monotonic(), connection))
        while len(self._idle) > MOST_KEPT:
            with suppress(IndexError):
                self._idle.popleft()[1].close()

    def _begun(self) -> Bounded:
        """One that was idle may be dead by now; a new one is not."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        with suppress(IndexError):
            while True:
                since, connection = self._idle.pop()
                try:
                    if time.monotonic() - since < KEPT_SECONDS:
                        connection.execute(begin)
                        return connection
                except psycopg.OperationalError:
                    pass
                connection.close()
        connection = self.connect()
        connection.execute(begin)
        return connection


def _close(idle: deque[tuple[float, Bounded]]) -> None:
    while idle:
        idle.pop()[1].close()


def _require_unicode(connection: Bounded) -> None:
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise psycopg.OperationalError(f"the database has the encoding {encoding}; it must be UTF8")


class _Context:
    """What psycopg has adapters from."""

    def __init__(self, ours: psycopg.adapt.AdaptersMap) -> None:
        self.adapters, self.connection = ours, None


def migrate(raw: Bounded, schema: Schema) -> list[int]:
    """Apply the steps that are missing, each whole or not at all; gives their versions. Raises psycopg.Error.

    A database that is ahead of this version is left as it is. Several gateways may start at once: a lock orders them, and
    the later ones find nothing to do.
    """
    known = _applied(raw, schema)
    return [step.version for step in schema.steps if step.version not in known and _apply(raw, schema, step)]


def _applied(raw: Bounded, schema: Schema) -> set[int]:
    if raw.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.schema_migrations",)).fetchone() == (None,):
        return set()
    rows = raw.execute(f"SELECT version FROM {SCHEMA}.schema_migrations WHERE store = %s", (schema.name,))  # noqa: S608 - a constant
    return {version for (version,) in rows}


def _apply(raw: Bounded, schema: Schema, step: Migration) -> bool:
    with raw.transaction():
        raw.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, MIGRATING))
        if raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).fetchone() is None:
            raw.execute(f"CREATE SCHEMA {SCHEMA}")
        raw.execute(
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.schema_migrations "
            "(store TEXT, version BIGINT, name TEXT, applied DOUBLE PRECISION, PRIMARY KEY (store, version))"
        )
        if step.version in _applied(raw, schema):
            return False
        raw.execute(dialect.schema(step.postgres or step.sql))
        raw.execute(
            f"INSERT INTO {SCHEMA}.schema_migrations VALUES (%s, %s, %s, %s)",  # noqa: S608 - a constant
            (schema.name, step.version, step.name, time.time()),
        )
    return True


def lock_of(store: str) -> int:
    """The second half of the key of a store's lock: a number of four bytes, never that of migrations."""
    return crc32(store.encode()) % 0x7FFFFFFE + 1


def said(error: psycopg.Error) -> str:
    """What a person needs of it, in a line: libpq tells one story for each address, psycopg the statement's place too."""
    return " ".join(str(error).split("\nLINE ")[0].split()) or type(error).__name__

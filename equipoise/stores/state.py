"""Named state that outlives the process, a journal of who changed it, and sums that many processes add to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from equipoise.stores.database import Connection, Database, Migration, Schema, StoreError
from equipoise.stores.sqlite import database_of

T = TypeVar("T")
SCHEMA = Schema(
    "state",
    (
        Migration(
            1,
            "state",
            """
CREATE TABLE state (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Who did what, when (Unix seconds) and why; `entry` is a document. Rows are never changed.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    wall REAL NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    what TEXT NOT NULL,
    entry TEXT NOT NULL
);
CREATE INDEX journal_by_topic ON journal (topic, id);

-- Sums, exact up to 2^53. A new era of a topic begins at zero; older ones stay.
CREATE TABLE tallies (
    topic TEXT NOT NULL,
    era INTEGER NOT NULL,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (topic, era, name)
) WITHOUT ROWID;
""",
        ),
    ),
)

_PUT = """
INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET version = excluded.version, value = excluded.value
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a journal; `evidence` is plain data, `wall` Unix seconds, `id` counts up."""

    what: str
    who: str
    why: str
    evidence: dict[str, Any] = {}
    wall: float = 0.0
    id: int = 0


class StateConflict(StoreError):
    """Somebody else changed the state in the meantime: look again."""


class SharedState(Protocol):
    """Named state that several processes may use at once, and a journal; methods block for a moment. Raises StoreError."""

    def read(self, name: str) -> tuple[int, dict[str, Any] | None]:
        """The version of a state and its value; (0, None) when it was never written."""
        ...

    def write(self, name: str, value: Mapping[str, Any], expected: int, entry: Entry | None) -> int:
        """Replace the version that was read, and say so in the journal, both or none; gives the new version.

        Raises StateConflict when the version is no longer the expected one: so of many who want to, one decides.
        """
        ...

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace a state that only its writer changes, without a word in the journal."""
        ...

    def kept(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The states whose names begin so, by the rest of the name."""
        ...

    def forget(self, prefix: str, but: str) -> None:
        """Remove the states whose names begin so, but not those that go on like `but`."""
        ...

    def note(self, topic: str, entry: Entry) -> None:
        """A line in the journal of something that changed nothing."""
        ...

    def journal(self, topic: str, limit: int = 50) -> list[Entry]:
        """The newest lines, newest first."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class StateStore:
    """State that several processes may use at once; methods block for a moment, call them in a thread.

    `where` is a SQLite file, or a database with the tables of SCHEMA. The newest `most_lines` lines of the journal are
    kept. Raises StoreError where it cannot be opened, read or written.
    """

    def __init__(
        self, where: str | Path | Database, *, wall: Callable[[], float] = time.time, most_lines: int = 10_000
    ) -> None:
        self.database = database_of(where, SCHEMA)
        self._wall, self._lock, self._most_lines = wall, threading.Lock(), most_lines
        self._connection = self.database.open()

    def read(self, name: str) -> tuple[int, dict[str, Any] | None]:
        """The version of a state and its value; (0, None) when it was never written."""
        row = self._look("SELECT version, value FROM state WHERE name = ?", (name,))
        return (row[0][0], json.loads(row[0][1])) if row else (0, None)

    def write(self, name: str, value: Mapping[str, Any], expected: int, entry: Entry | None) -> int:
        """Replace the version that was read, and say so in the journal, both or none. Gives the new version.

        Without an entry nothing is said: what is learned all the time would push people's words out of the journal.

        Raises StateConflict when the version is no longer the expected one.
        """

        def change(connection: Connection) -> int:
            row = connection.execute("SELECT version FROM state WHERE name = ?", (name,)).fetchone()
            if (row[0] if row else 0) != expected:
                raise StateConflict(f"{name} was changed by somebody else at the same time")
            connection.execute(_PUT, (name, expected + 1, json.dumps(value)))
            if entry is not None:
                self._append(connection, name, entry)
            return expected + 1

        return self._in_transaction(change)

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace a state that only its writer changes, without a word in the journal."""
        text = json.dumps(value)
        self._in_transaction(lambda connection: connection.execute(_PUT, (name, 0, text)))

    def kept(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The states whose names begin so, by the rest of the name."""
        rows = self._look("SELECT name, value FROM state WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
        return {name[len(prefix) :]: json.loads(value) for name, value in rows}

    def forget(self, prefix: str, but: str) -> None:
        """Remove the states whose names begin so, but not those that go on like `but`."""
        sql = "DELETE FROM state WHERE substr(name, 1, ?) = ? AND substr(name, 1, ?) <> ?"
        both = prefix + but
        self._in_transaction(lambda connection: connection.execute(sql, (len(prefix), prefix, len(both), both)))

    def note(self, topic: str, entry: Entry) -> None:
        """A line in the journal of something that changed nothing (a refusal, a failed gate)."""
        self._in_transaction(lambda connection: self._append(connection, topic, entry))

    def journal(self, topic: str, limit: int = 50) -> list[Entry]:
        """The newest lines, newest first."""
        rows = self._look(
            "SELECT id, wall, who, why, what, entry FROM journal WHERE topic = ? ORDER BY id DESC LIMIT ?",
            (topic, limit),
        )
        return [
            Entry(id=number, wall=wall, who=who, why=why, what=what, evidence=json.loads(entry))
            for number, wall, who, why, what, entry in rows
        ]

    def add(self, topic: str, era: int, amounts: Mapping[str, float]) -> None:
        """Add to the sums of an era."""
        rows = [(topic, era, name, amount) for name, amount in amounts.items()]
        self._in_transaction(
            lambda connection: connection.executemany(
                "INSERT INTO tallies VALUES (?, ?, ?, ?) "
                "ON CONFLICT (topic, era, name) DO UPDATE SET value = tallies.value + excluded.value",
                rows,
            )
        )

    def tally(self, topic: str, era: int) -> dict[str, float]:
        """The sums of an era."""
        return dict(self._look("SELECT name, value FROM tallies WHERE topic = ? AND era = ?", (topic, era)))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _append(self, connection: Connection, topic: str, entry: Entry) -> None:
        connection.execute(
            "INSERT INTO journal (topic, wall, who, why, what, entry) VALUES (?, ?, ?, ?, ?, ?)",
            (topic, entry.wall or self._wall(), entry.who, entry.why, entry.what, json.dumps(entry.evidence)),
        )
        connection.execute("DELETE FROM journal WHERE id <= (SELECT MAX(id) FROM journal) - ?", (self._most_lines,))

    def _look(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            return self._connection.look(sql, values)

    def _in_transaction(self, action: Callable[[Connection], T]) -> T:
        with self._lock, self._connection.transaction() as connection:
            return action(connection)

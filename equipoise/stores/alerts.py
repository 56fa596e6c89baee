"""Alerts that outlive the process: their history, and the notices that still wait for an unreachable receiver.

The file is made when there is first something to keep. Methods block for a moment: call them in a thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from equipoise.core.alerting import Alert, Notice
from equipoise.stores.sqlite import Migration, StoreError, open_database

T = TypeVar("T")
MOST_HISTORY, MOST_WAITING = 10_000, 2_000
SCHEMA = (
    Migration(
        1,
        "alerts",
        """
CREATE TABLE history (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    wall REAL NOT NULL,
    alert_id TEXT NOT NULL,
    notice TEXT NOT NULL
);
-- The alerts that were active when last heard of: what a new process goes on with.
CREATE TABLE active (
    id TEXT PRIMARY KEY,
    alert TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    receiver TEXT NOT NULL,
    since REAL NOT NULL,
    notice TEXT NOT NULL
) WITHOUT ROWID;
""",
    ),
)
_encode = msgspec.json.Encoder().encode
_notice, _alert = msgspec.json.Decoder(Notice), msgspec.json.Decoder(Alert)


class AlertStore:
    """One SQLite file. Raises StoreError where it cannot be opened, read or written."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def record(self, notices: list[Notice], active: list[Alert]) -> None:
        """Append to the history, and keep which alerts are active now."""

        def write(connection: sqlite3.Connection) -> None:
            rows = [(of.wall, of.alert.id, _encode(of).decode()) for of in notices]
            connection.executemany("INSERT INTO history (wall, alert_id, notice) VALUES (?, ?, ?)", rows)
            connection.execute(
                "DELETE FROM history WHERE number <= (SELECT MAX(number) FROM history) - ?", (MOST_HISTORY,)
            )
            connection.execute("DELETE FROM active")
            connection.executemany("INSERT INTO active VALUES (?, ?)", [(of.id, _encode(of).decode()) for of in active])

        self._do(write, make=True)

    def history(self, limit: int) -> list[Notice]:
        """The newest notices, newest first."""
        sql = "SELECT notice FROM history ORDER BY number DESC LIMIT ?"
        rows = self._do(lambda connection: connection.execute(sql, (limit,)).fetchall())
        return [_notice.decode(row[0]) for row in rows or ()]

    def active(self) -> list[Alert]:
        """The alerts that were active when the last process wrote."""
        rows = self._do(lambda connection: connection.execute("SELECT alert FROM active").fetchall())
        return [_alert.decode(row[0]) for row in rows or ()]

    def keep(self, parcel_id: str, receiver: str, since: float, notice: Notice) -> None:
        """A notice waits for a receiver; the oldest go where too many do."""

        def write(connection: sqlite3.Connection) -> None:
            row = (parcel_id, receiver, since, _encode(notice).decode())
            connection.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?)", row)
            connection.execute(
                "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY since DESC, id LIMIT -1 OFFSET ?)",
                (MOST_WAITING,),
            )

        self._do(write, make=True)

    def drop(self, parcel_id: str) -> None:
        """It was delivered, or will never be."""
        self._do(lambda connection: connection.execute("DELETE FROM outbox WHERE id = ?", (parcel_id,)))

    def waiting(self) -> list[tuple[str, str, float, Notice]]:
        """What still waits, oldest first: id, receiver, since, notice."""
        sql = "SELECT id, receiver, since, notice FROM outbox ORDER BY since, id"
        rows = self._do(lambda connection: connection.execute(sql).fetchall())
        return [(number, receiver, since, _notice.decode(text)) for number, receiver, since, text in rows or ()]

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _do(self, action: Callable[[sqlite3.Connection], T], *, make: bool = False) -> T | None:
        """In one transaction; None where there is no file yet and none is to be made."""
        with self._lock:
            if self._connection is None:
                if not make and not self.path.exists():
                    return None
                self._connection = open_database(self.path, SCHEMA)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                result = action(self._connection)
                self._connection.execute("COMMIT")
            except (sqlite3.Error, msgspec.DecodeError) as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise StoreError(f"cannot use {self.path}: {error}") from error
            return result

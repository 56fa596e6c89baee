"""The journal of what people did: append-only, bounded, and chained so that a changed line shows.

One SQLite file, made when there is first something to keep. Methods block for a moment: call them in a thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from equipoise.stores.sqlite import Migration, StoreError, open_database

T = TypeVar("T")
DAY = 86_400.0
SCHEMA = (
    Migration(
        1,
        "audit",
        """
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    wall REAL NOT NULL,
    who TEXT NOT NULL,
    entry TEXT NOT NULL,
    chain TEXT NOT NULL
);
CREATE INDEX audit_by_wall ON audit (wall);
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit journal is append-only'); END;
-- Retention takes the oldest first; nothing else is ever taken out.
CREATE TRIGGER audit_keeps_the_rest BEFORE DELETE ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id < OLD.id)
BEGIN SELECT RAISE(ABORT, 'only the oldest entries of the audit journal can go'); END;
""",
    ),
)


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One action: who (a key's or a subject's name), what, on what, what came of it. `wall` is Unix seconds.

    `changed` maps a field to its value before and after; nothing here is a secret. `id` counts up.
    """

    who: str
    action: str
    outcome: str
    role: str | None = None
    target: str = ""
    address: str = ""
    request_id: str = ""
    said: dict[str, Any] = {}
    changed: dict[str, tuple[Any, Any]] = {}
    wall: float = 0.0
    id: int = 0


_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(AuditEntry).decode


class AuditStore:
    """The journal in its file. Raises StoreError where it cannot be opened, read or written."""

    def __init__(
        self,
        path: Path,
        *,
        keep_days: float = 365.0,
        max_entries: int = 200_000,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path, self._wall, self._lock = path, wall, threading.Lock()
        self._keep, self._most = keep_days * DAY, max_entries
        self._connection: sqlite3.Connection | None = None

    def append(self, entry: AuditEntry) -> None:
        """Write one line behind the others, and let go of the oldest that are past their time or number."""
        timed = msgspec.structs.replace(entry, wall=entry.wall or self._wall(), id=0)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._write(connection, timed)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

        self._do(write, make=True)

    def _write(self, connection: sqlite3.Connection, entry: AuditEntry) -> None:
        text = _encode(entry).decode()
        last = connection.execute("SELECT chain FROM audit ORDER BY id DESC LIMIT 1").fetchone()
        values = (entry.wall, entry.who, text, link(last[0] if last else "", text))
        connection.execute("INSERT INTO audit (wall, who, entry, chain) VALUES (?, ?, ?, ?)", values)
        connection.execute(
            "DELETE FROM audit WHERE id <= MAX((SELECT MAX(id) FROM audit) - ?, "
            "(SELECT IFNULL(MAX(id), 0) FROM audit WHERE wall < ?))",
            (self._most, self._wall() - self._keep),
        )

    def entries(self, *, since: float = 0.0, who: str | None = None, limit: int = 100) -> list[AuditEntry]:
        """The newest entries since a moment (Unix seconds), newest first; of one person where named."""
        sql = "SELECT id, entry FROM audit WHERE wall >= ? AND (? IS NULL OR who = ?) ORDER BY id DESC LIMIT ?"
        rows = self._do(lambda connection: connection.execute(sql, (since, who, who, limit)).fetchall())
        return [msgspec.structs.replace(_decode(text), id=number) for number, text in rows or ()]

    def broken(self) -> int | None:
        """The id of the first entry that is not what was written, or whose predecessor is gone; None if all are whole.

        The oldest entry is taken for whole: retention took those before it.
        """
        return self._do(_first_broken)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _do(self, action: Callable[[sqlite3.Connection], T], *, make: bool = False) -> T | None:
        with self._lock:
            if self._connection is None and not make and not self.path.is_file():
                return None
            if self._connection is None:
                self._connection = open_database(self.path, SCHEMA)
            try:
                return action(self._connection)
            except (sqlite3.Error, msgspec.DecodeError) as error:
                raise StoreError(f"the audit journal {self.path} fails: {error}") from error


def link(before: str, text: str) -> str:
    """The SHA-256 (hexadecimal) that ties an entry to the one before it."""
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _first_broken(connection: sqlite3.Connection) -> int | None:
    before: tuple[int, str] | None = None
    for number, text, chain in connection.execute("SELECT id, entry, chain FROM audit ORDER BY id"):
        if before is not None and (number != before[0] + 1 or chain != link(before[1], text)):
            return int(number)
        before = number, chain
    return None

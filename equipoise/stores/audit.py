"""The journal of what people did: append-only, bounded, and chained so that a changed line shows.

Its tables are made when there is first something to keep. Methods block for a moment: call them in a thread.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from equipoise.stores.database import Connection, Database, Migration, Row, Schema, StoreError
from equipoise.stores.sqlite import database_of

DAY = 86_400.0
_TABLE = """
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    wall REAL NOT NULL,
    who TEXT NOT NULL,
    entry TEXT NOT NULL,
    chain TEXT NOT NULL
);
CREATE INDEX audit_by_wall ON audit (wall);
"""
# Retention takes the oldest first; nothing else is ever taken out.
_GUARD = """
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit journal is append-only'); END;
CREATE TRIGGER audit_keeps_the_rest BEFORE DELETE ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id < OLD.id)
BEGIN SELECT RAISE(ABORT, 'only the oldest entries of the audit journal can go'); END;
"""
_POSTGRES_GUARD = """
CREATE FUNCTION audit_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit journal is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE TRIGGER audit_never_changes BEFORE UPDATE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_never_changes();
-- After the statement: whichever order its rows went in, none that is older than one of them may be left.
CREATE FUNCTION audit_keeps_the_rest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT MIN(id) FROM audit) < (SELECT MAX(id) FROM gone) THEN
        RAISE EXCEPTION 'only the oldest entries of the audit journal can go' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_keeps_the_rest AFTER DELETE ON audit REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION audit_keeps_the_rest();
"""
SCHEMA = Schema("audit", (Migration(1, "audit", _TABLE + _GUARD, _TABLE + _POSTGRES_GUARD),))


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
    """The journal in its database. Raises StoreError where it cannot be opened, read or written."""

    def __init__(
        self,
        where: Path | Database,
        *,
        keep_days: float = 365.0,
        max_entries: int = 200_000,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.database, self._wall, self._lock = database_of(where, SCHEMA), wall, threading.Lock()
        self._keep, self._most = keep_days * DAY, max_entries
        self._connection: Connection | None = None

    def append(self, entry: AuditEntry) -> None:
        """Write one line behind the others, and let go of the oldest that are past their time or number."""
        timed = msgspec.structs.replace(entry, wall=entry.wall or self._wall(), id=0)

        with self._lock, self._opened().transaction() as connection:
            self._write(connection, timed)

    def _write(self, connection: Connection, entry: AuditEntry) -> None:
        text = _encode(entry).decode()
        last = connection.execute("SELECT id, chain FROM audit ORDER BY id DESC LIMIT 1").fetchone()
        number, before = last or (0, "")
        # The number is ours to give: one that a failed transaction leaves out would look like an entry taken away.
        values = (number + 1, entry.wall, entry.who, text, link(before, text))
        connection.execute("INSERT INTO audit (id, wall, who, entry, chain) VALUES (?, ?, ?, ?, ?)", values)
        late = "SELECT COALESCE(MAX(id), 0) FROM audit WHERE wall < ?"
        (past,) = connection.execute(late, (self._wall() - self._keep,)).fetchone()
        connection.execute("DELETE FROM audit WHERE id <= ?", (max(past, number + 1 - self._most),))

    def entries(self, *, since: float = 0.0, who: str | None = None, limit: int = 100) -> list[AuditEntry]:
        """The newest entries since a moment (Unix seconds), newest first; of one person where named."""
        sql = "SELECT id, entry FROM audit WHERE wall >= :since AND (who = :who OR :who IS NULL) ORDER BY id DESC LIMIT :limit"
        rows = self._look(sql, {"since": since, "who": who, "limit": limit})
        try:
            return [msgspec.structs.replace(_decode(text), id=number) for number, text in rows]
        except msgspec.DecodeError as error:
            raise StoreError(f"the audit journal {self.database.name} fails: {error}") from error

    def broken(self) -> int | None:
        """The id of the first entry that is not what was written, or whose predecessor is gone; None if all are whole.

        The oldest entry is taken for whole: retention took those before it.
        """
        return _first_broken(self._look("SELECT id, entry, chain FROM audit ORDER BY id", {}))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _look(self, sql: str, values: dict[str, Any]) -> list[Row]:
        """Nothing is made by looking."""
        with self._lock:
            if self._connection is None and not self.database.exists():
                return []
            return self._opened().look(sql, values)

    def _opened(self) -> Connection:
        self._connection = self._connection or self.database.open()
        return self._connection


def link(before: str, text: str) -> str:
    """The SHA-256 (hexadecimal) that ties an entry to the one before it."""
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _first_broken(rows: list[Row]) -> int | None:
    before: tuple[int, str] | None = None
    for number, text, chain in rows:
        if before is not None and (number != before[0] + 1 or chain != link(before[1], text)):
            return int(number)
        before = number, chain
    return None

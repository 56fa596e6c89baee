"""The words of questions and answers, where an operator wants them kept: a file of their own, which can be emptied."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from equipoise.stores.sqlite import Migration, SqliteConnection, StoreError, open_database, open_for_reading
from equipoise.stores.writer import BatchWriter

Mode: TypeAlias = Literal["none", "redacted", "full"]
FILE = "content.sqlite3"
LONGEST = 65_536
"""Characters kept of a question, and of an answer."""
DAY, TIDY_SECONDS = 86_400.0, 600.0
STEPS = (
    Migration(
        1,
        "0001_contents",
        """
CREATE TABLE contents (
    request_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    wall REAL NOT NULL,
    ends REAL NOT NULL,
    mode TEXT NOT NULL,
    backend_id TEXT,
    question TEXT NOT NULL,
    answer TEXT,
    citations TEXT NOT NULL DEFAULT '[]',
    error_code TEXT,
    PRIMARY KEY (request_id, tenant)
) WITHOUT ROWID;
CREATE INDEX contents_by_tenant ON contents (tenant, wall);
CREATE INDEX contents_by_end ON contents (ends);
-- What was asked before this moment was purged: what still waits in a gateway's memory must not come after it.
CREATE TABLE purged (tenant TEXT PRIMARY KEY, wall REAL NOT NULL) WITHOUT ROWID;
""",
    ),
)
COLUMNS = (
    "request_id", "tenant", "wall", "ends", "mode", "backend_id", "question", "answer", "citations", "error_code",
)  # fmt: skip
_INSERT = f"""
INSERT OR REPLACE INTO contents ({", ".join(COLUMNS)}) SELECT {", ".join("?" * len(COLUMNS))}
WHERE NOT EXISTS (SELECT 1 FROM purged WHERE tenant = ? AND wall >= ?)
"""  # noqa: S608 - names of columns
logger = logging.getLogger("equipoise.content")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One question and what came of it: the words of each, or the code of the error."""

    request_id: str
    tenant: str
    wall: float
    question: str
    answer: str | None = None
    citations: tuple[dict[str, Any], ...] = ()
    backend_id: str | None = None
    error_code: str | None = None


class Terms(msgspec.Struct, frozen=True):
    """How the words of one tenant are kept, and for how many seconds."""

    mode: Mode = "none"
    seconds: float = 30 * DAY


NOTHING = Terms()


class Contents:
    """Keeps words by each tenant's terms; written beside the questions, redacted before they reach the disk.

    `redact` is asked of every text that is kept redacted; where it raises or gives no text, that question is not kept at
    all and counted. Raises StoreError when the file cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        terms: Mapping[str, Terms],
        default: Terms = NOTHING,
        *,
        redact: Callable[[str], str] = str,
        capacity: int = 2_000,
        batch_seconds: float = 0.5,
        wall: Callable[[], float] = time.time,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.dropped, self.unredacted = Path(path), 0, 0
        self._terms, self._default, self._redact, self._wall = dict(terms), default, redact, wall
        self._next_tidy = 0.0
        self._connection = opened(self.path)
        self._writer = BatchWriter[Kept](
            self._write, batch_seconds=batch_seconds, capacity=capacity, tidy=self._tidy, on_error=on_error
        )

    def wants(self, tenant: str) -> bool:
        """Are any of this tenant's words kept?"""
        return self._terms_of(tenant).mode != "none"

    def keep(self, kept: Kept) -> None:
        """Keep it, if its tenant's words are kept. Never waits."""
        if self.wants(kept.tenant) and not self._writer.put(kept):
            self.dropped += 1

    async def flush(self) -> None:
        """Wait until all that was kept is on disk. Raises StoreError."""
        await asyncio.wrap_future(self._writer.flush())

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._writer.is_alive():
            self.dropped += len(self._writer.close())
        if not self._writer.is_alive():
            self._connection.close()

    def _terms_of(self, tenant: str) -> Terms:
        return self._terms.get(tenant, self._default)

    # ---- in the writer's thread ----

    def _write(self, kept: list[Kept]) -> None:
        rows = [row for each in kept if (row := self._row(each)) is not None]
        with self._connection.transaction() as connection:
            connection.executemany(_INSERT, rows)

    def _row(self, kept: Kept) -> tuple[Any, ...] | None:
        terms = self._terms_of(kept.tenant)
        sources = json.dumps(kept.citations, ensure_ascii=False)
        texts = [text[:LONGEST] if text is not None else None for text in (kept.question, kept.answer)]
        question, answer, citations = texts[0], texts[1], sources if len(sources) <= LONGEST else "[]"
        if terms.mode == "redacted":
            try:
                question, answer = self._redacted(question), self._redacted(answer)
                citations = json.dumps([_each(source, self._redacted) for source in json.loads(citations)])
            except BaseException as error:  # noqa: BLE001 - a stranger's code may raise anything; then nothing is kept
                self._lost(error)
                return None
        ends = kept.wall + terms.seconds
        return (
            kept.request_id, kept.tenant, kept.wall, ends, terms.mode, kept.backend_id, question, answer, citations,
            kept.error_code, kept.tenant, kept.wall,
        )  # fmt: skip

    def _redacted(self, text: str | None) -> str | None:
        found = None if text is None else self._redact(text)
        if text is not None and not isinstance(found, str):
            raise TypeError("no text")
        return found

    def _lost(self, error: BaseException) -> None:
        """Told the first time and every thousandth, and never in the words of the error: they may be the question's."""
        self.unredacted += 1
        if self.unredacted % 1000 == 1:
            logger.warning("words could not be redacted and are not kept", extra={"error": type(error).__name__})

    def _tidy(self) -> None:
        if (now := self._wall()) >= self._next_tidy:
            with self._connection.transaction() as connection:
                connection.execute("DELETE FROM contents WHERE ends < ?", (now,))
            self._next_tidy = now + TIDY_SECONDS


def _each(source: Mapping[str, Any], redacted: Callable[[str | None], str | None]) -> dict[str, Any]:
    return {name: redacted(value) if isinstance(value, str) else value for name, value in source.items()}


def opened(path: Path) -> SqliteConnection:
    """The file, open for writing; what is deleted is overwritten. Raises StoreError."""
    connection = open_database(path, STEPS)
    connection.overwrite()
    return connection


def kept_of(path: Path, tenant: str, request_id: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    """What is kept of a tenant's questions, the latest first, or of one of them. Raises StoreError."""
    query = (
        "SELECT * FROM contents WHERE tenant = ? AND (? IS NULL OR request_id = ?) AND ends >= ?"
        " ORDER BY wall DESC LIMIT ?"
    )
    try:
        with closing(open_for_reading(path)) as connection:
            found = connection.execute(query, (tenant, request_id, request_id, time.time(), limit)).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    return [{**dict(row), "citations": json.loads(row["citations"])} for row in found]

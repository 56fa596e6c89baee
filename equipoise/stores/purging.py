"""Takes out what tells of a tenant's questions: the words that were kept, and what the ledger knows of them but the bill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from equipoise.stores.contents import opened
from equipoise.stores.database import Connection, Database, StoreError
from equipoise.stores.sqlite import database_of, ledger_schema

_TOLD = "tenant = :tenant AND wall < :before"
_TELLS = f"""{_TOLD} AND
(question_hash != '' OR features != '{{}}' OR session IS NOT NULL OR tags != '[]' OR error IS NOT NULL)"""
_FORGET = f"""UPDATE attempts SET question_hash = '', features = '{{}}', session = NULL, tags = '[]', error = NULL
WHERE {_TELLS}"""  # noqa: S608 - constants


class Purged(msgspec.Struct, frozen=True):
    """How many questions' words were removed, of how many attempts what told of a question, how many records whole."""

    words: int = 0
    forgotten: int = 0
    removed: int = 0


def purge(
    ledger: Path | Database | None,
    contents: Path,
    tenant: str,
    before: float,
    *,
    books: bool = False,
    dry_run: bool = False,
) -> Purged:
    """Remove what was kept of a tenant until a moment (Unix seconds).

    In the ledger stay tokens, costs and times, unless the `books` go as well; then budgets keep what they counted, but
    reports no longer know it. What is deleted is overwritten. Raises StoreError.
    """
    values: dict[str, str | float] = {"tenant": tenant, "before": before}
    words = _words(contents, values, dry_run) if contents.is_file() else 0
    database = None if ledger is None else database_of(ledger, ledger_schema())
    if database is None or not database.exists():
        return Purged(words)
    with _transaction(database.open(), dry_run) as connection:
        if not books:
            return Purged(words, forgotten=_changed(connection, _FORGET, values))
        _changed(connection, f"DELETE FROM quality WHERE {_TOLD}", values)  # noqa: S608 - a constant
        _changed(connection, f"DELETE FROM reuses WHERE {_TOLD}", values)  # noqa: S608 - a constant
        gone = _changed(connection, f"DELETE FROM attempts WHERE {_TOLD}", values)  # noqa: S608 - a constant
        return Purged(words, removed=gone)


def _words(contents: Path, values: dict[str, str | float], dry_run: bool) -> int:
    with _transaction(opened(contents), dry_run) as connection:
        gone = _changed(connection, f"DELETE FROM contents WHERE {_TOLD}", values)  # noqa: S608 - a constant
        said = "INSERT INTO purged VALUES (:tenant, :before) ON CONFLICT DO UPDATE SET wall = MAX(wall, excluded.wall)"
        connection.execute(said, values)
        return gone


def _changed(connection: Connection, statement: str, values: dict[str, str | float]) -> int:
    return connection.execute(statement, values).rowcount


@contextmanager
def _transaction(connection: Connection, dry_run: bool) -> Iterator[Connection]:
    """One transaction, taken back where nothing is to be done; then the log of writes, which holds old pages, is emptied."""
    with closing(connection):
        connection.overwrite()
        try:
            with connection.transaction():
                yield connection
                _take_back(dry_run)
        except _TakenBack:
            return
        except StoreError as error:
            raise StoreError(f"nothing was purged: {error}") from error
        connection.compact()


class _TakenBack(Exception):
    """Ends a transaction of which nothing is to stay."""


def _take_back(dry_run: bool) -> None:
    if dry_run:
        raise _TakenBack

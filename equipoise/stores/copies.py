"""Copies of a store: made beside running gateways, put back when none runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from equipoise.stores.sqlite import StoreError, make_private, open_for_reading

FREE = "free-of-"
"""Beside the store of budgets: what gateways had free of it (`remains`)."""
AT_ONCE = 1_000  # pages; between two portions a writer gets its turn


class InUse(StoreError):
    """Another process has the store open."""


def back_up(source: Path, target: Path) -> int:
    """Copy one store as it is at one instant; gives the bytes written. Raises StoreError.

    Writers go on meanwhile. The copy is private, whole, and appears under its name only when it is.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        make_private(partial)
        with closing(open_for_reading(source)) as origin, closing(sqlite3.connect(partial)) as copy:
            origin.backup(copy, pages=AT_ONCE)
            copy.execute("PRAGMA journal_mode = DELETE")
            _require_whole(copy, source)
        os.replace(partial, target)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            partial.unlink()
        raise StoreError(f"cannot copy {source} to {target}: {error}") from error
    return target.stat().st_size


def restore(source: Path, target: Path) -> None:
    """Put a copy in a store's place. Raises InUse while anybody has it open, StoreError for what is no whole copy."""
    try:
        with closing(open_for_reading(source)) as copy:
            _require_whole(copy, source)
            make_private(target)
            with closing(sqlite3.connect(target, timeout=0.5, isolation_level=None)) as store:
                _require_alone(store, target)
                copy.backup(store)
        for left in target.parent.glob(f"{FREE}*"):
            left.unlink()  # a dead gateway's word about another time
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot put {source} in the place of {target}: {error}") from error


def in_use(path: Path) -> bool:
    """Does another process have this store open?"""
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as store:
            _require_alone(store, path)
    except InUse:
        return True
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    return False


def _require_alone(store: sqlite3.Connection, path: Path) -> None:
    """Leaving WAL takes a lock that no other connection may share, open ones at rest included."""
    try:
        store.execute("PRAGMA journal_mode = DELETE").fetchone()
        store.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InUse(f"{path} is in use: stop the gateways that have it open") from error
        raise


def _require_whole(copy: sqlite3.Connection, path: Path) -> None:
    told = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    known = copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'").fetchone()
    if told != "ok" or known is None:
        raise StoreError(f"{path} is no whole store: {told if told != 'ok' else 'it has no schema of ours'}")

"""Migrations are numbered, whole, forward-only and safe to race."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from equipoise.stores.rows import COLUMNS, row_of
from equipoise.stores.sqlite import (
    Migration,
    StoreError,
    insert_statement,
    migrate,
    migrations,
    open_database,
    statements,
)
from tests.shell.stores.attempts import attempt


def test_shipped_migrations_are_numbered_without_a_hole() -> None:
    """1, 2, 3, …: a missing file would be a schema nobody has."""
    assert [step.version for step in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_migration_is_applied_once(tmp_path: Path) -> None:
    """Opening again finds nothing to do; a database from a newer version is left alone."""
    connection = open_database(tmp_path / "l.db")
    connection.execute("INSERT INTO schema_migrations VALUES (999, '0999_future.sql', 0)")
    assert migrate(connection, migrations()) == []
    step = Migration(998, "0998_more.sql", "CREATE TABLE more (x);\nINSERT INTO more VALUES (';');")
    assert migrate(connection, [*migrations(), step]) == [998]
    assert migrate(connection, [*migrations(), step]) == []
    assert connection.execute("SELECT x FROM more").fetchall() == [(";",)]
    connection.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a schema would be worse than the old one."""
    connection = open_database(tmp_path / "l.db")
    broken = Migration(998, "0998_broken.sql", "CREATE TABLE half (x);\nCREATE TABLE half (x);")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [broken])
    assert connection.execute("SELECT * FROM sqlite_master WHERE name = 'half'").fetchall() == []
    assert not connection.in_transaction
    connection.close()


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    """Workers start together; each finds the schema whole and none fails."""
    errors: list[BaseException] = []

    def start() -> None:
        try:
            open_database(tmp_path / "l.db").close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must show it
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_script_is_cut_at_statements_not_at_semicolons() -> None:
    """A semicolon inside a string or a trigger is no end."""
    script = "INSERT INTO a VALUES ('x;\ny');\nSELECT 1"
    assert [part.strip() for part in statements(script)] == ["INSERT INTO a VALUES ('x;\ny');", "SELECT 1"]


def test_every_column_has_its_value_and_a_statement_fits_sqlite() -> None:
    """Columns and values are two lists in two places; 32,766 is SQLite's limit of values in a statement."""
    row = row_of(attempt())
    assert len(row) == len(COLUMNS) == len(set(COLUMNS))
    assert dict(zip(COLUMNS, row, strict=True))["cost"] == 6_100_000
    assert insert_statement("attempts", COLUMNS, 64).count("?") == 64 * len(COLUMNS) < 32_766


def test_the_previous_version_still_writes_into_the_new_schema(tmp_path: Path) -> None:
    """Every column that came after the first schema has a default, so that an upgrade can be taken back."""
    connection = open_database(tmp_path / "l.db")
    first = {row[1] for row in _first_schema().execute("PRAGMA table_info(attempts)")}
    now = {row[1]: row for row in connection.execute("PRAGMA table_info(attempts)")}
    added = [now[name] for name in now.keys() - first]
    assert first <= now.keys()
    assert added
    assert all(not not_null or default is not None for _, _, _, not_null, default, _ in added)
    connection.close()


def _first_schema() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    migrate(connection, migrations()[:1])
    return connection


def test_a_second_opening_does_not_lose_the_locks_of_the_first(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops all POSIX locks its process holds on it; another process that then was the
    last to close the database, as far as it could see, would take the log away from under us."""
    path = tmp_path / "l.db"
    first, second = open_database(path), open_database(path)
    first.execute("CREATE TABLE noted (x)")
    elsewhere = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM noted'); c.close()"
    subprocess.run([sys.executable, "-c", elsewhere, str(path)], check=True)
    assert path.with_name("l.db-wal").exists()
    first.execute("INSERT INTO noted VALUES (1)")
    assert second.execute("SELECT x FROM noted").fetchall() == [(1,)]
    first.close()
    second.close()


def test_a_database_made_by_others_becomes_private(tmp_path: Path) -> None:
    """Whoever made the file with whatever rights: from now on only the owner reads it."""
    path = tmp_path / "l.db"
    path.touch(mode=0o644)
    open_database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [ValueError("not ours"), KeyboardInterrupt()])
def test_whatever_goes_wrong_in_a_transaction_leaves_nothing_of_it_and_blocks_nobody(
    tmp_path: Path, error: BaseException
) -> None:
    """Not only SQLite's own errors: one left open would refuse every later one."""
    connection = open_database(tmp_path / "l.db")
    connection.execute("CREATE TABLE noted (x)")
    with pytest.raises(type(error)), connection.transaction():
        connection.execute("INSERT INTO noted VALUES (1)")
        raise error
    with connection.transaction():
        connection.execute("INSERT INTO noted VALUES (2)")
    assert connection.execute("SELECT x FROM noted").fetchall() == [(2,)]
    with pytest.raises(StoreError, match=r"cannot write .*: no such table"), connection.transaction():
        connection.execute("INSERT INTO nowhere VALUES (1)")
    assert not connection.in_transaction
    connection.close()

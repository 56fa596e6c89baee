"""The audit journal: append-only, bounded, and a changed line shows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.stores import StoreError
from equipoise.stores.audit import AuditEntry, AuditStore
from equipoise.stores.database import Database
from tests.shell.stores.conftest import Engine


def entry(number: int, who: str = "ann") -> AuditEntry:
    return AuditEntry(who=who, action=f"POST /admin/{number}", outcome="done", changed={"weight": (1, number)})


def written(where: Database | Path, count: int, **options: float) -> AuditStore:
    store = AuditStore(where, **options)  # type: ignore[arg-type]
    for number in range(count):
        store.append(entry(number))
    return store


def test_the_newest_come_first_and_can_be_asked_for_by_person_and_time(engine: Engine) -> None:
    """With what changed, as it was said."""
    now = [100.0]
    store = AuditStore(engine.audit, wall=lambda: now[0])
    store.append(entry(1))
    now[0] = 200.0
    store.append(entry(2, who="bob"))
    assert [(found.who, found.changed, found.wall) for found in store.entries()] == [
        ("bob", {"weight": (1, 2)}, 200.0),
        ("ann", {"weight": (1, 1)}, 100.0),
    ]
    assert [found.who for found in store.entries(since=150.0)] == ["bob"]
    assert [found.who for found in store.entries(who="ann")] == ["ann"]
    assert [found.id for found in store.entries(limit=1)] == [2]
    store.close()


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    """A file is made when there is first something to keep, and only its owner may read it."""
    store = AuditStore(tmp_path / "audit.sqlite3")
    assert (store.entries(), store.broken()) == ([], None)
    assert not (tmp_path / "audit.sqlite3").exists()
    store.append(entry(1))
    assert (tmp_path / "audit.sqlite3").stat().st_mode & 0o777 == 0o600
    store.close()


@pytest.mark.parametrize("sql", ["UPDATE audit SET who = 'eve' WHERE id = 2", "DELETE FROM audit WHERE id = 2"])
def test_lines_are_neither_changed_nor_taken_out(engine: Engine, sql: str) -> None:
    """The database itself refuses, whoever asks."""
    written(engine.audit, 3).close()
    connection = engine.audit.open()
    with pytest.raises(StoreError, match=r"append-only|only the oldest"), connection.transaction():
        connection.execute(sql)
    connection.close()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    victim=st.integers(1, 5),
    sql=st.sampled_from(
        ["UPDATE audit SET entry = replace(entry, 'ann', 'eve') WHERE id = ?", "DELETE FROM audit WHERE id = ?"]
    ),
)
def test_whoever_forces_a_change_leaves_a_broken_chain(
    tmp_path_factory: pytest.TempPathFactory, victim: int, sql: str
) -> None:
    """With the triggers dropped: every changed line shows, and every missing one but the oldest and the newest."""
    store = written(path := tmp_path_factory.mktemp("chain") / "audit.sqlite3", 6)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER audit_never_changes")
        connection.execute("DROP TRIGGER audit_keeps_the_rest")
        connection.execute(sql, (victim,))
    connection.close()
    expected = None if sql.startswith("DELETE") and victim == 1 else victim + (1 if sql.startswith("DELETE") else 0)
    assert store.broken() == (None if victim == 1 else expected)
    store.close()


def test_the_oldest_go_by_number_and_the_rest_stays_whole(engine: Engine) -> None:
    """Bounded for ever."""
    store = written(engine.audit, 25, max_entries=10)
    assert [found.id for found in store.entries()] == list(range(25, 15, -1))
    assert store.broken() is None
    store.close()


def test_the_oldest_go_by_time_and_the_newest_stays(engine: Engine) -> None:
    """Bounded for ever."""
    now = [0.0]
    aged = AuditStore(engine.audit, keep_days=1.0, wall=lambda: now[0])
    for number in range(4):
        now[0] = number * 43_200.0 + 1.0
        aged.append(entry(number))
    assert [found.id for found in aged.entries()] == [4, 3, 2]
    aged.close()


def test_two_processes_write_one_journal(engine: Engine) -> None:
    """Each line is tied to the one before it, whoever wrote that."""
    first, second = AuditStore(engine.audit), AuditStore(engine.audit)
    for number in range(6):
        (first if number % 2 else second).append(entry(number))
    assert (len(first.entries()), second.broken()) == (6, None)
    first.close()
    second.close()


def test_a_journal_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    """With the store's own error."""
    (tmp_path / "audit.sqlite3").mkdir()
    with pytest.raises(StoreError):
        AuditStore(tmp_path / "audit.sqlite3").append(entry(1))

"""State that outlives the process: versions, journal, sums."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from equipoise.stores import StoreError
from equipoise.stores.state import Entry, StateConflict, StateStore
from tests.shell.stores.conftest import Engine

ENTRY = Entry(what="moved", who="ann", why="because", evidence={"rate": 99.5})


@pytest.fixture
def store(engine: Engine):
    opened = StateStore(engine.state, wall=lambda: 1_790_000_000.0)
    yield opened
    opened.close()


def test_a_state_is_written_only_over_the_version_that_was_read(store: StateStore) -> None:
    """The journal has a line for each change and none for the refused one."""
    assert store.read("move") == (0, None)
    assert store.write("move", {"phase": 1}, 0, ENTRY) == 1
    with pytest.raises(StateConflict):
        store.write("move", {"phase": 9}, 0, ENTRY)
    assert store.read("move") == (1, {"phase": 1})
    (line,) = store.journal("move")
    assert (line.what, line.who, line.why, line.evidence, line.wall) == (
        "moved", "ann", "because", {"rate": 99.5}, 1_790_000_000.0,
    )  # fmt: skip


def test_the_journal_is_read_newest_first_and_by_topic(store: StateStore) -> None:
    """Also notes that changed nothing."""
    for number in range(5):
        store.note("move", Entry(what=str(number), who="", why=""))
    store.note("other", ENTRY)
    assert [line.what for line in store.journal("move", limit=3)] == ["4", "3", "2"]


def test_the_journal_is_bounded(engine: Engine) -> None:
    """A script that is refused every second for a year fills no disk: the oldest lines go."""
    store = StateStore(engine.state, most_lines=10)
    for number in range(25):
        store.note("move", Entry(what=str(number), who="", why=""))
    assert [line.what for line in store.journal("move", limit=100)] == [str(n) for n in range(24, 14, -1)]
    store.close()


def test_sums_of_an_era_add_up_over_threads(store: StateStore) -> None:
    """Nothing is lost between four writers."""

    def count() -> None:
        for _ in range(50):
            store.add("move", 2, {"asked": 1, "cost": 30_000})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.tally("move", 2) == {"asked": 200, "cost": 6_000_000}
    assert store.tally("move", 3) == {}


def test_processes_agree_and_the_file_is_private(tmp_path: Path) -> None:
    """Another process changes it; this one sees that, and its own stale version is refused."""
    path = tmp_path / "state.sqlite3"
    store = StateStore(path)
    store.write("move", {"phase": 1}, 0, ENTRY)
    program = (
        "import sys; from equipoise.stores.state import Entry, StateStore; s = StateStore(sys.argv[1]);"
        "v, value = s.read('move'); s.write('move', {'phase': value['phase'] + 1}, v, Entry(what='x', who='y', why='z'))"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert store.read("move") == (2, {"phase": 2})
    with pytest.raises(StateConflict):
        store.write("move", {"phase": 5}, 1, ENTRY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    """StoreError, with its name."""
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match="cannot open"):
        StateStore(path)


def test_a_closed_store_says_so(engine: Engine) -> None:
    """StoreError, not a crash."""
    store = StateStore(engine.state)
    store.close()
    with pytest.raises(StoreError):
        store.read("move")
    with pytest.raises(StoreError):
        store.add("move", 1, {"asked": 1})

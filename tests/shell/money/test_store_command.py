"""A backup is whole though a gateway writes; it goes back only where nobody has the store open."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from equipoise.cli import main
from equipoise.stores import Ledger, StoreError
from equipoise.stores.copies import back_up, in_use, restore
from equipoise.stores.keys import KeyStore, StoredKey
from equipoise.stores.state import StateStore
from tests.shell.stores.attempts import attempt


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "equipoise.yaml"
    path.write_text(f"backend_instances:\n  web: {{backend_type: perplexity}}\nstate_dir: {tmp_path / 'state'}\n")
    return str(path)


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT COUNT(*) FROM attempts").fetchone()[0])


def test_a_copy_made_while_records_are_written_is_whole(tmp_path: Path) -> None:
    """A prefix of what was written, private, and the writer never failed."""
    ledger, ended = Ledger(tmp_path / "ledger.sqlite3", batch_seconds=0.001), threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            ledger.record(attempt(f"r{number}"))
            number += 1
            ended.wait(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    sizes = []
    for number in range(5):
        back_up(tmp_path / "ledger.sqlite3", tmp_path / f"copy{number}")
        sizes.append(count(tmp_path / f"copy{number}"))
    ended.set()
    writer.join()
    health = ledger.health()
    ledger.close()
    assert sizes == sorted(sizes)
    assert health.ok
    assert (tmp_path / "copy0").stat().st_mode & 0o077 == 0
    assert list(tmp_path.glob(".*partial")) == []


def test_a_backup_goes_back_with_all_that_was_in_it(file: str, tmp_path: Path) -> None:
    """Ledger and keys as they were; what came after is gone; nothing is put back under a running gateway."""
    state = tmp_path / "state"
    ledger = Ledger(state / "ledger.sqlite3", batch_seconds=0.001)
    ledger.record(attempt("kept"))
    store = StateStore(state / "state.sqlite3")
    KeyStore(store).create(StoredKey(name="kept"))
    store.close()
    while ledger.health().pending:
        pass
    assert main(["store", "backup", str(tmp_path / "copies"), "-c", file]) == 0
    assert main(["store", "backup", str(tmp_path / "copies"), "-c", file]) == 4
    ledger.record(attempt("later"))
    while ledger.health().pending:
        pass
    assert main(["store", "restore", str(tmp_path / "copies"), "--yes", "-c", file]) == 4
    ledger.close()
    assert count(state / "ledger.sqlite3") == 2
    assert main(["store", "restore", str(tmp_path / "copies"), "-c", file]) == 4
    assert main(["store", "restore", str(tmp_path / "copies"), "--dry-run", "-c", file]) == 0
    assert count(state / "ledger.sqlite3") == 2
    assert main(["store", "restore", str(tmp_path / "copies"), "--yes", "-c", file]) == 0
    assert count(state / "ledger.sqlite3") == 1
    again = StateStore(state / "state.sqlite3")
    assert [key.name for key in KeyStore(again).all()] == ["kept"]
    again.close()
    reopened = Ledger(state / "ledger.sqlite3", batch_seconds=0.001)
    reopened.record(attempt("new"))
    reopened.close()
    assert count(state / "ledger.sqlite3") == 2


def test_what_is_no_copy_of_ours_is_not_put_back(file: str, tmp_path: Path) -> None:
    """Neither another database, nor half of one, nor an empty folder."""
    target = tmp_path / "ledger.sqlite3"
    Ledger(target).close()
    strange = tmp_path / "strange"
    with closing(sqlite3.connect(strange)) as connection:
        connection.execute("CREATE TABLE x (y)")
    (tmp_path / "half").write_bytes(target.read_bytes()[:9000])
    for bad in ("strange", "half", "none"):
        with pytest.raises(StoreError):
            restore(tmp_path / bad, target)
    assert count(target) == 0
    assert not in_use(target)
    (tmp_path / "empty").mkdir()
    assert main(["store", "restore", str(tmp_path / "empty"), "-c", file]) == 2

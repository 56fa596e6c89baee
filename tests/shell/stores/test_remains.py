"""What a killed gateway had free of its budgets is given back; what it may have spent is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from equipoise.stores import orphans, remains
from equipoise.stores.copies import FREE, back_up, restore
from equipoise.stores.remains import SLOTS, Remains, give_back
from equipoise.stores.sqlite_leases import SqliteLeases
from tests.shell.cli.conftest import ROOT
from tests.shell.stores.test_budgets import ask

pytestmark = pytest.mark.skipif(not remains.BOOT.exists(), reason="this system does not tell its starts apart")
LATER = 300.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteLeases]:
    found = SqliteLeases(tmp_path / "budgets.sqlite3")
    found.renew("a", 1, [ask(need=600), ask(account="day[tenant=t]", need=50)], 200.0, 10.0)
    yield found
    found.close()


def lost(store: SqliteLeases, account: str = "day") -> int:
    return store.renew("b", 0, [ask(account=account)], LATER, 1.0, beat=False)[0].unknown


def left(folder: Path, **free: int) -> None:
    """The file of a holder that is gone."""
    it = Remains(folder, "a")
    for account, amount in free.items():
        it.place(account)[0] = amount
    it.abandon()


def test_kill_9_leaves_exactly_what_was_reserved_in_doubt(tmp_path: Path) -> None:
    """A process holds 600 of 1000, has spent 100 and promised 150 when it is killed: 350 are free again, 250 are not."""
    code = f"""
import asyncio, os, pathlib, signal
from equipoise.core.account import BudgetOptions
from equipoise.core.budget import Budgets
from equipoise.core.window import Window
from equipoise.stores.leasing import Leasing
from equipoise.stores.sqlite_leases import SqliteLeases
from tests.fakes import FakeClock
folder = pathlib.Path({str(tmp_path)!r})
budgets = Budgets([BudgetOptions(name="day", limit=1000)], {{"day": Window()}})
budgets.known_scopes(backends=(), tenants=(), keys=())
leasing = Leasing(lambda: budgets, lambda: SqliteLeases(folder / "budgets.sqlite3"), "a", clock=FakeClock(200.0 - 1_790_000_000.0), folder=folder)
budgets.accounts["day"].needed = 600
asyncio.run(leasing.turn())
accounts = tuple(budgets.accounts.values())
first = budgets.hold(accounts, (200, 1, 0), 900.0)
budgets.hold(accounts, (150, 1, 0), 900.0)
budgets.settle(first, (100, 1, 0), 200.0)
print(accounts[0].free, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (-9, "350\n"), told.stderr
    store = SqliteLeases(tmp_path / "budgets.sqlite3")
    assert lost(store) == 600
    assert give_back(tmp_path, store, LATER) == 350
    assert lost(store) == 250
    assert give_back(tmp_path, store, LATER) == 0
    assert not list(tmp_path.glob(FREE + "*"))
    store.close()


def test_each_account_is_given_back_its_own(tmp_path: Path, store: SqliteLeases) -> None:
    """By its name; never more than was held, and nothing where more was spent than held."""
    left(tmp_path, **{"day": -20, "day[tenant=t]": 70, "another": 5})
    assert give_back(tmp_path, store, LATER) == 50
    assert (lost(store), lost(store, "day[tenant=t]")) == (600, 0)
    (note,) = store._run("SELECT budget, what FROM changes").fetchall()
    assert note == ("day", "50 given back of what a dead gateway held in day[tenant=t]")


def test_the_living_keep_what_they_hold(tmp_path: Path, store: SqliteLeases) -> None:
    """One that only stands still has its process; one whose lease is not over may not be as dead as it looks from here."""
    it = Remains(tmp_path, "a")
    it.place("day")[0] = 600
    assert give_back(tmp_path, store, LATER) == 0
    it.abandon()
    assert give_back(tmp_path, store, 205.0) == 0
    assert store.give_back("a", {"day": 600}, 205.0) == 0
    assert give_back(tmp_path, store, LATER) == 600


def test_after_a_start_of_the_machine_the_file_says_nothing(
    tmp_path: Path, store: SqliteLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written to memory only need not be on the disk: it may still say what was free long before."""
    left(tmp_path, day=600)
    (tmp_path / "boot").write_text("another start")
    monkeypatch.setattr(remains, "BOOT", tmp_path / "boot")
    assert give_back(tmp_path, store, LATER) == 0
    assert lost(store) == 600
    assert not list(tmp_path.glob(FREE + "*"))


def test_two_who_find_the_same_file_do_not_both_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower has opened it already when the faster takes and removes it."""
    left(tmp_path, day=600)
    (path,) = tmp_path.glob(FREE + "*")
    lock, taken = orphans.fcntl.flock, list[bytes]()

    def late(file: IO[bytes], how: int) -> None:
        monkeypatch.setattr(orphans.fcntl, "flock", lock)
        taken.append(orphans.claimed(path))
        lock(file, how)

    monkeypatch.setattr(orphans.fcntl, "flock", late)
    assert orphans.claimed(path) == b""
    assert len(taken[0]) > 0


def test_accounts_beyond_the_places_are_just_not_given_back(tmp_path: Path) -> None:
    """Their numbers go nowhere; the others are where they were."""
    it = Remains(tmp_path, "a")
    for number in range(SLOTS + 3):
        it.place(f"every[key=k{number}]")[0] = number
    assert it.place("every[key=k7]")[0] == 7
    assert it.place(f"every[key=k{SLOTS + 2}]")[0] == SLOTS + 2
    it.close()
    assert not list(tmp_path.iterdir())


def test_what_was_free_at_another_time_is_forgotten_by_a_restore(tmp_path: Path, store: SqliteLeases) -> None:
    """A dead gateway's word is about what it held when it died, not about what the copy says it held."""
    back_up(store.path, tmp_path / "copy")
    left(tmp_path, day=600)
    store.close()
    restore(tmp_path / "copy", store.path)
    again = SqliteLeases(store.path)
    assert give_back(tmp_path, again, LATER) == 0
    assert lost(again) == 600
    again.close()

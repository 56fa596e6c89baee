"""kill -9 at any instant loses at most the last second, and doubles nothing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

CHILD = """
import sys, time
from equipoise.stores import Ledger
from tests.shell.stores.attempts import attempt

ledger = Ledger(sys.argv[1])
number = 0
while True:
    ledger.record(attempt(f"r{number}", cost=number, wall=time.time()))
    print(number, time.monotonic(), flush=True)
    number += 1
    time.sleep(0.0005)
"""
SOME = 50
"""Records that are due at the least."""


def longest(moments: list[float]) -> float:
    """The longest time between two of them."""
    return max((after - before for before, after in pairwise(moments)), default=0.0)


@pytest.mark.parametrize("seconds", [1.3, 1.75])
def test_what_was_recorded_more_than_a_second_before_a_kill_is_there_once(tmp_path: Path, seconds: float) -> None:
    """A real process, killed by its pid; the file opens whole and holds an unbroken run from the first record. Where the
    machine stood still, between two records, nobody could write; that time is no part of the second."""
    path = tmp_path / "ledger.db"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    recorded, stood_still = list[float](), 0.0
    while len(recorded) <= SOME or recorded[-1] < recorded[SOME] + seconds + stood_still:
        recorded.append(float(child.stdout.readline().split()[1]))
        stood_still = max(stood_still, longest(recorded[-2:]))
    killed = time.monotonic()
    child.send_signal(signal.SIGKILL)
    recorded += [float(line.split()[1]) for line in child.stdout.read().splitlines()[:-1]]
    child.stdout.close()
    child.wait()
    stood_still = longest([*(moment for moment in recorded if moment < killed), killed])
    due = [number for number, moment in enumerate(recorded) if moment < killed - 1.0 - stood_still]
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT request_id, cost FROM attempts ORDER BY cost").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(due) > SOME
    assert [f"r{number}" for number in due] == [row[0] for row in rows[: len(due)]]
    assert [row[1] for row in rows] == list(range(len(rows)))

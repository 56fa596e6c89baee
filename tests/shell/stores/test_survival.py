"""kill -9 at any instant loses at most the last second, and doubles nothing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
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


@pytest.mark.parametrize("seconds", [1.3, 1.75])
def test_what_was_recorded_more_than_a_second_before_a_kill_is_there_once(tmp_path: Path, seconds: float) -> None:
    """A real process, killed by its pid; the file opens whole and holds an unbroken run from the first record."""
    path = tmp_path / "ledger.db"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline()]
    time.sleep(seconds)
    killed = time.monotonic()
    child.send_signal(signal.SIGKILL)
    said += child.stdout.read().splitlines()[:-1]
    child.stdout.close()
    child.wait()
    recorded = {int(number): float(moment) for number, moment in (line.split() for line in said if line)}
    due = [number for number, moment in recorded.items() if moment < killed - 1.0]
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT request_id, cost FROM attempts ORDER BY cost").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(due) > 50
    assert [f"r{number}" for number in due] == [row[0] for row in rows[: len(due)]]
    assert [row[1] for row in rows] == list(range(len(rows)))

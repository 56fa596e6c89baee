"""What the shared parts bear, beside the questions: `python -m bench.scale.limits`, half a minute.

Rows a second of the ledger, turns a second at the budgets, memory of a backend: the next limits when one machine grows.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.scale.story import BUDGET, Plan, configured
from bench.telemetry.observers import attempts
from equipoise.build import selection_of
from equipoise.core.slices import Ask
from equipoise.simulation.clock import VirtualClock
from equipoise.stores.leases import LeaseStore
from equipoise.stores.ledger import Ledger
from equipoise.stores.sqlite_leases import SqliteLeases

ROWS, TURNS, HOLDERS, BACKENDS = 20_000, 2_000, 8, 1000


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"ledger, SQLite: {rows_a_second(Path(folder))}")
        print(f"budgets, SQLite: {turns_a_second(lambda: SqliteLeases(Path(folder) / 'leases.sqlite3'))}")
    print(f"memory: {kilobytes_a_backend():.1f} KiB a backend")
    return 0


def rows_a_second(folder: Path) -> str:
    """Attempts written durably in batches, as fast as they come; and what a row takes."""
    events = attempts(ROWS, random.Random(1))
    file = folder / "ledger.sqlite3"
    ledger = Ledger(file, capacity=ROWS)
    began, cpu = time.perf_counter(), time.process_time()
    for event in events:
        ledger.observe(event)
    ledger.close()
    seconds, busy = time.perf_counter() - began, time.process_time() - cpu
    size = sum(each.stat().st_size for each in folder.glob("ledger.sqlite3*"))
    return f"{ROWS / seconds:,.0f} rows/s, {busy / ROWS * 1e6:.0f} us of CPU and {size / ROWS:,.0f} bytes a row"


def turns_a_second(opened: Callable[[], LeaseStore]) -> str:
    """Turns of eight gateways at one budget, one after the other, each booking what it spent and asking for more."""
    store, now = opened(), 1_790_000_000.0
    began = time.perf_counter()
    for turn in range(TURNS):
        spent = ((int(now) // 3600 * 3600, 1_000, 1),)
        ask = Ask(
            account=BUDGET, budget=BUDGET, limit=10**15, since=0, began=0.0, keep=0, spent=spent, used=1_000, want=2_000
        )
        store.renew(f"gateway-{turn % HOLDERS}", turn // HOLDERS + 1, [ask], now, 10.0)
    seconds = time.perf_counter() - began
    store.close()
    return f"{TURNS / seconds:,.0f} turns/s; a gateway takes two a second, and one whenever a slice runs low"


def kilobytes_a_backend() -> float:
    """Resident memory that a gateway's view of one backend takes."""
    config, clock = configured(Plan(backends=BACKENDS)), VirtualClock()
    kept = [selection_of(config, clock, random.Random(0))]
    before = _resident()
    kept += [selection_of(config, clock, random.Random(n)) for n in range(10)]
    return (_resident() - before) / 1024 / 10 / BACKENDS


def _resident() -> int:
    """Bytes, as Linux tells them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    raise SystemExit(main())

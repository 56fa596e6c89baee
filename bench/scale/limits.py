"""What the shared parts bear, beside the questions: `python -m bench.scale.limits`, half a minute.

Rows a second of the ledger and turns a second at the budgets, in files, in Debian's Redis and its PostgreSQL where they are
installed; memory of a backend. The next limits, when one machine or one fleet grows.
"""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.scale.story import BUDGET, Plan, configured
from bench.telemetry.observers import attempts
from equipoise.build import selection_of
from equipoise.core.slices import Ask
from equipoise.simulation.clock import VirtualClock
from equipoise.stores.database import Database
from equipoise.stores.leases import LeaseStore
from equipoise.stores.ledger import Ledger
from equipoise.stores.redis_leases import RedisLeases
from equipoise.stores.redis_link import LinkOptions, RedisLink
from equipoise.stores.sqlite import SqliteFile, ledger_schema
from equipoise.stores.sqlite_leases import SqliteLeases
from tests.end_to_end.http.servers import SEARCH_PATH
from tests.end_to_end.redis.servers import redis_server

ROWS, TURNS, HOLDERS, BACKENDS = 20_000, 2_000, 8, 1000


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        file = SqliteFile(place / "ledger.sqlite3", ledger_schema())
        print(f"ledger, SQLite: {rows_a_second(file)}, {bytes_a_row(place):,.0f} bytes a row")
        with postgres(place) as database:
            print(f"ledger, PostgreSQL: {rows_a_second(database) if database else 'not installed here'}")
        print(f"budgets, SQLite: {turns_a_second(SqliteLeases(place / 'leases.sqlite3'))}")
        with redis(place) as leases:
            print(f"budgets, Redis: {turns_a_second(leases) if leases else 'not installed here'}")
    print(f"memory: {kilobytes_a_backend():.1f} KiB a backend")
    return 0


@contextmanager
def redis(place: Path) -> Iterator[LeaseStore | None]:
    """Leases in a Redis of this machine, if there is one."""
    if shutil.which("redis-server", path=SEARCH_PATH) is None:
        yield None
        return
    with redis_server(place) as server:
        yield RedisLeases(RedisLink(LinkOptions(url=server.url, seconds=5.0)), skew=lambda: 0.0)


@contextmanager
def postgres(place: Path) -> Iterator[Database | None]:
    """The ledger's tables in a PostgreSQL of this machine, if there is one; it does not wait for the disk."""
    if shutil.which("initdb", path=f"{SEARCH_PATH}:/usr/lib/postgresql/15/bin") is None:
        yield None
        return
    from equipoise.stores.postgres_ledger import PostgresLedger
    from equipoise.stores.postgres_server import PostgresServer as Address
    from tests.end_to_end.postgres.server import PostgresServer

    server = PostgresServer()
    try:
        server.start()
        yield PostgresLedger(Address(server.url()), ledger_schema(), place)
    finally:
        server.remove()


def rows_a_second(database: Database) -> str:
    """Attempts as fast as they come, until the last can be read again."""
    events = attempts(ROWS, random.Random(1))
    ledger = Ledger(database, capacity=ROWS)
    began, cpu = time.perf_counter(), time.process_time()
    for event in events:
        ledger.observe(event)
    asyncio.run(_settled(ledger))
    seconds, busy = time.perf_counter() - began, time.process_time() - cpu
    ledger.close()
    return f"{ROWS / seconds:,.0f} rows/s, {busy / ROWS * 1e6:.0f} us of the gateway's CPU a row"


async def _settled(ledger: Ledger) -> None:
    await ledger.flush()
    while ledger.health().queued:
        await asyncio.sleep(0.02)


def bytes_a_row(folder: Path) -> float:
    """What it takes on disk, indexes included."""
    return sum(each.stat().st_size for each in folder.glob("ledger.sqlite3*")) / ROWS


def turns_a_second(store: LeaseStore) -> str:
    """Turns of eight gateways at one budget, one after the other, each booking what it spent and asking for more."""
    now = 1_790_000_000.0
    began = time.perf_counter()
    for turn in range(TURNS):
        spent = ((int(now) // 3600 * 3600, 1_000, 1),)
        ask = Ask(
            account=BUDGET, budget=BUDGET, limit=10**15, since=0, began=0.0, keep=0, spent=spent, used=1_000, want=2_000
        )
        store.renew(f"gateway-{turn % HOLDERS}", turn // HOLDERS + 1, [ask], now, 10.0)
    seconds = time.perf_counter() - began
    store.close()
    return f"{TURNS / seconds:,.0f} turns/s, {seconds / TURNS * 1e6:.0f} us each"


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

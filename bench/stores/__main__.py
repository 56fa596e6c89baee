"""How many records a second the ledger takes, in a SQLite file and in PostgreSQL: `python -m bench.stores --url ADDRESS`

Records are put down as a gateway does, in one go, and the clock stops when all of them are durable: in SQLite in the
file, for PostgreSQL first in the journal of this machine, then in the server. Then the largest tables are asked.
Without an address only SQLite is measured. In the server the schema `equipoise` is used, and must not be there before.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from equipoise.core.model import Attempt, Candidate, CostSource, Decision, Outcome, Usage, Verdict
from equipoise.stores import Ledger
from equipoise.stores.database import Connection, Database
from equipoise.stores.reports import Wanted, sums
from equipoise.stores.sqlite import SqliteFile, ledger_schema

BACKENDS = ("graph", "web", "deep", "small", "large")
BEGUN = 1_800_000_000.0


def attempts(count: int) -> list[Attempt]:
    """As a gateway of five backends writes them, two seconds apart."""
    chance = random.Random(7)
    numbers = dict.fromkeys(Candidate.__struct_fields__, 0.5)
    candidates = tuple(
        Candidate(**numbers | {"backend_id": name, "in_flight": 2, "expected_cost": 6_100_000, "backend_type": "x"})
        for name in BACKENDS
    )
    decision = Decision(
        backend_id="web", strategy="cost_optimized", route="auto", reason="cheapest of five", probability=0.75,
        compared=dict.fromkeys(BACKENDS, 0.3), probabilities=dict.fromkeys(BACKENDS, 0.2), excluded={},
        candidates=candidates, kind="general",
    )  # fmt: skip
    outcome = Outcome(
        verdict=Verdict.SUCCESS, duration=1.25, usage=Usage(input_tokens=1000, output_tokens=100), cost=6_100_000,
        cost_source=CostSource.METERED, status=200,
    )  # fmt: skip
    first = Attempt(
        request_id="", number=1, wall=BEGUN, tenant="default", tags=("team:bio",), backend_id="web", backend_type="x",
        model="m", stream=False, decision=decision, outcome=outcome,
    )  # fmt: skip
    return [
        msgspec.structs.replace(
            first, request_id=f"req-{number}", wall=BEGUN + 2 * number, backend_id=chance.choice(BACKENDS)
        )
        for number in range(count)
    ]


async def measure(name: str, database: Database, records: list[Attempt]) -> None:
    """Print one line of figures."""
    ledger = Ledger(database, capacity=len(records) + 1, max_rows=10**9, max_age=1e18)
    await asyncio.sleep(1.0)  # schema, and a first look at what others left
    begun = time.perf_counter()
    for record in records:
        ledger.record(record)
    taken = time.perf_counter() - begun
    while ledger.health().pending:
        await asyncio.sleep(0.001)
    durable = time.perf_counter() - begun
    while ledger.health().queued:
        await asyncio.sleep(0.001)
    arrived = time.perf_counter() - begun
    print(
        f"{name:<11} record() {taken / len(records) * 1e6:5.2f} us   durable here {len(records) / durable:8,.0f}/s"
        f"   in the database {len(records) / arrived:8,.0f}/s",
        flush=True,
    )
    for what, query in QUESTIONS.items():
        begun = time.perf_counter()
        await ledger.query(query)
        print(f"{'':<11} {what} {1e3 * (time.perf_counter() - begun):8.1f} ms", flush=True)
    await asyncio.to_thread(ledger.close)


def _by_backend(connection: Connection) -> object:
    return sums(connection, Wanted(), ("backend",))


def _by_day(connection: Connection) -> object:
    return sums(connection, Wanted(), ("day", "tag"))


QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "sums of all by backend    ": _by_backend,
    "sums of all by day and tag": _by_day,
}


async def run(url: str | None, count: int) -> None:
    """Both engines, with the same records."""
    records = attempts(count)
    with tempfile.TemporaryDirectory(prefix="equipoise-stores-") as folder:
        await measure("SQLite", SqliteFile(Path(folder) / "ledger.sqlite3", ledger_schema()), records)
        if url is None:
            return
        from equipoise.stores.postgres import PostgresServer
        from equipoise.stores.postgres_ledger import PostgresLedger

        place = PostgresLedger(PostgresServer(url), ledger_schema(), Path(folder) / "state", 60.0)
        await measure("PostgreSQL", place, records)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.stores", description=__doc__)
    parser.add_argument("--url", help="a PostgreSQL database that may be written to")
    parser.add_argument("--records", type=int, default=100_000)
    said = parser.parse_args()
    asyncio.run(run(said.url, said.records))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""PostgreSQL goes away in every way it can: what was recorded arrives, all of it, once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from equipoise.stores import Ledger, StoreError
from equipoise.stores.database import Database
from equipoise.stores.postgres import PostgresDatabase, PostgresServer
from equipoise.stores.postgres_ledger import PostgresLedger
from equipoise.stores.sqlite import ledger_schema
from equipoise.stores.state import SCHEMA, Entry, StateStore
from tests.end_to_end.postgres import server as real
from tests.shell.stores.attempts import attempt

MEBIBYTE = 1024 * 1024


def database(url: str, folder: Path, most_bytes: int = 64 * MEBIBYTE) -> PostgresLedger:
    return PostgresLedger(PostgresServer(url), ledger_schema(), folder, most_bytes=most_bytes)


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def booked(url: str) -> tuple[int, int, int]:
    """Records, different ones, and their money."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT COUNT(*), COUNT(DISTINCT request_id), COALESCE(SUM(cost), 0)::bigint FROM equipoise.attempts"
        ).fetchone()
    assert row is not None
    return row


async def test_what_is_recorded_while_it_is_away_arrives_when_it_is_back(
    server: real.PostgresServer, url: str, tmp_path: Path
) -> None:
    """Killed in the middle of traffic and started again: nobody waits, nothing is lost, nothing is there twice."""
    with closing(Ledger(database(url, tmp_path), batch_seconds=0.01)) as ledger:
        for number in range(500):
            ledger.record(attempt(f"before-{number}", cost=1))
        await ledger.flush()
        server.kill()
        begun = time.monotonic()
        for number in range(3000):
            ledger.record(attempt(f"meanwhile-{number}", cost=1))
        assert time.monotonic() - begun < 1.0
        await ledger.flush()  # durable, on this machine
        await until(lambda: ledger.health().away is not None)
        health = ledger.health()
        assert (health.ok, health.error, health.queued, health.dropped) == (True, None, 3000, 0)
        assert health.queued_bytes > 3000 * 500
        with pytest.raises(StoreError, match=r"PostgreSQL 127\.0\.0\.1"):
            await ledger.summary()
        server.start()
        await until(lambda: ledger.health().queued == 0 and ledger.health().away is None)
    assert booked(url) == (3500, 3500, 3500)
    assert list(tmp_path.glob("waiting-*")) == []


async def test_a_server_that_falls_silent_is_not_waited_for(
    server: real.PostgresServer, url: str, tmp_path: Path
) -> None:
    """SIGSTOP: the connection is there and says nothing. It is told, reads fail in time, and all arrives afterwards."""
    with closing(Ledger(database(url, tmp_path), batch_seconds=0.01)) as ledger:
        ledger.record(attempt("before", cost=1))
        await ledger.flush()
        server.pause()
        try:
            for number in range(200):
                ledger.record(attempt(f"r{number}", cost=1))
            await until(lambda: ledger.health().away is not None)
            begun = time.monotonic()
            with pytest.raises(StoreError):
                await ledger.summary()
            assert time.monotonic() - begun < 9.0
            assert "PostgreSQL 127.0.0.1" in str(ledger.health().away)
        finally:
            server.go_on()
        await until(lambda: ledger.health().queued == 0)
    assert booked(url) == (201, 201, 201)


async def test_the_bound_is_told_and_what_does_not_fit_is_counted(
    server: real.PostgresServer, url: str, tmp_path: Path
) -> None:
    """First memory takes what the journal cannot, then it is dropped, counted with its cost, and noted in gaps."""
    with closing(Ledger(database(url, tmp_path, most_bytes=MEBIBYTE), batch_seconds=0.01, capacity=100)) as ledger:
        server.kill()
        number = 0
        while ledger.health().ok or ledger.health().dropped < 50:
            ledger.record(attempt(f"r{number}", cost=1))
            number += 1
            await asyncio.sleep(0.0002)
        health = ledger.health()
        assert not health.ok
        assert "no more than 1048576 may" in str(health.error)
        assert sum(path.stat().st_size for path in tmp_path.glob("waiting-*")) <= MEBIBYTE
        server.start()
        await until(lambda: ledger.health().ok and not ledger.health().queued and not ledger.health().pending)
        await until(lambda: ledger.health().away is None)
        gaps, dropped = await ledger.gaps(), ledger.health().dropped
        assert [sum(gap[of] for gap in gaps) for of in ("attempts", "cost")] == [dropped, dropped]
    assert booked(url) == (number - dropped,) * 3


CATCHING_UP = """
import sys, time
from pathlib import Path
from equipoise.stores import Ledger
from equipoise.stores.postgres import PostgresServer
from equipoise.stores.postgres_ledger import PostgresLedger
from equipoise.stores.sqlite import ledger_schema
from equipoise.core.events import AnswerReused
from equipoise.stores.reuses import Reuses
from tests.shell.stores.attempts import attempt
database = PostgresLedger(PostgresServer(sys.argv[1]), ledger_schema(), Path(sys.argv[2]))
ledger, reuses = Ledger(database, batch_seconds=0.01), Reuses(database, batch_seconds=0.01)
for number in range(int(sys.argv[3])):
    ledger.record(attempt(f"{sys.argv[4]}-{number}", cost=1))
    reuses.observe(AnswerReused(request_id="the same", wall=time.time(), tenant="t", key="k", route="r", result="hit",
                                backend_id="b", source="s", age=1.0, saved=1))
while ledger.health().pending or reuses._writer.pending:
    time.sleep(0.001)
print("safe", flush=True)
time.sleep(60)
"""


async def test_kill_minus_nine_in_the_middle_of_catching_up(
    server: real.PostgresServer, url: str, tmp_path: Path
) -> None:
    """Again and again: whoever comes next goes on where the database says, and nothing is there twice."""
    records, rounds = 2500, 4
    server.kill()
    for number in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", CATCHING_UP, url, str(tmp_path), str(records), f"round-{number}"],
            stdout=subprocess.PIPE, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"safe\n"
        if number == 0:
            server.start()
        await asyncio.sleep(0.05 + 0.13 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    with closing(Ledger(database(url, tmp_path))) as last:
        await until(lambda: not last.health().queued and booked(url)[0] == rounds * records)
    assert booked(url) == (rounds * records,) * 3
    assert list(tmp_path.glob("waiting-*")) == []
    with psycopg.connect(url) as connection:
        again = connection.execute("SELECT COUNT(*) FROM equipoise.reuses").fetchone()
        assert again == (rounds * records,)  # rows that nothing but the journal's place keeps from coming twice
        left = connection.execute("SELECT COUNT(*) FROM equipoise.shipped").fetchone()
    assert left is not None
    assert left[0] <= 1 + rounds


def test_gateways_that_start_at_once_find_one_schema(server: real.PostgresServer, url: str, tmp_path: Path) -> None:
    """Migrations are ordered by a lock; each is applied once."""
    failed: list[BaseException] = []

    def start(schema: object) -> None:
        try:
            with closing(PostgresDatabase(PostgresServer(url), schema, tmp_path).open()) as connection:  # type: ignore[arg-type]
                connection.look("SELECT 1")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must show it
            failed.append(error)

    threads = [threading.Thread(target=start, args=(schema,)) for schema in (ledger_schema(), SCHEMA) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT store, version FROM equipoise.schema_migrations ORDER BY 1, 2").fetchall()
    assert rows == [
        *(("ledger", step.version) for step in ledger_schema().steps),
        ("postgres", 1), ("postgres", 2), ("state", 1),
    ]  # fmt: skip


def test_state_is_changed_by_one_at_a_time(server: real.PostgresServer, url: str, tmp_path: Path) -> None:
    """Two gateways that read the same version: one of them is refused, however they come."""
    stores = [StateStore(PostgresDatabase(PostgresServer(url), SCHEMA, tmp_path)) for _ in range(4)]
    won: list[int] = []

    def change(store: StateStore) -> None:
        for number in range(25):
            version, value = store.read("move")
            try:
                store.write("move", {"n": (value or {"n": 0})["n"] + 1}, version, Entry(what="x", who="y", why="z"))
            except StoreError:
                continue
            won.append(number)

    threads = [threading.Thread(target=change, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    version, value = stores[0].read("move")
    assert version == len(won) == (value or {})["n"]
    assert len(stores[0].journal("move", 1000)) == len(won)
    for store in stores:
        store.close()


def test_a_store_goes_on_after_the_server_was_started_again(
    server: real.PostgresServer, url: str, tmp_path: Path
) -> None:
    """While it is away StoreError, with its address and without its password; then as before."""
    store = StateStore(PostgresDatabase(PostgresServer(url), SCHEMA, tmp_path))
    store.write("move", {"n": 1}, 0, None)
    server.kill()
    with pytest.raises(StoreError) as refused:
        store.read("move")
    assert "127.0.0.1" in str(refused.value)
    assert real.PASSWORD not in str(refused.value)
    server.start()
    assert store.read("move") == (1, {"n": 1})
    assert store.write("move", {"n": 2}, 1, None) == 2
    store.close()


@pytest.mark.parametrize("what", ["not an address", "http://a/b", ""])
def test_what_is_no_address_is_said_to_be_none(what: str) -> None:
    """Before anybody is contacted; and what was said is not repeated, for it may hold a password."""
    if what:
        with pytest.raises(ValueError, match="no address of a PostgreSQL server"):
            PostgresServer(what)
    assert PostgresServer("postgresql://u:secret@db.example:5433/books").name == "PostgreSQL db.example:5433/books"


def _is_a_database(made: PostgresDatabase) -> Database:
    """mypy reads this: the engine has everything a store asks for."""
    return made

"""Two gateways as users run them on one PostgreSQL: one ledger, one set of keys, one journal; and a server that dies."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from equipoise.config.environment import EVERY_NAME
from tests.end_to_end.postgres.server import PASSWORD, PostgresServer
from tests.wire.workers.conftest import ROOT, Gateway

ANSWERS = """
async def answer(question):
    return f"an answer to {question}"
"""
CONFIG = """
state_dir: {state}
shared:
  postgres: ${{LEDGER_URL}}
listen: {{admin_port: {admin_port}}}
log: {{level: warning}}
backend_instances:
  mine: {{backend_type: function, function: "answers:answer", price: {{per_request: 0.001}}}}
"""
AT_ONCE = 8


@dataclass
class Fleet:
    """Gateways of one configuration, each with a state directory of its own, as on hosts of their own."""

    folder: Path
    url: str
    gateways: list[Gateway] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name not in EVERY_NAME}
        kept = {name: value for name, value in ours.items() if not name.startswith("EQUIPOISE_")}
        return kept | {"LEDGER_URL": self.url, "PYTHONPATH": str(ROOT)}

    def place(self, name: str) -> Path:
        """The folder of a gateway, with its configuration."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "answers.py").write_text(ANSWERS)
        (folder / "equipoise.yaml").write_text(CONFIG.format(state=folder / "state", admin_port=0))
        return folder

    def start(self, name: str) -> Gateway:
        """One more."""
        folder = self.place(name)
        with (folder / "stderr").open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "equipoise", "serve", "-c", "equipoise.yaml", "--port", "0"],
                cwd=folder, env=self.environ, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        gateway = Gateway(process, folder)
        self.gateways.append(gateway)
        gateway.begin()
        return gateway

    def say(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, on a gateway's host."""
        return subprocess.run(
            [sys.executable, "-m", "equipoise", *arguments],
            cwd=self.place(name), env=self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def key(self, name: str, called: str) -> str:
        """A new key, made on a gateway's host."""
        done = self.say(name, "keys", "create", called, "--json")
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["secret"])

    def close(self) -> None:
        """Stop all of them."""
        for gateway in self.gateways:
            if gateway.process.poll() is None:
                gateway.process.terminate()
        for gateway in self.gateways:
            gateway.process.communicate(timeout=30)


@pytest.fixture
def fleet(url: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, url)
    yield made
    made.close()


def booked(url: str) -> tuple[int, int, int]:
    """Records, different requests, nano-dollars; none before the first of a ledger was shipped."""
    with psycopg.connect(url) as connection:
        there = connection.execute("SELECT to_regclass('equipoise.attempts')").fetchone()
        if there is None or there[0] is None:
            return 0, 0, 0
        row = connection.execute(
            "SELECT COUNT(*), COUNT(DISTINCT request_id), COALESCE(SUM(cost), 0)::bigint FROM equipoise.attempts"
        ).fetchone()
    assert row is not None
    return row


class Load:
    """Clients that ask gateways in turn until they are told to stop; what came back is counted."""

    def __init__(self, urls: list[str], key: str) -> None:
        self._urls, self._key = urls, key
        self.answers, self.others, self.longest = set[str](), list[str](), 0.0
        self.going = True

    async def run(self) -> None:
        """All clients."""
        limits = httpx.Limits(max_connections=4 * AT_ONCE)
        async with httpx.AsyncClient(limits=limits, timeout=20.0) as client:
            await asyncio.gather(*(self._one(client, number) for number in range(AT_ONCE)))

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        asked = 0
        while self.going:
            asked += 1
            begun = time.monotonic()
            response = await client.post(
                f"{self._urls[asked % len(self._urls)]}/v1/chat/completions",
                headers={"authorization": f"Bearer {self._key}"},
                json={"model": "auto", "messages": [{"role": "user", "content": f"question {number}-{asked}"}]},
            )
            self.longest = max(self.longest, time.monotonic() - begun)
            if response.status_code == 200:
                self.answers.add(response.headers["x-request-id"])
            else:
                self.others.append(f"{response.status_code} {response.text}")
            await asyncio.sleep(0.01)


async def within(seconds: float, true: object, word: str = "") -> None:
    """Wait for a callable to be true, beside the load."""
    until = time.monotonic() + seconds
    while not await asyncio.to_thread(true):  # type: ignore[arg-type]
        assert time.monotonic() < until, word
        await asyncio.sleep(0.1)


async def test_no_request_fails_and_the_ledger_is_exact_when_postgresql_dies_and_falls_silent(
    fleet: Fleet, server: PostgresServer
) -> None:
    """Killed, started again, stopped for seconds, under load at both gateways: what was told is booked, once."""
    first, second = fleet.start("one"), fleet.start("two")
    load = Load([first.url, second.url], fleet.key("one", "app"))
    await within(5, lambda: second.ask(key=load._key)[0] == 200)
    counted_before = (await asyncio.to_thread(booked, fleet.url))[0]
    running = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(1.5)
        server.kill()
        await within(10, lambda: first.metric("equipoise_ledger_away") == 1, "the metric")
        status, ready = await asyncio.to_thread(first.fetch, "/readyz?verbose")
        assert status == 200
        assert "[+]ledger ok, but" in ready
        assert "records wait on this machine" in ready
        assert PASSWORD not in ready
        await asyncio.to_thread(server.start)
        await within(15, lambda: first.metric("equipoise_ledger_away") == 0, "it is back")
        server.pause()
        await asyncio.sleep(4.5)
        waiting = await asyncio.to_thread(second.metric, "equipoise_ledger_queued")
        server.go_on()
        assert waiting > 0
        await asyncio.sleep(1.0)
    finally:
        server.go_on()
        load.going = False
        await running
    assert load.others == []
    assert load.longest < 2.0
    await within(20, lambda: first.metric("equipoise_ledger_queued") + second.metric("equipoise_ledger_queued") == 0)
    asked = len(load.answers)
    assert asked > 200
    await within(10, lambda: booked(fleet.url)[0] >= asked + counted_before)
    records, requests, cost = await asyncio.to_thread(booked, fleet.url)
    assert (records, cost) == (requests, requests * 1_000_000)
    with psycopg.connect(fleet.url) as connection:
        known = {name for (name,) in connection.execute("SELECT request_id FROM equipoise.attempts")}
    assert load.answers <= known
    assert len(known - load.answers) == len(known) - asked <= 5  # the questions before the load


def test_keys_records_and_the_audit_journal_are_one_for_both(fleet: Fleet) -> None:
    """A key made on one host is good at the other within seconds, and worthless there once it was revoked."""
    first, second = fleet.start("one"), fleet.start("two")
    key, other = fleet.key("one", "app"), fleet.key("two", "other")
    for gateway in (first, second):
        gateway.until(lambda gateway=gateway: gateway.ask(key=key)[0] == 200 and gateway.ask(key=other)[0] == 200, 5)
    assert fleet.say("two", "keys", "revoke", "app", "--yes").returncode == 0
    first.until(lambda: first.ask(key=key)[0] == 401, 5)
    second.until(lambda: second.ask(key=key)[0] == 401, 5)
    assert second.ask(key=other)[0] == 200

    said = [json.loads(fleet.say(host, "audit", "ls", "--json").stdout) for host in ("one", "two")]
    assert said[0] == said[1]
    assert {entry["action"] for entry in said[0]} >= {"keys create", "keys revoke"}
    assert fleet.say("one", "audit", "verify").returncode == 0

    told = [json.loads(fleet.say(host, "ledger", "query", "--by", "key", "--json").stdout) for host in ("one", "two")]
    assert told[0] == told[1]
    assert {row["key"] for row in told[0]} == {"app", "other"}
    assert json.loads(fleet.say("one", "ledger", "report", "--json").stdout)["total"]["answers"] > 0


def test_what_stands_in_the_way_is_said_in_a_line(fleet: Fleet, server: PostgresServer) -> None:
    """An address that is none, and a server that is not there: which, where, and never the password."""
    fleet.url = "no address at all"
    check = fleet.say("one", "check")
    assert (check.returncode, "shared.postgres.url: that is no address" in check.stderr) == (2, True)
    fleet.url = f"postgresql://equipoise:{PASSWORD.replace(' ', '%20')}@127.0.0.1:9/nowhere"
    for command in (("doctor",), ("keys", "ls"), ("ledger", "query")):
        done = fleet.say("one", *command)
        said = done.stdout + done.stderr
        assert done.returncode != 0
        assert "PostgreSQL 127.0.0.1:9/nowhere" in said, said
        assert PASSWORD not in said
        assert "Traceback" not in said


def test_a_gateway_that_knew_its_keys_starts_without_the_server(fleet: Fleet, server: PostgresServer) -> None:
    """Known keys are good and others are not; what it records arrives; one that never knew any does not start."""
    first = fleet.start("one")
    key = fleet.key("one", "app")
    first.until(lambda: first.ask()[0] == 401, 5)
    before = booked(fleet.url)[0]
    assert first.ask(key=key)[0] == 200
    assert first.stop()[0] == 0
    server.kill()
    again = fleet.start("one")
    assert (again.ask(key=key)[0], again.ask()[0], again.ask(key="sk-eq-unknown")[0]) == (200, 401, 401)
    assert "those known before are good" in (again.folder / "stderr").read_text()
    stranger = fleet.say("two", "serve", "-c", "equipoise.yaml", "--port", "0")
    assert stranger.returncode == 2
    assert "the keys in the state store cannot be read: cannot open PostgreSQL 127.0.0.1" in stranger.stderr
    assert (PASSWORD not in stranger.stderr, "Traceback" not in stranger.stderr) == (True, True)
    server.start()
    again.until(lambda: booked(fleet.url)[0] >= before + 2, 10)
    again.until(lambda: again.metric("equipoise_ledger_away") == 0, 10)


def test_a_canary_that_was_begun_at_one_gateway_is_everywhere(fleet: Fleet) -> None:
    """On hosts without a folder in common: both send it its share, and it ends at both when one is told to stop it."""
    first, second = fleet.start("one"), fleet.start("two")
    said = ("--set", "strategy=round_robin", "--at", "99%", "--yes", "--json", "--admin-url", first.admin_url)
    done = fleet.say("one", "canary", "start", *said)
    assert done.returncode == 0, done.stderr
    standing = json.loads(first.fetch("/admin/canary", admin=True)[1])
    second.until(lambda: json.loads(second.fetch("/admin/canary", admin=True)[1])["stage"] == standing["stage"], 5)
    time.sleep(1.5)  # long enough for one to take back what it cannot build
    for gateway in (first, second):
        told = json.loads(gateway.fetch("/admin/canary", admin=True)[1])
        assert (told["stage"], told["share"], told["keeping"]) == (standing["stage"], 99.0, "ok")
        before = told["requests"]["candidate"]
        assert [gateway.ask()[0] for _ in range(3)] == [200] * 3
        gateway.until(
            lambda gateway=gateway, before=before: (
                json.loads(gateway.fetch("/admin/canary", admin=True)[1])["requests"]["candidate"] >= before + 3
            ),
            5,
        )
    done = fleet.say("two", "canary", "abort", "--admin-url", second.admin_url)
    assert done.returncode == 0, done.stderr
    first.until(lambda: json.loads(first.fetch("/admin/canary", admin=True)[1])["share"] == 0.0, 5)

"""Pre-deployment checks: each fails when what it looks at is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.config.load import load
from equipoise.migration import checks
from equipoise.migration.checks import MEBIBYTE, Target, check_all
from equipoise.migration.on_disk import file_check
from equipoise.stores import Ledger, StoreError
from equipoise.stores.state import StateStore
from tests.fakes import ScriptedClient, answer

HERE = Target(name="graph", client=ScriptedClient(answer()))
HOSTED = Target(name="web", client=ScriptedClient(answer()), url="https://api.perplexity.ai", has_key=False)


def test_a_hosted_backend_without_a_key_is_found_by_the_name_of_its_variable() -> None:
    """Only where a key is wanted."""
    found = checks.environment([HERE, HOSTED], {})
    assert (found.state, found.text) == ("failed", "not set: PERPLEXITY_API_KEY (for web)")
    assert checks.environment([HERE], {}).state == "ok"


async def test_an_address_where_nobody_listens_fails() -> None:
    """Port 9 of this machine: refused at once."""
    nobody = Target(name="graph", client=ScriptedClient(answer()), url="http://127.0.0.1:9")
    found = await checks.connectivity(nobody)
    assert (found.name, found.state) == ("connectivity: graph", "failed")
    assert (await checks.connectivity(HERE)).state == "ok"


@pytest.mark.parametrize(("free", "state"), [(10, "failed"), (100, "warning"), (1000, "ok")])
def test_too_little_memory_fails_and_little_warns(free: int, state: str, tmp_path: Path) -> None:
    """From the system's own words; where it says none, that is said."""
    told = tmp_path / "meminfo"
    told.write_text(f"MemTotal: 1 kB\nMemAvailable: {free * 1024} kB\n")
    assert checks.memory(told).state == state
    assert checks.memory(tmp_path / "nothing").text.startswith("not measured")


@pytest.mark.parametrize(("free", "state"), [(1, "failed"), (100, "warning"), (1000, "ok")])
def test_too_little_room_fails_and_little_warns(
    free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there fails too."""
    usage = type("usage", (), {"free": free * MEBIBYTE})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: usage)
    assert checks.disk(tmp_path).state == state
    monkeypatch.undo()
    assert checks.disk(tmp_path / "nowhere").state == "failed"


def test_a_state_that_cannot_be_written_fails(tmp_path: Path) -> None:
    """It is tried, not assumed."""
    store = StateStore(tmp_path / "state.sqlite3")
    assert checks.state_writable(store).state == "ok"
    store.close()
    assert checks.state_writable(store).state == "failed"


async def test_a_ledger_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is switched off is said to be, and does not stop a move."""
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    assert (await checks.ledger_writable(ledger)).state == "ok"

    async def broken() -> None:
        raise StoreError("disk I/O error")

    monkeypatch.setattr(ledger, "flush", broken)
    assert (await checks.ledger_writable(ledger)).text == "disk I/O error"
    ledger.close()
    assert (await checks.ledger_writable(None)).state == "warning"


def test_the_file_is_looked_at_again(tmp_path: Path) -> None:
    """Changed since the start: a warning; no longer good: failed."""
    file = tmp_path / "equipoise.yaml"
    text = "backend_instances:\n  graph: {backend_type: lightrag, endpoint_url: 'http://127.0.0.1:9621'}\n"
    file.write_text(text)
    look = file_check(load(file, environ={}))
    assert look()[0].state == "ok"
    file.write_text(text + "strategy: weighted\n")
    assert look()[0].state == "warning"
    file.write_text("strategy: astrology\n")
    assert look()[0].state == "failed"


async def test_all_of_them_are_done_and_named(tmp_path: Path) -> None:
    """In the specification's order, with ours after them."""
    store = StateStore(tmp_path / "state.sqlite3")
    found = await check_all([HERE], environ={}, folder=tmp_path, store=store, ledger=None)
    store.close()
    assert [check.name for check in found] == [
        "environment variables",
        "connectivity: graph",
        "health endpoint: graph",
        "resources: disk",
        "resources: memory",
        "state",
        "ledger",
    ]

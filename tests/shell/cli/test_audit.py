"""Roles and the journal of what people did, at a gateway that is running."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import until_true
from tests.shell.cli.conftest import Run, Served, start

ADMIN = "the-one-admin-key-of-this-test"


@pytest.fixture
def steered(oracle: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A gateway with the one admin key, one in the configuration and one in the store; each key by its name."""
    oracle.write_text(oracle.read_text() + "admin_keys:\n  watcher: ${WATCHER}\n")
    monkeypatch.setenv("WATCHER", "a-key-that-only-looks-at-things")
    monkeypatch.setenv("EQUIPOISE_ADMIN_KEY", ADMIN)
    operator = run("keys", "create", "ops", "--role", "operate").out.strip()
    process = start("serve", "--port", "0", folder=oracle.parent)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    monkeypatch.setenv("EQUIPOISE_ADMIN_URL", served.admin_url)
    yield {"admin": ADMIN, "watcher": "a-key-that-only-looks-at-things", "ops": operator}
    if process.poll() is None:
        _, out, err = served.stop()
        assert not any(key in out + err for key in (ADMIN, operator))


def test_roles_hold_and_every_action_is_written_down(
    steered: dict[str, str], run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """watcher looks, ops drains, admin changes the configuration; the journal has all of it, and no key."""

    def as_(name: str, *arguments: str) -> int:
        monkeypatch.setenv("EQUIPOISE_ADMIN_KEY", steered[name])
        return run(*arguments).code

    assert as_("watcher", "backends", "ls") == 0
    assert as_("watcher", "backends", "drain", "oracle") == 1
    assert as_("ops", "backends", "drain", "oracle") == 0
    assert as_("ops", "backends", "resume", "oracle") == 0
    assert as_("ops", "config", "set", "strategy=weighted") == 1
    assert as_("admin", "config", "set", "strategy=weighted", "backend_instances.oracle.weight=3") == 0
    found = json.loads(run("audit", "ls", "--json", "--since", "1h").out)
    assert [(entry["who"], entry["outcome"]) for entry in found[:-1]] == [
        ("admin", "replaced"),
        ("ops", "refused: role_not_sufficient"),
        ("ops", "done"),
        ("ops", "done"),
        ("watcher", "refused: role_not_sufficient"),
    ]
    assert (found[-1]["action"], found[-1]["target"]) == ("keys create", "ops")
    assert found[0]["changed"]["strategy"] == ["adaptive_learning", "weighted"]
    assert found[0]["changed"]["backend_instances.oracle.weight"][1] == 3.0
    assert found[2]["changed"]["oracle is drained"] == [True, False]
    text = (
        json.dumps(found) + run("audit", "ls").out + (folder / "state" / "audit.sqlite3").read_bytes().decode("latin-1")
    )
    assert not any(key in text for key in steered.values())
    over_http = json.loads(run("audit", "ls", "--admin-url", os.environ["EQUIPOISE_ADMIN_URL"], "--json").out)
    assert over_http == found
    assert json.loads(run("audit", "ls", "--who", "watcher", "--json").out) == [found[4]]
    assert run("audit", "verify").code == 0


def test_an_admin_key_that_is_revoked_is_refused_within_a_second(
    steered: dict[str, str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the running gateway; a rotated one goes on for its time."""
    monkeypatch.setenv("EQUIPOISE_ADMIN_KEY", steered["ops"])
    assert run("backends", "ls").code == 0
    rows = {row["name"]: row for row in json.loads(run("keys", "ls", "--json").out)}
    assert {name: row["role"] for name, row in rows.items()} == {"ops": "operate", "watcher": "view"}
    assert run("keys", "revoke", "ops", "--yes").code == 0
    until_true(lambda: run("backends", "ls").code != 0, 5.0)


def test_a_key_of_one_kind_is_no_key_of_the_other(steered: dict[str, str], run: Run) -> None:
    """Names are never used twice, and terms of questions mean nothing for people."""
    assert run("keys", "create", "ops").code == 2
    assert run("keys", "create", "watcher").code == 2
    assert run("keys", "create", "eve", "--role", "view", "--tenant", "ann").code == 2
    assert run("keys", "create", "eve", "--role", "root").code == 2


def test_an_admin_address_off_this_machine_wants_an_admin_key(oracle: Path, run: Run) -> None:
    """A client's key does not open it."""
    oracle.write_text(oracle.read_text() + "listen: {admin_host: 0.0.0.0, port: 0}\n")
    assert run("keys", "create", "client").code == 0
    refused = run("serve")
    assert (refused.code, "--role admin" in refused.err) == (4, True)


def test_a_public_address_wants_a_key_and_an_admin_key_is_none(oracle: Path, run: Run) -> None:
    """serve refuses to start for strangers; a key for the admin listener lets nobody ask."""
    assert run("serve", "--port", "0", "--host", "0.0.0.0").code == 4
    assert run("keys", "create", "ann", "--role", "admin").code == 0
    assert run("serve", "--port", "0", "--host", "0.0.0.0").code == 4


def test_a_changed_journal_shows(oracle: Path, run: Run, folder: Path) -> None:
    """verify says where, and fails."""
    for name in ("one", "two", "three"):
        run("keys", "create", name)
    with sqlite3.connect(folder / "state" / "audit.sqlite3") as connection:
        connection.execute("DROP TRIGGER audit_never_changes")
        connection.execute("UPDATE audit SET entry = replace(entry, 'two', 'six')")
    connection.close()
    told = run("audit", "verify")
    assert (told.code, "entry 2" in told.out) == (1, True)

"""What an earlier version left behind still works: its configuration, its stores, its keys."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import equipoise
from tests.shell.cli.conftest import ROOT, Run, Served, start

RELEASES = ROOT / "tests" / "fixtures" / "releases"
FOLDERS = sorted(path for path in RELEASES.iterdir() if path.is_dir())
SECRET, OPERATOR = "secret", "operator"


def restored(release: Path, folder: Path) -> None:
    """A state directory as that version left it."""
    (folder / "state").mkdir(mode=0o700)
    for name in ("equipoise.yaml", "answers.py"):
        shutil.copy(release / name, folder)
    for dump in release.glob("*.sql"):
        with closing(sqlite3.connect(folder / "state" / f"{dump.stem}.sqlite3", isolation_level=None)) as connection:
            connection.executescript(dump.read_text("utf-8"))


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def left(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    restored(request.param, folder)
    monkeypatch.syspath_prepend(folder)
    return Path(request.param)


@pytest.fixture
def upgraded(left: Path, folder: Path) -> Iterator[tuple[Served, dict[str, Any]]]:
    process = start("serve", "--port", "0", folder=folder)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    yield served, json.loads((left / "expected.json").read_text())
    if process.poll() is None:
        code, _, err = served.stop()
        assert (code, "Traceback" in err) == (0, False)


def call(url: str, key: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"authorization": f"Bearer {key}", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_it_serves_as_if_nothing_had_happened(
    upgraded: tuple[Served, dict[str, Any]], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are good or revoked as before, each tenant finds its old requests, the bill goes on, what was drained is drained,
    a budget's limit holds, the audit journal is whole."""
    served, expected = upgraded
    question = {"model": "auto", "messages": [{"role": "user", "content": "And now?"}]}
    status, bill = call(f"{served.admin_url}/admin/ledger/summary", OPERATOR)
    assert (status, bill["cost_usd"], bill["records"]) == (200, expected["cost_usd"], expected["records"])
    assert call(f"{served.url}/v1/chat/completions", SECRET, question)[0] == 200
    assert call(f"{served.url}/v1/chat/completions", expected["key"], question)[0] == 403, "its route is fair only"
    assert call(f"{served.url}/v1/chat/completions", expected["key"], question | {"model": "fair"})[0] == 200
    for request_id, tenant in expected["requests"].items():
        key, other = (SECRET, expected["key"]) if tenant == "ann" else (expected["key"], SECRET)
        assert call(f"{served.url}/v1/requests/{request_id}", key)[0] == 200
        assert call(f"{served.url}/v1/requests/{request_id}", other)[0] == 404
    rows = {row["id"]: row["draining"] for row in call(f"{served.admin_url}/admin/backends", OPERATOR)[1]["backends"]}
    assert rows == {"oracle": False, "second": True}
    budgets = {row["name"]: row["limit"] for row in call(f"{served.admin_url}/admin/budgets", OPERATOR)[1]["budgets"]}
    assert budgets["whole"] == "25.000000000"
    states = {row["name"]: row["state"] for row in json.loads(run("keys", "ls", "--all", "--json").out)}
    assert states == {"laptop": "good", "ops": "good", "phone": "good", "lost": "revoked", "watcher": "good"}
    assert run("audit", "verify").code == 0


def test_its_configuration_is_still_right(left: Path, run: Run) -> None:
    """Without a warning about a field that went."""
    told = run("check")
    assert (told.code, "unknown" in told.err + told.out) == (0, False)


def test_every_release_is_kept() -> None:
    """This version's fixture is there (`python -m bench.release.fixtures`), and that of every tag."""
    said = subprocess.run(["git", "tag", "--list", "v*"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    wanted = {tag.removeprefix("v") for tag in said.split()} | {equipoise.__version__}
    assert wanted - {path.name for path in FOLDERS} == set()
    assert not any(os.sep + "home" in path.read_text("utf-8") for folder in FOLDERS for path in folder.iterdir())

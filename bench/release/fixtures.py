"""`python -m bench.release.fixtures`: what this version leaves behind, kept as a fixture for those to come.

A gateway of this version is served and used: questions, streams, keys, budgets, people's actions. Its configuration and its
stores (as SQL) go to tests/fixtures/releases/VERSION with what must still be true of them (`expected.json`). Made once a
release, before its tag; every later version is tested with it (tests/shell/cli/test_releases.py).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import equipoise
from bench.release.lock import ROOT

RELEASES = ROOT / "tests" / "fixtures" / "releases"
CONFIG = """\
backend_instances:
  oracle: {backend_type: function, function: "answers:answer", corpus: mine, cost_per_1k_tokens: 0.002, weight: 2}
  second: {backend_type: function, function: "answers:answer", cost_per_1k_tokens: 0.001, allows: [phi]}
strategy: adaptive_learning
routes:
  auto: {}
  fair: {strategy: weighted, min_quality: 0.1, timeout_seconds: 30}
aliases: {gpt-4o: fair}
keys:
  laptop: {sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b, tenant: ann, requests_per_minute: 600}
admin_keys:
  ops: {sha256: 06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23, role: admin}
budgets:
  whole: 10
  ann: {usd: 2.5, window: month, tenant: ann}
alerts: {enabled: true}
quality_sampling_rate: 1.0
ledger: {keep_days: 36500}
audit: {keep_days: 36500}
state_dir: state
"""
ANSWERS = 'async def answer(question):\n    return "forty-two, as asked: " + question\n'
SECRET, OPERATOR = "secret", "operator"
"""The key whose SHA-256 stands in the configuration."""


def main() -> int:
    """Make the fixture of this version anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "equipoise.yaml").write_text(CONFIG)
        (folder / "answers.py").write_text(ANSWERS)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EQUIPOISE_")},
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
            "LOGNAME": "releaser",
        }
        expected = _lived(folder, environment)
        target = RELEASES / equipoise.__version__
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for file in ("equipoise.yaml", "answers.py"):
            shutil.copy(folder / file, target)
        for store in sorted((folder / "state").glob("*.sqlite3")):
            with closing(sqlite3.connect(store)) as connection:
                (target / f"{store.stem}.sql").write_text("\n".join(connection.iterdump()) + "\n", "utf-8")
        (target / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"wrote {target.relative_to(ROOT)}")
    return 0


def _lived(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "equipoise", *arguments], cwd=folder, env=environment, check=True, text=True,
            capture_output=True,
        )  # fmt: skip
        return done.stdout.strip()

    made = command("keys", "create", "phone", "--tenant", "bob", "--routes", "fair")
    command("keys", "create", "lost")
    command("keys", "revoke", "lost", "--yes")
    command("keys", "create", "watcher", "--role", "view")
    serving = subprocess.Popen(
        [sys.executable, "-m", "equipoise", "serve", "--port", "0"], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert serving.stdout is not None
    lines = [serving.stdout.readline() for _ in range(5)]
    url, admin = lines[0].split()[-1], lines[1].split()[-1].removesuffix("/dashboard")
    told = environment | {"EQUIPOISE_ADMIN_URL": admin, "EQUIPOISE_ADMIN_KEY": OPERATOR}
    steps = (("backends", "drain", "second"), ("config", "save"), ("budget", "set", "whole", "25", "--yes"))
    try:
        ids = [ask(url, SECRET, "auto"), ask(url, made, "fair"), ask(url, SECRET, "gpt-4o")]
        post(f"{url}/v1/feedback", SECRET, {"request_id": ids[0], "rating": "up"})
        for step in steps:
            subprocess.run([sys.executable, "-m", "equipoise", *step], cwd=folder, env=told, check=True)
        request = urllib.request.Request(
            f"{admin}/admin/ledger/summary", headers={"authorization": f"Bearer {OPERATOR}"}
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            bill = json.load(response)
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=30)
    owners = dict(zip(ids, ("ann", "bob", "ann"), strict=True))
    return {"key": made, "requests": owners, "cost_usd": bill["cost_usd"], "records": bill["records"]}


def ask(url: str, key: str, model: str) -> str:
    """Ask, and give the id of the request."""
    body = {"model": model, "messages": [{"role": "user", "content": "What is it?"}]}
    _, headers = post(f"{url}/v1/chat/completions", key, body)
    return str(headers["x-request-id"])


def post(url: str, key: str, body: dict[str, Any]) -> tuple[Any, Any]:
    """A document and the headers of what comes back."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response), dict(response.headers)


if __name__ == "__main__":
    sys.exit(main())

"""A real Prometheus scrapes a gateway under load: its rules hold, and every panel has something to show."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bench.grafana.__main__ import expressions, plain
from equipoise.core.events import AnswerScored, AttemptEnded, BackendChanged, CanaryDecided
from equipoise.core.model import Verdict
from equipoise.http import Pool
from equipoise.sandbox import Faults
from equipoise.telemetry.grafana import dashboards
from tests.end_to_end.http.servers import command, free_port, running
from tests.shell.stores.attempts import attempt
from tests.shell.telemetry.test_prometheus import ended
from tests.wire.gateway.fleet import BACKENDS, Fleet

RULES = Path(__file__).parents[3] / "deploy" / "prometheus"
SECONDS = 14.0
CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [recording.yaml, alerts.yaml]
scrape_configs:
  - job_name: equipoise
    static_configs: [{{targets: ["{target}"]}}]
"""


def test_each_alert_fires_on_its_story_and_on_no_other(tmp_path: Path) -> None:
    """promtool's own unit tests of rules."""
    for file in (*RULES.glob("*.yaml"), Path(__file__).parent / "rules_test.yaml"):
        shutil.copy(file, tmp_path)
    done = subprocess.run(
        [command("promtool"), "test", "rules", "rules_test.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_configuration_are_valid(tmp_path: Path) -> None:
    """promtool's linter has nothing to say."""
    for arguments in (["rules", "recording.yaml", "alerts.yaml"], ["config", "prometheus.yaml"]):
        done = subprocess.run(
            [command("promtool"), "check", *arguments], cwd=RULES, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    it = Fleet(tmp_path, strategy="adaptive_learning", weight_adjustment_frequency_minutes=0.02)
    await it.start()
    yield it
    await it.stop()


async def load(fleet: Fleet, seconds: float) -> None:
    """Questions, whole and streamed, some of them failing, and what features beside tell."""
    until, number = time.monotonic() + seconds, 0
    fleet.estate.metrics.set_money(lambda: [budget()], lambda: 0.9)  # type: ignore[union-attr]
    fleet.estate.metrics.set_queue(lambda: {"waiting": 0, "turned_away": 0})  # type: ignore[union-attr]
    while time.monotonic() < until:
        number += 1
        name = list(BACKENDS)[number % len(BACKENDS)]
        broken = Faults(error_rate=1.0, error_status=500) if number % 10 == 0 else Faults()
        fleet.backends[name].set_faults(broken)
        body = {"messages": [{"role": "user", "content": "What is lactate?"}], "stream": number % 2 == 0, "model": name}
        response = await fleet.post("/v1/chat/completions", body)
        await response.read()
        fleet.backends[name].set_faults(Faults())
        tell(fleet, name)
        await asyncio.sleep(0.05)


def budget() -> dict[str, Any]:
    return {
        "budget": "daily", "unit": "usd", "spent": 10**9, "reserved": 10**7, "held": 10**7, "limit": 50 * 10**9,
        "exhausted_at": time.time() + 3600,
    }  # fmt: skip


def tell(fleet: Fleet, name: str) -> None:
    """What other parts of the gateway say now and then."""
    it = fleet.estate.balancer
    it.tell(
        AnswerScored(
            request_id="r", attempt=1, backend_id=name, route="auto", tenant="t", kind="general", role="answer",
            quality=0.8, variance=0.01, source="judge", wall=time.time(),
        )
    )  # fmt: skip
    evidence = {"e_value": 1.5, "candidate_requests": 40.0}
    it.tell(CanaryDecided(canary="new", verdict="hold", share=0.1, message="", evidence=evidence, wall=time.time()))
    it.tell(BackendChanged(name, "ejected", "outlier", time.time()))
    it.tell(BackendChanged(name, "open", "test", time.time()))
    it.tell(AttemptEnded(attempt(backend_id=name, verdict=Verdict.NO_ANSWER)))
    it.tell(ended(cache="hit", attempts=2))
    it.tell(ended(status=503, error_code="no_healthy_backend", backend_id=None))


async def asked(pool: Pool, expr: str) -> list[Any]:
    response = await pool.request("GET", f"/api/v1/query?query={quote(expr, safe='')}")
    told = json.loads(await response.read())
    assert told["status"] == "success", (expr, told)
    return list(told["data"]["result"])


async def test_every_panel_of_every_dashboard_has_data(fleet: Fleet, tmp_path: Path) -> None:
    """And the gateway is scraped without an error."""
    port, target = free_port(), fleet.url.removeprefix("http://")
    for file in ("recording.yaml", "alerts.yaml"):
        shutil.copy(RULES / file, tmp_path)
    (tmp_path / "prometheus.yaml").write_text(CONFIG.format(target=target))
    arguments = [
        command("prometheus"), "--config.file=prometheus.yaml", f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.path=data", "--log.level=warn",
    ]  # fmt: skip
    async with running(arguments, port, tmp_path):
        await load(fleet, SECONDS)
        pool = Pool(f"http://127.0.0.1:{port}")
        empty = []
        for name, dashboard in dashboards().items():
            for title, expr in expressions(dashboard):
                results = await asked(pool, plain(expr, "10s"))
                if not results:
                    empty.append(f"{name}: {title}: {expr}")
        up = await asked(pool, 'up{job="equipoise"}')
        await pool.close()
    assert [series["value"][1] for series in up] == ["1"]
    assert empty == []

"""From a failing backend to an operator's phone, and what operators see and say in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from equipoise.build import build
from equipoise.cli import main
from equipoise.cli.serving import make_gateway
from equipoise.config.load import load
from equipoise.core.events import BudgetCrossed, CanaryDecided
from equipoise.gateway import alerting
from equipoise.http import Server
from tests.shell.gateway.scripted import http, whole
from tests.wire.alerts.test_delivery import Hook, until

NOWHERE = {"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:9", "model": "none", "failure_threshold": 2}


class House:
    """A gateway whose only backend does not exist, with an operator's webhook."""

    def __init__(self, folder: Path, hook: Hook) -> None:
        self.config = load(
            {
                "backend_instances": {"gone": NOWHERE},
                "state_dir": str(folder),
                "alert_webhook_url": hook.url,
                "alerts": {"interval_seconds": 0.05, "suppression_seconds": 0, "cost_webhook_url": hook.url + "&cost"},
                "enable_real_time_monitoring": False,
            },
            environ={},
        ).config
        self.estate = build(self.config)
        self.gateway = make_gateway(self.config, self.estate)
        self.admin = Server(self.gateway.handle_admin)

    async def ask(self) -> int:
        body = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
        return (await self.gateway.handle(http("POST", "/v1/chat/completions", body))).status

    async def told(self) -> dict[str, Any]:
        response = await self.gateway.handle_admin(http("GET", alerting.ALERTS))
        return dict(json.loads(await whole(response)))

    async def start(self) -> None:
        await self.estate.balancer.start()
        await self.admin.start("127.0.0.1", 0)

    async def stop(self) -> None:
        await self.admin.drain(0)
        await self.estate.balancer.close()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    it = Hook()
    await it.server.start("127.0.0.1", 0)
    yield it
    await it.server.drain(0)


@pytest.fixture
async def house(tmp_path: Path, hook: Hook) -> AsyncIterator[House]:
    it = House(tmp_path, hook)
    await it.start()
    yield it
    await it.stop()


def rules_posted(hook: Hook) -> set[tuple[str, str]]:
    """Rule and change of all that was posted."""
    said = [json.loads(got.body) for got in hook.got]
    return {(of["alert"]["rule"], of["change"]) for of in said}


async def test_a_dead_backend_is_told_and_so_is_its_return(house: House, hook: Hook) -> None:
    """Breaker and nobody to ask; closed again, all is resolved; the history remembers."""
    for _ in range(3):
        assert await house.ask() in (502, 503)
    wanted = {("CircuitBreakerOpen", "fired"), ("NoHealthyBackend", "fired")}
    await until(lambda: wanted <= rules_posted(hook))
    told = await house.told()
    assert {"CircuitBreakerOpen", "NoHealthyBackend"} <= {alert["rule"] for alert in told["active"]}
    house.estate.balancer.selection.backends["gone"].breaker.close(0.0)
    await until(lambda: ("CircuitBreakerOpen", "resolved") in rules_posted(hook))
    told = await house.told()
    assert {"fired", "resolved"} <= {of["change"] for of in told["history"]}
    assert told["receivers"][0]["name"] == "alert_webhook_url"


async def test_money_goes_to_whoever_looks_after_it_and_verdicts_to_all(house: House, hook: Hook) -> None:
    """COST_ALERT_WEBHOOK hears of budgets only; information is below its least severity."""
    balancer = house.estate.balancer
    now = balancer.selection.clock.wall()
    balancer.tell(BudgetCrossed(budget="daily", unit="requests", share=0.9, spent=90, reserved=0, limit=100, wall=now))
    for verdict in ("promoted", "rolled_back"):
        balancer.tell(
            CanaryDecided(canary="new", verdict=verdict, share=0.1, message="error rate", evidence={}, wall=now)
        )
    await until(lambda: len(hook.got) == 3)
    await asyncio.sleep(0.1)
    paths = sorted((json.loads(got.body)["alert"]["rule"], got.query) for got in hook.got)
    assert paths == [
        ("BudgetNearlySpent", "token=t"),
        ("BudgetNearlySpent", "token=t&cost"),
        ("CanaryDecided", "token=t"),
    ]


async def test_operators_list_acknowledge_and_test(
    house: House, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    """`equipoise alerts ls|ack|test`, with the exit codes of the house."""
    url = f"http://127.0.0.1:{house.admin.port}"

    async def run(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["alerts", *words, "--admin-url", url])
        return code, capsys.readouterr().out

    assert await run("ls") == (0, "nothing is wrong\n")
    for _ in range(3):
        await house.ask()
    await until(lambda: ("CircuitBreakerOpen", "fired") in rules_posted(hook))
    code, text = await run("ls", "--history")
    assert code == 1
    assert "CircuitBreakerOpen" in text
    (alert,) = [of for of in (await house.told())["active"] if of["rule"] == "CircuitBreakerOpen"]
    assert await run("ack", alert["id"], "--who", "mo") == (0, f"{alert['id']}: looked after by mo\n")
    assert (await run("ack", "nothing"))[0] == 1
    code, text = await run("test", "alert_webhook_url")
    assert (code, text.startswith("on its way to alert_webhook_url")) == (0, True)
    await until(lambda: ("TestAlert", "fired") in rules_posted(hook))
    assert (await run("test", "nobody"))[0] == 1


async def test_a_restart_neither_tells_again_nor_forgets(tmp_path: Path, hook: Hook) -> None:
    """What was active is resolved by the next process."""
    first = House(tmp_path, hook)
    await first.start()
    for _ in range(3):
        await first.ask()
    await until(lambda: ("CircuitBreakerOpen", "fired") in rules_posted(hook))
    await first.stop()
    fired = [got for got in hook.got if b'"CircuitBreakerOpen"' in got.body]
    second = House(tmp_path, hook)
    await second.start()
    await until(lambda: ("CircuitBreakerOpen", "resolved") in rules_posted(hook))
    assert len([got for got in hook.got if b'"CircuitBreakerOpen"' in got.body]) == len(fired) + 1
    await second.stop()


async def test_with_nothing_to_tell_no_file_is_made(house: House, tmp_path: Path) -> None:
    """Memory of alerts begins with the first one."""
    await asyncio.sleep(0.1)
    assert not (tmp_path / "alerts.sqlite3").exists()


async def test_switched_off_nothing_is_watched(tmp_path: Path) -> None:
    """And the admin listener says so."""
    said = {"backend_instances": {"gone": NOWHERE}, "state_dir": str(tmp_path), "alerts": {"enabled": False}}
    config = load(said, environ={}).config
    estate = build(config)
    assert estate.alerts is None
    response = await make_gateway(config, estate).handle_admin(http("GET", alerting.ALERTS))
    assert response.status == 404
    await estate.balancer.close()

"""Budgets on the path of a question: a slice is there before it is needed, the last one ends in a clear refusal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from equipoise.balancer import LoadBalancer, Unanswered
from equipoise.config.load import load
from equipoise.core.events import BudgetCrossed, Event
from equipoise.core.intake import Hints
from equipoise.core.model import Answer, Message, Question, Request, Usage
from equipoise.stores.leasing import Leasing
from equipoise.swap import built_beside, take_over
from tests.fakes import ScriptedClient
from tests.patience import within_one_day

# 1,000 tokens out at a dollar a million, and nothing in: a tenth of a cent.
BILL = Usage(input_tokens=0, output_tokens=1_000)
COST = 1_000_000


@pytest.fixture(autouse=True)
def _of_one_day() -> None:
    """What is spent in a test is spent within one window."""
    within_one_day()


def settings(tmp_path: Path, budgets: dict[str, Any], **more: Any) -> dict[str, Any]:
    backend = {"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:1/v1", "price": {"output": 1.0}}
    return {
        "backend_instances": {"a": backend},
        "budgets": budgets,
        "state_dir": str(tmp_path),
        "enable_real_time_monitoring": False,
        **more,
    }


def scripted(balancer: LoadBalancer, pause: float = 0.0) -> LoadBalancer:
    """Its backend answers with a thousand tokens, after a pause."""

    class Slow(ScriptedClient):
        async def send(self, request: Request, timeout: float) -> Answer:
            await asyncio.sleep(pause)
            return await super().send(request, timeout)

    balancer._crew.clients["a"] = Slow(Answer(text="x", usage=BILL))
    return balancer


def leasing(balancer: LoadBalancer) -> Leasing:
    return next(each for each in balancer.background if isinstance(each, Leasing))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[LoadBalancer]:
    balancer = scripted(LoadBalancer.from_config(settings(tmp_path, {"all": {"usd": 0.01}})))
    async with balancer:
        yield balancer


async def ask(balancer: LoadBalancer, **hints: Any) -> Any:
    question, _ = balancer.request(Question(messages=[Message("user", "")], max_tokens=1_000), Hints(**hints))
    return await balancer.answer(question)


async def test_the_last_cent_is_spent_and_not_one_more(running: LoadBalancer) -> None:
    """Ten answers of a tenth of a cent fit a cent; the eleventh is refused for good and told when it may come again."""
    for _ in range(10):
        await ask(running)
    with pytest.raises(Unanswered) as refused:
        await ask(running)
    assert (refused.value.code, refused.value.status, refused.value.should_retry) == ("budget_exceeded", 429, False)
    assert 0 < (refused.value.retry_after or 0) <= 86_400
    await leasing(running).turn()
    (row,) = running.selection.budgets.status(running.selection.clock.wall())
    assert (row["spent"], row["reserved"], row["share"]) == (10 * COST, 0, 1.0)


async def test_questions_that_come_together_wait_for_room_rather_than_being_refused(tmp_path: Path) -> None:
    """Forty at once on a budget that holds them all, each reserving ten times what it costs: nobody is turned away."""
    balancer = LoadBalancer.from_config(settings(tmp_path, {"all": {"usd": 0.05}}))
    scripted(balancer, pause=0.01)
    async with balancer:
        replies = await asyncio.gather(*(ask(balancer) for _ in range(40)))
    assert len(replies) == 40


async def test_two_gateways_share_one_budget(tmp_path: Path) -> None:
    """What one has spent is gone for the other, and a clean stop gives back what it held."""
    first = scripted(LoadBalancer.from_config(settings(tmp_path, {"all": {"usd": 0.01}})))
    second = scripted(LoadBalancer.from_config(settings(tmp_path, {"all": {"usd": 0.01}})))
    async with second:
        async with first:
            for _ in range(7):
                await ask(first)
        for _ in range(3):
            await ask(second)
        with pytest.raises(Unanswered, match="budget all"):
            await ask(second)


async def test_what_was_spent_is_remembered_after_a_restart(tmp_path: Path) -> None:
    """A budget is of the day, not of the process."""
    config = settings(tmp_path, {"all": {"usd": 0.01}})
    async with scripted(LoadBalancer.from_config(config)) as balancer:
        for _ in range(9):
            await ask(balancer)
    async with scripted(LoadBalancer.from_config(config)) as balancer:
        await ask(balancer)
        with pytest.raises(Unanswered):
            await ask(balancer)


async def test_alerts_are_given_once_each(running: LoadBalancer) -> None:
    """At seven and at nine tenths, with the forecast."""
    heard: list[Event] = []
    running.observers.append(heard.append)
    for _ in range(10):
        await ask(running)
        await leasing(running).turn()
        await leasing(running).turn()
    crossed = [event for event in heard if isinstance(event, BudgetCrossed)]
    assert [(event.share, event.spent, event.unit) for event in crossed] == [
        (0.7, 7 * COST, "usd"), (0.9, 9 * COST, "usd"),
    ]  # fmt: skip


async def test_a_budget_that_appears_while_the_gateway_runs_holds_at_once(tmp_path: Path) -> None:
    """A new configuration: what was spent before counts for nothing, what is held stays held."""
    balancer = scripted(LoadBalancer.from_config(settings(tmp_path, {})))
    async with balancer:
        await ask(balancer)
        config = load(settings(tmp_path, {"all": {"usd": 0.002}})).config
        await take_over(balancer, scripted(built_beside(config)), config)
        await ask(balancer)
        await ask(balancer)
        with pytest.raises(Unanswered, match="budget all"):
            await ask(balancer)


async def test_one_tenant_cannot_spend_anothers(tmp_path: Path) -> None:
    """Each has its own account; a tenant that nobody named gets one when it comes."""
    balancer = scripted(LoadBalancer.from_config(settings(tmp_path, {"each": {"usd": 0.002, "tenant": "*"}})))
    async with balancer:
        for tenant in ("x", "x", "y"):
            await ask(balancer, tenant=tenant)
        with pytest.raises(Unanswered, match="tenant=x"):
            await ask(balancer, tenant="x")
        await ask(balancer, tenant="y")


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
async def test_a_clock_that_is_set_stops_nothing(
    running: LoadBalancer, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """Backwards or forwards: at the next turn the store has said again what is held, and the lease is shown to be alive."""
    clock = SetClock()
    monkeypatch.setattr(leasing(running), "_clock", clock)
    monkeypatch.setattr(running.selection, "clock", clock)
    await ask(running)
    for _ in range(100):  # until nobody remembers that there was a question, and nothing is asked of the store
        clock.passed += 4.0
        await leasing(running).turn()
    clock.set_by = step
    for _ in range(4):
        clock.passed += 4.0
        await leasing(running).turn()
        assert not running.selection.budgets.lapsed(clock.wall(), clock.monotonic())
    await ask(running)


class SetClock:
    """The machine's, which somebody has set to another hour."""

    set_by = passed = 0.0

    def wall(self) -> float:
        return time.time() + self.set_by + self.passed

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


async def test_a_store_that_fails_stops_what_has_a_budget_and_nothing_breaks(
    running: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices already held are spent from until they lapse; then it is refused, with the reason, not passed unseen."""
    await ask(running)
    store = await leasing(running).store()
    store.close()
    await ask(running)
    await leasing(running).turn()
    assert "budgets.sqlite3" in str(leasing(running).health()["error"])
    monkeypatch.setattr(running.selection.budgets, "lapses", (0.0, 0.0))
    with pytest.raises(Unanswered, match="does not answer"):
        await ask(running)

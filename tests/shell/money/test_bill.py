"""One bill: what the ledger holds, what the budgets counted and what the metric says are the same money."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from equipoise.backends.base import BackendError, StreamItem
from equipoise.balancer import Unanswered
from equipoise.build import Estate, build
from equipoise.config.load import load
from equipoise.core.events import AttemptEnded, Event
from equipoise.core.intake import Hints
from equipoise.core.model import Answer, Message, Question, Request, Usage, Verdict
from tests.fakes import ScriptedClient

NANO = 1_000_000_000
ASKED, MOST_ASKED = 150, 3_000
WANTED = {"hedge_lost", "cancelled"}
"""What must have happened before the bill is made."""


class Moody(ScriptedClient):
    """Answers at odd prices; some answers fail, some streams are cut, and one of thirty, so fewer than the five of a
    hundred after which a second copy is sent, is far later than any other is on a busy machine."""

    def __init__(self, seed: int) -> None:
        super().__init__(Answer(text="x"))
        self.chance = random.Random(seed)
        self.answers = 0

    async def _answered(self) -> Answer:
        luck = self.chance.random()
        self.answers += 1
        await asyncio.sleep(0.7 if self.answers % 30 == 0 else self.chance.uniform(0.001, 0.003))
        usage = Usage(input_tokens=self.chance.randint(1, 999), output_tokens=self.chance.randint(1, 999))
        if 0.1 < luck < 0.2:
            raise BackendError(Verdict.FAILURE, "no", status=502, usage=usage if luck < 0.15 else None)
        return Answer(text="It is a small molecule.", usage=usage)

    async def send(self, request: Request, timeout: float) -> Answer:
        return await self._answered()

    async def stream(self, request: Request, timeout: float) -> AsyncIterator[StreamItem]:
        self.script = [await self._answered()]
        self.cut = BackendError(Verdict.FAILURE, "cut") if self.chance.random() < 0.1 else None
        async for item in super().stream(request, timeout):
            yield item


def settings(folder: Path) -> dict[str, Any]:
    engine = {"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:1/v1", "circuit_breaker_enabled": False}
    judge = {
        "backend_type": "function",
        "function": "tests.shell.scoring.own:grades",
        "price": {"per_request": 0.000_01},
    }
    return {
        "backend_instances": {
            "a": {**engine, "price": {"input": 0.37, "output": 1.13}},
            "b": {**engine, "price": {"input": 3.01, "output": 17.77, "per_request": 0.000_033}},
            "j": judge,
        },
        "routes": {
            "auto": {"backends": ["a", "b"], "strategy": "round_robin", "hedge": {"enabled": True, "share": 0.5}}
        },
        "budgets": {"all": {"usd": 100}, "calls": {"requests": 100_000, "window": "hour"}, "tokens": {"tokens": 10**9}},
        "quality": {"judge": {"backend": "j", "share": 1.0, "max_usd_per_hour": 1.0}},
        "quality_sampling_rate": 0.3,
        "state_dir": str(folder),
        "enable_real_time_monitoring": False,
    }


async def ask(estate: Estate, number: int, chance: random.Random) -> None:
    """A question: whole, as a stream, as a stream that nobody reads to its end, or of somebody who goes away."""
    how = chance.random()
    question = Question(messages=[Message("user", "What is a metabolite?")], max_tokens=1_000, stream=how > 0.5)
    request, _ = estate.balancer.request(question, Hints())
    with suppress(Unanswered, TimeoutError):
        if not question.stream:
            async with asyncio.timeout(0.002 if how < 0.05 else 10.0):
                await estate.balancer.answer(request)
            return
        stream = await estate.balancer.open(request)
        try:
            async for _ in stream:
                if how > 0.9:
                    break
        finally:
            await stream.aclose()


def charged(folder: Path) -> dict[str, tuple[int, int]]:
    with closing(sqlite3.connect(folder / "budgets.sqlite3")) as budgets:
        rows = budgets.execute("SELECT account, SUM(amount), SUM(count) FROM spent GROUP BY account").fetchall()
        assert budgets.execute("SELECT COALESCE(SUM(amount), 0) FROM held").fetchone() == (0,)
    return {account: (amount, count) for account, amount, count in rows}


def attempts(told: list[Event]) -> Iterator[AttemptEnded]:
    return (event for event in told if isinstance(event, AttemptEnded))


@pytest.mark.parametrize("seed", [1, 2])
async def test_ledger_budgets_and_metric_agree(tmp_path: Path, seed: int) -> None:
    """Answers, failovers, failures that billed, cut and abandoned streams, callers who went, losers of hedges, a judge:
    the sum of all records is the sum of the budget's movements to the nano-dollar, and the metric's within 1e-9."""
    chance = random.Random(seed)
    estate = build(load(settings(tmp_path), environ={}).config)
    estate.balancer._crew.clients |= {"a": Moody(seed), "b": Moody(seed + 100)}
    told: list[Event] = []
    estate.balancer.observers.append(told.append)
    async with estate.balancer:
        for turn in range(MOST_ASKED // 5):  # a late answer is copied only where the other backend keeps its pace
            if turn >= ASKED // 5 and {event.attempt.outcome.error_code for event in attempts(told)} >= WANTED:
                break
            await asyncio.gather(*(ask(estate, number, chance) for number in range(5)))
        assert estate.balancer.scorer is not None
        await estate.balancer.scorer.drained()
        assert estate.metrics is not None
        text = estate.metrics.render().decode()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as ledger:
        total, number = ledger.execute("SELECT SUM(cost), COUNT(*) FROM attempts").fetchone()
        codes = {code for (code,) in ledger.execute("SELECT DISTINCT error_code FROM attempts")}
        roles = dict(ledger.execute("SELECT role, SUM(cost) FROM attempts GROUP BY role"))
    assert number > ASKED
    assert codes >= WANTED
    assert roles["judge"] > 0
    booked = charged(tmp_path)
    assert booked["all"] == (total, number)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    metric = sum(sample.value for sample in samples if sample.name == "lb_request_cost_total")
    assert metric * NANO == pytest.approx(total, rel=1e-9)

"""The measurements: each runs the product and returns figures; none knows what was hoped for."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.acceptance.estate import PROBE_EVERY, Estate
from equipoise.cli.load_report import summary
from equipoise.cli.loading import Load, Plan
from equipoise.http import Pool

Figures = dict[str, Any]
KILLED = "middle"


async def loaded(estate: Estate, plan: Plan) -> Figures:
    """A load test's figures, the most that were under way at once, and the most connections to backends."""
    under_way = connections = 0

    def look(load: Load) -> None:
        nonlocal under_way, connections
        under_way, connections = max(under_way, load.under_way), max(connections, estate.connections())

    began = time.monotonic()
    taken = await Load(estate.url, plan).run(look)
    found = summary(plan, taken, time.monotonic() - began)
    return {**found, "most_under_way": under_way, "most_connections": connections}


async def probed(estate: Estate, during: Callable[[], Any], seconds: float) -> tuple[Any, float]:
    """What `during` returns, and the share of probes due in that time (the slowest schedule allowed) that were made."""
    before = {name: await estate.probes(name) for name in estate.backends}
    found = await during()
    after = {name: await estate.probes(name) for name in estate.backends}
    due = int(seconds / (PROBE_EVERY * 1.2))
    return found, min(1.0, min(after[name] - before[name] for name in before) / max(1, due))


async def decisions(estate: Estate) -> float:
    """Milliseconds a routing decision took on average, as the gateway itself counted all of them."""
    metrics = await estate.metrics()
    count = metrics["lb_routing_decision_seconds_count"]
    return 1e3 * metrics["lb_routing_decision_seconds_sum"] / count


async def named(estate: Estate, wanted: Sequence[str]) -> list[str]:
    """Which of these metric families are served."""
    metrics = await estate.metrics()
    return [name for name in wanted if any(sample.startswith(name) for sample in metrics)]


async def bought(estate: Estate, strategy: str, questions: int) -> float:
    """Dollars an answer cost on average under a strategy, as the answers' own headers say."""
    pool, nano = Pool(estate.url), 0
    try:
        for number in range(questions):
            body = {
                "model": "auto",
                "messages": [{"role": "user", "content": f"Question {number}: what is a metabolite?"}],
            }
            response = await pool.request(
                "POST",
                "/v1/chat/completions",
                headers=((b"x-equipoise-strategy", strategy.encode()),),
                body=json.dumps(body).encode(),
            )
            await response.read()
            nano += int(response.headers[b"x-equipoise-cost-usd"].replace(b".", b""))
    finally:
        await pool.close()
    return nano / questions / 1e9


async def killed(estate: Estate, plan: Plan, after: float) -> Figures:
    """A load during which one of three backends is killed: its figures, and how long until nobody was sent there."""

    async def kill() -> float:
        await asyncio.sleep(after)
        estate.backends[KILLED].kill()
        began = time.monotonic()
        while (await estate.rows())[KILLED]["why_not"] is None and time.monotonic() - began < 30.0:
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    killing = asyncio.create_task(kill())
    found = await loaded(estate, plan)
    return {**found, "noticed_after_s": await killing, "row": (await estate.rows())[KILLED]}


async def told_and_recorded(estate: Estate) -> tuple[str, int]:
    """What the ledger holds in all, and how many attempts that were."""
    bill = await estate.bill()
    return str(bill["cost_usd"]), int(bill["records"])

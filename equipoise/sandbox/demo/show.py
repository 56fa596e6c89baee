"""The whole demo from the first process to the report."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

from equipoise.sandbox.demo.asking import Heard
from equipoise.sandbox.demo.plot import Plot, Watcher
from equipoise.sandbox.demo.questions import questions
from equipoise.sandbox.demo.report import Report, counted, interesting, rows, told_cost
from equipoise.sandbox.demo.stage import Stage


async def perform(stage: Stage, count: int, seed: int, watcher: Watcher, began: float) -> Report:
    """Play on a running stage and report; `began` is `time.monotonic()` when the user pressed return."""
    watcher.happened(f"gateway ready at {stage.gateway.url} in {time.monotonic() - began:.1f} s")
    plot = Plot(stage, questions(count, seed), watcher)
    await plot.play()
    return await _reported(stage, plot, began)


async def _reported(stage: Stage, plot: Plot, began: float) -> Report:
    summary = await stage.get(stage.gateway.admin_url, "/admin/ledger/summary")
    stories = await _stories(stage, plot.heard)
    attempts = [attempt for story in stories.values() for attempt in story["attempts"]]
    cost, ledger_cost = told_cost(plot.heard), Decimal(summary["cost_usd"])
    return Report(
        **counted(plot.heard),
        killed_backend=plot.killed,
        seconds=round(time.monotonic() - began, 3),
        cost_usd=f"{cost:.9f}",
        ledger_cost_usd=f"{ledger_cost:.9f}",
        ledger_records=int(summary["records"]),
        costs_agree=cost == ledger_cost,
        backends=rows(list(stage.backends), attempts),
        story=stories.get(interesting(plot.heard, plot.killed).request_id, {}),
    )


async def _stories(stage: Stage, heard: list[Heard]) -> dict[str, Any]:
    """Every request's records, by id; a request that no backend was asked for has none."""
    asked = [one.request_id for one in heard if one.request_id and one.attempts]
    found = await asyncio.gather(*(stage.get(stage.gateway.url, f"/v1/requests/{name}") for name in asked))
    return dict(zip(asked, found, strict=True))

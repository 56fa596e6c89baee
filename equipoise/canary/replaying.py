"""The verdict over recorded decisions that a strategy can be made to need before its first percent."""

from __future__ import annotations

import asyncio
import time

from equipoise.canary.candidates import Replay, ReplayVerdict, not_available
from equipoise.config import Config
from equipoise.stores import StoreError
from equipoise.stores.database import Database
from equipoise.stores.decisions import stored_decisions

RECORDED_SECONDS = 7 * 86_400.0


def over(ledger: Database | None) -> Replay:
    """Judge candidates by the decisions of the last seven days in this ledger, beside the event loop."""
    if ledger is None:
        return not_available

    async def judge(candidate: Config) -> ReplayVerdict:
        return await asyncio.to_thread(_verdict, ledger, candidate)

    return judge


def _verdict(ledger: Database, candidate: Config) -> ReplayVerdict:
    from equipoise.simulation.replaying import replayed  # brings numpy, which serving does not need

    now = time.time()
    try:
        decisions, _ = stored_decisions(ledger, now - RECORDED_SECONDS, now)
    except StoreError as error:
        return ReplayVerdict(False, str(error))
    return ReplayVerdict(*replayed("the candidate", candidate, decisions).verdict)

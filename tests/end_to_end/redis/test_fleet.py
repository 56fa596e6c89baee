"""The fleet's bench, smaller: four gateways on one budget, one killed while Redis says nothing."""

from __future__ import annotations

from pathlib import Path

from bench.fleet.__main__ import problems, run
from tests.end_to_end.http.servers import command


async def test_the_cap_holds_and_nobody_fails_but_at_the_killed_one(tmp_path: Path) -> None:
    """Every bill stands in a ledger or was under way; nothing beyond the cap; no question waits for a Redis that is frozen."""
    told = await run(tmp_path, command("redis-server"), 60.0, 5.0, workers=1, doubt=False)
    assert problems(told) == []
    assert told.answers["ok"] > 500
    assert told.answers["budget_exceeded"] > 0

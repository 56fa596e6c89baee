"""The shipped command line on one budget: three gateways, a dozen callers each, and one killed in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.budgets.hammer import problems, run

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("killed", [0, 1])
async def test_the_cap_holds_to_the_nano_dollar(killed: int, tmp_path: Path) -> None:
    """The upstream's own count is the truth: never above the cap, nothing held after the stop, and without a kill the
    ledger, the budget and the upstream agree exactly."""
    told = await run(3, 12, 2_000_000_000, killed, 60.0, tmp_path)
    assert problems(told) == []
    assert told.answers["ok"] > 100
    assert told.answers["budget_exceeded"] > 0

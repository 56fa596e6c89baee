"""A strategy that must be judged by recorded decisions before its first percent."""

from __future__ import annotations

import asyncio
from pathlib import Path

from equipoise.canary.replaying import over
from equipoise.config.load import load
from tests.shell.replay.test_policy_command import config, recorded


async def test_a_strategy_is_judged_by_the_last_seven_days(tmp_path: Path) -> None:
    """A better one passes, a worse one is told apart; an old record and no ledger at all are no support."""
    judge = over(await asyncio.to_thread(recorded, tmp_path, "weighted", 3600.0))
    better = await judge(load(_written(tmp_path, config(a=8.0)), environ={}).config)
    worse = await judge(load(_written(tmp_path, config(c=20.0)), environ={}).config)
    assert (better.ok, better.why[:6]) == (True, "better")
    assert (worse.ok, worse.why[:5]) == (False, "worse")
    (tmp_path / "old").mkdir()
    old = await over(await asyncio.to_thread(recorded, tmp_path / "old", "weighted", 9 * 86_400.0))(
        load(_written(tmp_path, config(a=8.0)), environ={}).config
    )
    assert not old.ok
    assert "no recorded decision" in old.why
    assert not (await over(None)(load(_written(tmp_path, config()), environ={}).config)).ok


def _written(folder: Path, text: str) -> Path:
    (folder / "candidate.yaml").write_text(text)
    return folder / "candidate.yaml"

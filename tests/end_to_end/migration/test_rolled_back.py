"""A bad new side over processes: it goes back by itself, nobody loses an answer, and a killed gateway changes nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from tests.end_to_end.migration.town import Crowd, Town

PATIENCE = 30.0


async def standing(town: Town) -> dict[str, Any]:
    """What `migrate status` says."""
    code, told = await town.command("status")
    assert code == 0, told
    return dict(told)


async def until_back(town: Town) -> dict[str, Any]:
    """When nobody is sent to the new side any more."""
    deadline = time.monotonic() + PATIENCE
    while (found := await standing(town))["percentage"] > 0:
        assert time.monotonic() < deadline, found["measures"]
        await asyncio.sleep(0.2)
    return found


async def to_phase_4(town: Town) -> None:
    """Half of all keys."""
    code, told = await town.command("apply", "--phase", "4", "--force", "--yes", "--who", "ann")
    assert (code, told["outcome"], told["after"]["percentage"]) == (0, "applied", 50.0), told


async def test_a_bad_candidate_in_phase_4_is_rolled_back_by_itself_and_no_request_is_lost(tmp_path: Path) -> None:
    """Under load: the new side begins to fail; every question is answered all the same, and soon by the old side only."""
    town, crowd = Town(tmp_path), None
    await town.begin()
    try:
        await to_phase_4(town)
        crowd = Crowd(town, people=8)
        crowd.begin(f"key-{number % 997}" for number in itertools.count())
        await asyncio.sleep(1.0)
        assert (await standing(town))["percentage"] == 50.0
        await town.spoil(error_rate=0.7)
        found = await until_back(town)
        assert found["phase"] == 1
        newest = found["journal"][0]
        assert (newest["what"], newest["who"]) == ("Roll back to phase 1: 0 % of keys", "equipoise")
        assert "rolled back after" in newest["why"]
        answered = crowd.sides["candidate"]
        await asyncio.sleep(0.5)
        assert crowd.sides["candidate"] == answered > 0
        assert (crowd.failed, crowd.cut) == ([], [])
    finally:
        if crowd is not None:
            await crowd.stop()
        await town.end()


async def test_a_gateway_killed_in_the_middle_of_a_comparison_goes_on_with_it(tmp_path: Path) -> None:
    """After kill -9 phase, share and evidence are there again; what is bad then is rolled back as it would have been."""
    town, crowd = Town(tmp_path), None
    await town.begin()
    try:
        await to_phase_4(town)
        crowd = Crowd(town, people=4)
        crowd.begin(f"key-{number}" for number in range(600))
        await crowd.finished()
        await asyncio.sleep(1.2)
        before = await standing(town)
        await town.kill()
        await town.serve()
        after = await standing(town)
        for name in ("phase", "percentage", "era", "history"):
            assert after[name] == before[name]
        counts = [(row["measure"], row["control_count"], row["candidate_count"]) for row in before["measures"][:2]]
        assert counts == [(r["measure"], r["control_count"], r["candidate_count"]) for r in after["measures"][:2]]
        assert min(count for _, *both in counts for count in both) > 200
        await town.spoil(error_rate=0.7)
        crowd = Crowd(town, people=4)
        crowd.begin(f"key-{number % 997}" for number in itertools.count())
        assert (await until_back(town))["phase"] == 1
        assert crowd.failed == []
    finally:
        if crowd is not None:
            await crowd.stop()
        await town.end()

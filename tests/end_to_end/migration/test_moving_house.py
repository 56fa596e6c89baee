"""The whole move over processes, by command, under load, with the gateway killed in the middle of it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from equipoise.core.rollout import PHASES, candidate_takes
from tests.end_to_end.migration.town import Crowd, Town

KEYS = 6000
STEADY = 8
ADVANCED = [f"Advance to phase {number}: {phase.percentage:g} % of keys" for number, phase in PHASES.items()]


async def split(town: Town) -> float:
    """Percent of many keys that the new side answers; nobody fails."""
    crowd = Crowd(town)
    crowd.begin(f"key-{number}" for number in range(KEYS))
    await crowd.finished()
    assert (crowd.failed, crowd.cut, sum(crowd.sides.values())) == ([], [], KEYS)
    return crowd.sides["candidate"] / KEYS * 100


def meant(percentage: float) -> float:
    """Percent of the same keys that the rule gives to the new side."""
    return sum(candidate_takes(f"session key-{number}", percentage) for number in range(KEYS)) / KEYS * 100


async def advance(town: Town, phase: int) -> None:
    """One phase, by command."""
    code, told = await town.command("apply", "--phase", str(phase), "--yes", "--who", "ann", "--why", f"week {phase}")
    assert (code, told["outcome"]) == (0, "applied"), told


async def test_five_phases_by_command_with_a_killed_gateway_lose_nothing_but_what_was_in_flight(tmp_path: Path) -> None:
    """The old router is moved from under load; each split is within a point of its phase, nobody is ever expelled, a
    kill -9 in phase 3 costs only what was in flight, and state and journal are as if nothing had happened.

    A person may lose two questions: one that was being answered, and one that the kernel still took in for the socket
    of the dying process.
    """
    town, steady = Town(tmp_path), None
    await town.begin()
    try:
        steady = Crowd(town, people=STEADY)
        steady.begin(f"steady-{number % 500}" for number in itertools.count())
        for number, phase in PHASES.items():
            await advance(town, number)
            if number == 3:
                killed = time.monotonic()
                await town.kill()
                await town.serve()
                alive = time.monotonic()
            share = await split(town)
            assert abs(share - phase.percentage) <= 1.0
            assert share == meant(phase.percentage)
        code, told = await town.command("status")
        assert (code, told["phase"], told["percentage"]) == (0, 5, 100.0)
        assert [entry["what"] for entry in reversed(told["journal"])] == ADVANCED
        assert [(entry["who"], entry["why"]) for entry in told["journal"]][-1] == ("ann", "week 1")
        assert [step["phase"] for step in told["history"]] == [1, 2, 3, 4, 5]
        assert steady.failed == []
        assert steady.expelled == set()
        assert all(killed <= cut <= alive for cut in steady.cut)
        assert len(steady.cut) <= 2 * STEADY
    finally:
        if steady is not None:
            await steady.stop()
        await town.end()


async def test_a_rollback_from_the_last_phase_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    """By command from 100 %: whoever asks after it has returned is split as in phase 2, and so it stays."""
    town = Town(tmp_path)
    await town.begin()
    try:
        code, told = await town.command("apply", "--percentage", "100", "--yes")
        assert (code, told["outcome"]) == (0, "applied"), told
        assert await split(town) == 100.0
        code, told = await town.command("rollback", "2", "--yes", "--why", "complaints")
        assert (code, told["after"]["percentage"]) == (0, 10.0)
        assert await split(town) == meant(10.0)
        await town.kill()
        await town.serve()
        assert await split(town) == meant(10.0)
    finally:
        await town.end()

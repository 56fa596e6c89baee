"""A move is watched after every question, in phases 2 to 5: what is worse goes back to phase 1 by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.core.canary import Rules, measures
from equipoise.core.events import CanaryDecided
from equipoise.migration import Order
from tests.fakes import ScriptedClient, answer
from tests.patience import until
from tests.shell.migration.house import BROKEN, House

RULES = Rules(measures=measures())
PATIENT = Rules(measures=measures(), failures_in_a_row=1000)


def house(folder: Path, rules: Rules = RULES, **more: object) -> House:
    """With rules, and a new side that answers until it is told otherwise."""
    return House(folder, rules=rules, rescue=True, **more)  # type: ignore[arg-type]


async def at(moving: House, percentage: float) -> None:
    """Exactly so many percent, whatever the gates say."""
    await moving.migration.apply(Order(percentage=percentage, force=True, who="ann"))


async def back(moving: House) -> None:
    """Nobody is sent to the new side any more, and that was told."""
    await until(lambda: any(isinstance(event, CanaryDecided) for event in moving.events))
    assert moving.migration.state.percentage == 0.0


@pytest.mark.parametrize("percentage", [10.0, 25.0, 50.0, 100.0])
async def test_a_new_side_that_breaks_is_rolled_back_and_nobody_loses_an_answer(
    tmp_path: Path, percentage: float
) -> None:
    """In each phase with traffic; every question is answered by the old side meanwhile."""
    moving = house(tmp_path, new=ScriptedClient(BROKEN))
    async with moving.balancer:
        await at(moving, percentage)
        sides = await moving.ask(200)
        await back(moving)
        assert set(sides) <= {"control", "rescue"}
        assert sides.count("rescue") < 15
        assert (moving.migration.state.phase, moving.migration.state.percentage) == (1, 0.0)
        assert await moving.ask(20) == ["control"] * 20


async def test_a_worse_new_side_is_rolled_back_with_its_evidence(tmp_path: Path) -> None:
    """Every third question fails: not broken, worse. The journal has the sentence, observers the event."""
    moving = house(tmp_path, PATIENT, new=ScriptedClient(*[answer("new"), answer("new"), BROKEN] * 300))
    async with moving.balancer:
        await at(moving, 50.0)
        assert "rescue" in await moving.ask(300)
        await back(moving)
        newest = (await moving.migration.status())["journal"][0]
        assert (newest["what"], newest["who"]) == ("Roll back to phase 1: 0 % of keys", "equipoise")
        assert "% against 0.0 %, e-value " in newest["why"]
        (decided,) = [event for event in moving.events if isinstance(event, CanaryDecided)]
        assert decided.message == newest["why"]


async def test_the_comparison_goes_on_from_phase_to_phase_and_begins_anew_after_a_step_back(tmp_path: Path) -> None:
    """α is spent once over a whole advance, not once a phase."""
    moving = house(tmp_path)
    async with moving.balancer:
        await at(moving, 10.0)
        await moving.ask(100)
        await at(moving, 50.0)
        await moving.ask(100)
        rows = {row["measure"]: row for row in (await moving.migration.status())["measures"]}
        assert rows["errors"]["control_count"] + rows["errors"]["candidate_count"] == 200
        await moving.migration.rollback(2)
        watch = moving.balancer.watch
        assert watch is not None
        await until(lambda: watch.era == moving.migration.state.comparison)
        rows = {row["measure"]: row for row in (await moving.migration.status())["measures"]}
        assert rows["errors"]["control_count"] == 0


async def test_a_restart_in_the_middle_of_a_comparison_changes_nothing(tmp_path: Path) -> None:
    """Phase, share and evidence are there again; the verdict needs no more questions than it would have."""
    first = house(tmp_path, PATIENT, new=ScriptedClient(answer("new")))
    async with first.balancer:
        await at(first, 50.0)
        await first.ask(60)
        before = (await first.migration.status())["measures"][0]
    second = house(tmp_path, PATIENT, new=ScriptedClient(BROKEN))
    async with second.balancer:
        row = (await second.migration.status())["measures"][0]
        assert second.migration.state == first.migration.state
        assert (row["candidate_count"], row["control"]) == (before["candidate_count"], before["control"])
        await second.ask(100)
        await back(second)


async def test_without_rules_nothing_rolls_back_by_itself(tmp_path: Path) -> None:
    """As before: gates hold back, operators roll back."""
    moving = House(tmp_path, new=ScriptedClient(BROKEN), rescue=True)
    async with moving.balancer:
        await at(moving, 50.0)
        await moving.ask(100)
        assert moving.migration.state.percentage == 50.0


async def test_copies_and_validation_are_no_live_traffic(tmp_path: Path) -> None:
    """They are the gates' evidence, not this one's."""
    moving = house(tmp_path)
    async with moving.balancer:
        await moving.to(1)
        await moving.ask(5)
        await moving.migration.validate(2)
        assert {row["candidate_count"] for row in (await moving.migration.status())["measures"]} == {0}

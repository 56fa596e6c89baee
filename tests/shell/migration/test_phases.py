"""Orders: what is looked at before they are carried out, and what is remembered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from equipoise.core.model import Message, Question
from equipoise.migration import Check, Order
from equipoise.stores import StoreError
from equipoise.stores.state import Entry, StateStore
from tests.fakes import ScriptedClient, answer
from tests.shell.migration.house import BROKEN, FILE, House

FIVE = [
    "Advance to phase 1: 0 % of keys",
    "Advance to phase 2: 10 % of keys",
    "Advance to phase 3: 25 % of keys",
    "Advance to phase 4: 50 % of keys",
    "Advance to phase 5: 100 % of keys",
]


def failed_gates(told: dict[str, object]) -> list[tuple[str, str]]:
    return [(gate["name"], gate["result"]) for gate in told["gates"] if gate["holds_back"]]  # type: ignore[attr-defined]


async def test_five_phases_each_after_its_evidence(tmp_path: Path) -> None:
    """With enough good answers in each, all five are applied, and the journal says by whom, why and on what."""
    house = House(tmp_path)
    async with house.balancer:
        for phase in range(1, 6):
            told = await house.to(phase)
            assert told["outcome"] == "applied", told
            await house.ask(200)
        assert await house.journal() == FIVE
        last = (await house.migration.status())["journal"][0]
    assert (last["who"], last["why"]) == ("ann", "because")
    assert {"response_time_ms", "success_rate_percentage"} <= {gate["name"] for gate in last["evidence"]["gates"]}


async def test_the_validation_queries_are_sent_booked_and_judged(tmp_path: Path) -> None:
    """3, 3, 10, 15, 9 of them before phases 1 to 5, to the new side, under a role of their own, within their money."""
    house = House(tmp_path)
    async with house.balancer:
        for phase, count in ((1, 3), (2, 3), (3, 10), (4, 15), (5, 9)):
            house.events.clear()
            told = await house.to(phase)
            assert len(told["validation"]) == count
            assert {(a.role, a.backend_id) for a in house.attempts} == {("validation", "a")}
            assert sum(a.outcome.cost for a in house.attempts) == count * 30_000
            await house.ask(200)
    assert {request.max_cost for request in house.new.asked if request.role == "validation"} == {
        1_000_000_000 // count for count in (3, 10, 15, 9)
    }


async def test_a_new_side_that_fails_gets_no_traffic(tmp_path: Path) -> None:
    """Its validation queries fail, the gate says so, the phase does not begin, the journal has a line."""
    house = House(tmp_path, new=ScriptedClient(BROKEN))
    async with house.balancer:
        told = await house.to(1)
        assert (told["outcome"], house.migration.state.phase) == ("gate_failed", 0)
        assert ("success_rate_percentage", "failed") in failed_gates(told)
        assert "success_rate_percentage is 0, wanted 95" in told["reason"]
        assert (await house.journal())[0].startswith("Halt advancement (gate_failed)")


async def test_traffic_that_was_not_measured_holds_back_before_anything_is_paid(tmp_path: Path) -> None:
    """Phase 3 after no live answer in phase 2: not measured is not passed, and no validation query is sent."""
    house = House(tmp_path)
    async with house.balancer:
        await house.to(1)
        await house.to(2)
        asked = len(house.new.asked)
        told = await house.to(3)
        assert told["outcome"] == "gate_failed"
        assert failed_gates(told) == [("response_time_ms", "not measured"), ("success_rate_percentage", "not measured")]
        assert len(house.new.asked) == asked
        await house.ask(200)
        assert (await house.to(3))["outcome"] == "applied"


async def test_bad_traffic_holds_back(tmp_path: Path) -> None:
    """One live answer in ten fails: 90 % is under 95 %."""
    house = House(tmp_path)
    async with house.balancer:
        await house.to(2, force=True)
        for number in range(20):
            house.new.script = [BROKEN] if number % 10 == 0 else [answer()]
            request, _ = house.balancer.request(Question(messages=[Message("user", "What is it?")]))
            live = replace(request, role="candidate")
            await asyncio.gather(house.balancer.answer(live), return_exceptions=True)
        house.new.script = [answer()]
        told = await house.to(3)
    assert failed_gates(told) == [("success_rate_percentage", "failed")]


async def test_a_failed_check_holds_back_and_spends_nothing(tmp_path: Path) -> None:
    """By force it is passed over, and remembered."""
    house = House(tmp_path, checks=[Check("health endpoint: a", "failed", "connection refused")])
    async with house.balancer:
        told = await house.to(1)
        assert (told["outcome"], told["reason"]) == ("check_failed", "health endpoint: a: connection refused")
        assert house.new.asked == []
        forced = await house.to(1, force=True)
        assert (forced["outcome"], forced["checks"][0]["state"]) == ("applied", "failed")
        assert (await house.journal())[-1] == "Advance to phase 1 by force: 0 % of keys"
        assert house.new.asked == []


async def test_order_and_hold_are_kept(tmp_path: Path) -> None:
    """Refused, with nothing looked at; after its time the phase may begin."""
    house = House(tmp_path, holds={1: 600.0})
    async with house.balancer:
        assert (await house.to(3))["outcome"] == "refused"
        assert (await house.to(1))["outcome"] == "applied"
        assert "held for another 10.0 min" in (await house.to(2))["reason"]
        assert (await house.migration.status())["hold_seconds_left"] == 600.0
        house.clock.now += 600
        assert (await house.to(2))["outcome"] == "applied"


async def test_a_percentage_runs_the_gates_of_every_phase_it_passes(tmp_path: Path) -> None:
    """30 % from nothing: the queries of phases 1 to 3, no hold time, and then exactly 30 % in phase 3."""
    house = House(tmp_path, holds={1: 600.0, 2: 600.0})
    async with house.balancer:
        told = await house.migration.apply(Order(percentage=30))
        assert told["outcome"] == "applied"
        assert [row["phase"] for row in told["validation"]] == [1] * 3 + [2] * 3 + [3] * 10
        assert (house.migration.state.phase, house.migration.state.percentage) == (3, 30.0)
        assert (await house.migration.apply(Order(percentage=30)))["outcome"] == "unchanged"
        lower = await house.migration.apply(Order(percentage=5))
        assert (lower["outcome"], lower["after"]["phase"], lower["gates"]) == ("applied", 1, [])


async def test_a_dry_run_changes_nothing_and_asks_nobody(tmp_path: Path) -> None:
    """It tells the phases, the checks, the gates and what they may cost."""
    house = House(tmp_path)
    async with house.balancer:
        told = await house.to(2, dry_run=True)
        assert (told["outcome"], told["refused"]) == ("planned", "phase 1 comes first (now: 0)")
        assert [check["name"] for check in told["checks"]] == ["everything"]
        assert told["validation_cost_at_most_usd"] == "2.000000000"
        assert (house.new.asked, await house.journal(), house.migration.state.era) == ([], [], 0)


@pytest.mark.parametrize("phase", [0, 1, 2, 3, 4])
async def test_a_rollback_is_possible_from_the_last_phase(phase: int, tmp_path: Path) -> None:
    """To any phase before it, features and all."""
    house = House(tmp_path)
    async with house.balancer:
        await house.to(5, force=True)
        told = await house.migration.rollback(phase, who="ben", why="slow")
        assert told["outcome"] == "rolled_back"
        assert set(await house.ask(50)) <= {"control", "candidate"} if phase > 1 else {"control"}
        assert house.migration.state.phase == phase
        assert (await house.migration.rollback(5))["outcome"] == "refused"
        assert (await house.migration.status())["journal"][1]["who"] == "ben"


async def test_a_rollback_overtakes_an_order_that_is_still_being_examined(tmp_path: Path) -> None:
    """The order is then refused: what it was examined for is no longer so."""
    house = House(tmp_path)
    async with house.balancer:
        await house.to(3, force=True)
        await house.ask(200)
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> list[Check]:
            reached.set()
            await go_on.wait()
            return []

        house.migration._checks = slow
        order = asyncio.create_task(house.to(4))
        await reached.wait()
        assert (await house.migration.rollback(1))["outcome"] == "rolled_back"
        go_on.set()
        told = await order
        assert (told["outcome"], house.migration.state.phase) == ("refused", 1)


async def test_state_and_journal_survive_the_process(tmp_path: Path) -> None:
    """A second house on the same file begins where the first ended; evidence included."""
    first = House(tmp_path)
    async with first.balancer:
        await first.to(3, force=True)
        await first.ask(100)
    second = House(tmp_path)
    async with second.balancer:
        assert (second.migration.state.phase, second.migration.state.percentage) == (3, 25.0)
        assert await second.journal() == ["Advance to phase 3 by force: 25 % of keys"]
        evidence = (await second.migration.status())["evidence"]
        assert evidence["control"]["requests"] + evidence["candidate"]["requests"] == 100


async def test_a_state_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    """Rather than a move that begins anew behind everybody's back."""
    store = StateStore(tmp_path / FILE)
    store.write("migration", {"phase": "three"}, 0, Entry(what="scribbled", who="", why=""))
    store.close()
    with pytest.raises(StoreError, match="cannot be read"):
        House(tmp_path)


async def test_two_that_order_at_once_do_not_both_win(tmp_path: Path) -> None:
    """The later one finds that the state is no longer what it looked at."""
    one, other = House(tmp_path), House(tmp_path)
    async with one.balancer, other.balancer:
        outcomes = await asyncio.gather(one.to(1), other.to(1))
        assert sorted(told["outcome"] for told in outcomes) in (["applied", "refused"], ["applied", "unchanged"])
        assert (await one.refreshed(), await other.refreshed()) == (1, 1)


async def test_a_rollback_takes_effect_while_the_store_is_broken_and_is_written_when_it_is_back(tmp_path: Path) -> None:
    """The disk says no: the split follows at once, and the stored state as soon as it can be written."""
    house = House(tmp_path)
    async with house.balancer:
        await house.to(4, force=True)
        write, house.store.write = house.store.write, _refuse  # type: ignore[method-assign]
        assert (await house.migration.rollback(1))["outcome"] == "rolled_back"
        assert set(await house.ask(50)) == {"control"}
        assert "disk" in house.migration.trouble
        house.store.write = write  # type: ignore[method-assign]
        await house.migration._keeping._pay()
        stored = StateStore(tmp_path / FILE)
        assert stored.read("migration")[1]["phase"] == 1  # type: ignore[index]
        stored.close()


def _refuse(*arguments: object) -> int:
    raise StoreError("disk I/O error")

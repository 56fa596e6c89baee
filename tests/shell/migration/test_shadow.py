"""Copies for the new side: after the user's answer, within bounds, compared."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from equipoise.canary.shadow import Allowance, overlap
from equipoise.core.model import Answer, Message, Question, Request, Usage
from tests.fakes import FakeClock, ScriptedClient, answer
from tests.shell.migration.house import BROKEN, House

DOLLAR = 1_000_000_000


class Slow(ScriptedClient):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(answer("new words"))
        self.go_on = asyncio.Event()

    async def send(self, request: Request, timeout: float) -> Answer:
        found = await super().send(request, timeout)
        if request.role == "shadow":
            await self.go_on.wait()
        return found


async def settled(house: House) -> None:
    """Every copy is over."""
    shadow = house.balancer.shadow
    while shadow is not None and shadow.status()["running"]:
        await asyncio.sleep(0)


async def test_copies_are_made_in_the_first_phase_only_and_compared(tmp_path: Path) -> None:
    """Not before it and not after it; both answers are set side by side, the copy is booked under its own id."""
    house = House(tmp_path, old=ScriptedClient(answer("lactate is an acid")), shadow_share=1.0)
    house.new.script = [answer("lactate is a metabolite")]
    async with house.balancer as balancer:
        await balancer.ask("What is lactate?")
        assert house.new.asked == []
        await house.to(1)
        house.events.clear()
        reply = await balancer.ask("What is lactate?", request_id="r-7")
        await settled(house)
        assert (reply.text, reply.role) == ("lactate is an acid", "control")
        assert [(a.request_id, a.role) for a in house.attempts] == [("r-7", "control"), ("r-7.shadow", "shadow")]
        told = await house.migration.status()
        assert told["comparison"]["compared"] == 1
        assert told["comparison"]["mean"]["overlap"] == 2 / 6
        assert told["evidence"]["shadow"]["answered"] == 1
        await house.to(2)
        await house.ask(50)
        assert house.balancer.shadow.counts.answered == 1  # type: ignore[union-attr]


async def test_a_streamed_answer_is_copied_whole(tmp_path: Path) -> None:
    """After its end, not as a stream; one without words of its own (relayed undecoded) is counted but not compared."""
    house = House(tmp_path, old=ScriptedClient(answer("lactate"), answer("")), shadow_share=1.0)
    async with house.balancer as balancer:
        await house.to(1, force=True)
        for _ in range(2):
            asked = Question(messages=[Message("user", "What is lactate?")], stream=True)
            stream = await balancer.open(balancer.request(asked)[0])
            assert house.balancer.shadow.status()["running"] == 0  # type: ignore[union-attr]
            assert [piece async for piece in stream] == ["a ", "b"]
            await settled(house)
        assert [request.question.stream for request in house.new.asked] == [False, False]
        told = await house.migration.status()
        assert (told["comparison"]["compared"], told["evidence"]["shadow"]["answered"]) == (1, 2)


async def test_nobody_waits_for_a_copy(tmp_path: Path) -> None:
    """The user has his answer while the copy still runs; those that find no room are dropped and counted."""
    new = Slow()
    house = House(tmp_path, new=new, shadow_share=1.0, shadow_parallel=2, shadow_queue=1)
    async with house.balancer as balancer:
        await house.to(1, force=True)
        for _ in range(5):
            assert (await balancer.ask("What is it?")).role == "control"
        await asyncio.sleep(0)
        status = balancer.shadow.status()  # type: ignore[union-attr]
        assert (status["running"], status["waiting"], status["dropped_busy"]) == (2, 1, 2)
        new.go_on.set()
        await settled(house)
        assert balancer.shadow.counts.answered == 3  # type: ignore[union-attr]


async def test_copies_end_with_the_money_of_the_hour(tmp_path: Path) -> None:
    """A dollar an hour, one copy at a time, a third of a dollar each: what does not fit is dropped and no evidence
    against anybody; when the hour is over, there are copies again."""
    dear = answer(usage=Usage(input_tokens=10, output_tokens=333_323))
    house = House(tmp_path, new=ScriptedClient(dear), shadow_share=1.0, shadow_parallel=1, shadow_per_hour=DOLLAR)
    async with house.balancer as balancer:
        await house.to(1, force=True)
        for _ in range(10):
            await balancer.ask("What is it?")
            await settled(house)
        shadow = balancer.shadow
        assert shadow is not None
        spent = sum(a.outcome.cost for a in house.attempts if a.role == "shadow")
        before = shadow.counts.answered
        assert (before, spent) == (3, 3 * 333_333_000)
        assert len(house.new.asked) == before
        assert shadow.counts.dropped_cost == 7
        assert (await house.migration.status())["evidence"]["shadow"]["requests"] == before
        house.clock.now += 3601
        await balancer.ask("What is it?")
        await settled(house)
        assert shadow.counts.answered == before + 1


async def test_a_copy_that_fails_is_evidence_and_nothing_else(tmp_path: Path) -> None:
    """The user never hears of it; the gate does."""
    house = House(tmp_path, new=ScriptedClient(BROKEN), shadow_share=1.0)
    async with house.balancer as balancer:
        await house.to(1, force=True)
        for _ in range(4):
            assert (await balancer.ask("What is it?")).text == "the old words"
            await settled(house)
        told = await house.migration.status()
        assert (told["evidence"]["shadow"]["requests"], told["evidence"]["shadow"]["answered"]) == (4, 0)
        assert "success_rate_percentage" in [gate["name"] for gate in told["gates"] if gate["result"] == "failed"]


async def test_what_may_act_is_never_copied(tmp_path: Path) -> None:
    """A question with tools could do something twice."""
    house = House(tmp_path, shadow_share=1.0)
    async with house.balancer as balancer:
        await house.to(1, force=True)
        asked = Question(messages=[Message("user", "Send it.")], tools=[{"type": "function"}])
        await balancer.answer(balancer.request(asked)[0])
        assert house.new.asked == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.floats(0, 2000)), max_size=60))
def test_promises_and_bills_of_an_hour_never_exceed_it(steps: list[tuple[int, int, float]]) -> None:
    """Whatever is taken and settled in whatever order, as long as no bill exceeds its part."""
    clock, running = FakeClock(), list[int]()
    allowance = Allowance(1000, 4, clock)
    for kind, amount, seconds in steps:
        clock.now += seconds
        if kind < 2 and len(running) < 4:
            if part := allowance.take():
                running.append(part)
        elif running:
            part = running.pop(0)
            allowance.settle(part, min(part, amount))
        assert allowance.spent + sum(running) <= 1000


@given(st.text(), st.text())
def test_overlap_is_a_share_and_symmetric(one: str, other: str) -> None:
    """1 for the same words in any order, 0 for none shared."""
    assert 0.0 <= overlap(one, other) == overlap(other, one) <= 1.0
    assert overlap(one, one) == 1.0


def test_overlap_of_known_texts() -> None:
    """Two of six words; none."""
    assert overlap("Lactate is an acid", "lactate is a metabolite") == 2 / 6
    assert overlap("yes", "no") == 0.0

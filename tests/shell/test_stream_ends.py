"""Who has all but the end of a stream goes after who waits for a first word, and loses nothing by it."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.backends.base import TextDelta
from equipoise.core.model import Verdict
from equipoise.stream import OneByOne
from tests.fakes import ScriptedClient, answer, attempts_of, balancer, request


async def test_ends_that_come_together_leave_a_turn_between_them() -> None:
    """Of twelve no two are in the same turn of the loop, and they keep their order."""
    ends, turn, seen = OneByOne(), 0, list[tuple[int, int]]()

    async def end(number: int) -> None:
        await ends.turn()
        seen.append((number, turn))

    tasks = [asyncio.create_task(end(number)) for number in range(12)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        turn += 1
    assert [number for number, _ in seen] == list(range(12))
    assert len({turn for _, turn in seen}) == 12
    assert turn < 20


async def test_a_crowd_does_not_queue() -> None:
    """Six hundred that are done at once are through within a few turns, however many come meanwhile."""
    ends = OneByOne()
    tasks = [asyncio.create_task(ends.turn()) for _ in range(600)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert all(task.done() for task in tasks)


async def test_who_is_cancelled_while_waiting_holds_nobody_up() -> None:
    """The others have their turns, and so does who comes later."""
    ends = OneByOne()
    tasks = [asyncio.create_task(ends.turn()) for _ in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    async with asyncio.timeout(5.0):
        done = await asyncio.gather(*tasks, return_exceptions=True)
        await ends.turn()
    assert [type(each) for each in done] == [asyncio.CancelledError, type(None), asyncio.CancelledError, type(None)]


async def test_a_stream_given_up_while_its_end_waits_is_billed_as_what_it_was() -> None:
    """A whole answer with its true cost, once: the upstream had sent all of it."""
    it, events = balancer({"a": ScriptedClient(answer(), pieces=("all",))})
    items = (await it.open(request())).items()
    assert isinstance(await anext(items), TextDelta)
    last = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    assert attempts_of(events) == []  # its turn has not come
    last.cancel()
    with pytest.raises(asyncio.CancelledError):
        await last
    await items.aclose()  # type: ignore[attr-defined]
    (attempt,) = attempts_of(events)
    assert (attempt.outcome.verdict, attempt.outcome.cost) == (Verdict.SUCCESS, 30_000)
    assert it.selection.backends["a"].load.in_flight == it.in_flight == 0


async def test_a_question_comes_before_the_ends_of_others() -> None:
    """Of twenty streams that end in one turn and a question asked in the next, the question is sent before most bills."""
    it, events = balancer({"a": ScriptedClient(answer(), pieces=("all",))})
    streams = [(await it.open(request())).items() for _ in range(20)]
    for items in streams:
        await anext(items)
    ends = [asyncio.ensure_future(anext(items)) for items in streams]
    await asyncio.sleep(0)
    asked = asyncio.ensure_future(it.open(request()))
    stream = await asked
    assert len(attempts_of(events)) < 5
    await stream.aclose()
    await asyncio.gather(*ends)
    assert len(attempts_of(events)) == 21

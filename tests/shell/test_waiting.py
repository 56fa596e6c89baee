"""The queue before the backends: short, fair, and never for nothing."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.balancer import LoadBalancer, Unanswered
from equipoise.core.model import Answer, Request, Urgency
from equipoise.waiting import WaitingOptions
from tests.fakes import FakeClock, ScriptedClient, answer, balancer, request


class Held(ScriptedClient):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(answer())
        self.gates: list[asyncio.Event] = []

    async def send(self, request: Request, timeout: float) -> Answer:
        self.gates.append(asyncio.Event())
        self.asked.append(request)
        await self.gates[len(self.asked) - 1].wait()
        return answer()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def one_place(**options: float) -> tuple[LoadBalancer, Held, FakeClock]:
    client, clock = Held(), FakeClock()
    it, _ = balancer({"a": client}, clock=clock, options={"a": {"max_concurrent": 1}})
    it.room.options = WaitingOptions(**options)  # type: ignore[arg-type]
    return it, client, clock


async def ask_all(it: LoadBalancer, *requests: Request) -> list[asyncio.Task[object]]:
    tasks = [asyncio.create_task(it.answer(one)) for one in requests]
    await settled()
    return tasks  # type: ignore[return-value]


async def let_all_go(client: Held, count: int) -> list[str]:
    """Open the gates one after the other; returns the ids in the order of asking."""
    for turn in range(count):
        client.gates[turn].set()
        await settled()
    return [asked.id for asked in client.asked]


async def test_who_finds_all_places_taken_waits_for_one() -> None:
    """In the order they came; and nobody is left in the room."""
    it, client, _ = one_place()
    tasks = await ask_all(it, *(request(id=str(n)) for n in range(4)))
    assert it.status()["waiting"] == 3
    assert await let_all_go(client, 4) == ["0", "1", "2", "3"]
    await asyncio.gather(*tasks)
    assert it.room.waiting == 0


async def test_tenants_take_turns() -> None:
    """Three questions of one tenant do not keep another one waiting for all three."""
    it, client, _ = one_place()
    loud = [request(id=f"loud{n}", tenant="loud") for n in range(4)]
    tasks = await ask_all(it, *loud, request(id="quiet", tenant="quiet"))
    assert await let_all_go(client, 5) == ["loud0", "loud1", "quiet", "loud2", "loud3"]
    await asyncio.gather(*tasks)


async def test_interactive_questions_go_first_and_take_the_place_of_a_batch() -> None:
    """With two places to wait in, the batch that came last is turned away: 503, and when to come again."""
    it, client, _ = one_place(places=2)
    batch = [request(id=f"batch{n}", urgency=Urgency.BATCH) for n in range(3)]
    tasks = await ask_all(it, *batch, request(id="now"))
    with pytest.raises(Unanswered) as caught:
        await tasks[2]
    assert (caught.value.code, caught.value.status) == ("overloaded", 503)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1.0
    assert await let_all_go(client, 3) == ["batch0", "now", "batch1"]
    await asyncio.gather(tasks[0], tasks[1], tasks[3])


async def test_a_copy_for_a_shadow_does_not_wait() -> None:
    """Nobody is waiting for it either."""
    it, client, _ = one_place()
    tasks = await ask_all(it, request(), request(urgency=Urgency.SHADOW))
    with pytest.raises(Unanswered, match="no room"):
        await tasks[1]
    await let_all_go(client, 1)
    await tasks[0]


async def test_patience_ends() -> None:
    """After its longest wait a question is turned away, and its place with it."""
    it, client, _ = one_place(seconds=0.02)
    tasks = await ask_all(it, request(), request())
    with pytest.raises(Unanswered, match="no room"):
        await tasks[1]
    assert (it.room.waiting, it.room.turned_away) == (0, 1)
    await let_all_go(client, 1)
    await tasks[0]


async def test_who_cannot_be_answered_in_time_is_turned_away_at_once() -> None:
    """Each place took ten seconds to come free: with three left there is no point in waiting."""
    it, client, clock = one_place(seconds=60.0)
    tasks = await ask_all(it, *(request(id=str(n)) for n in range(3)))
    for turn in range(2):
        clock.now += 10.0
        client.gates[turn].set()
        await settled()
    late = await ask_all(it, request(), request(deadline=clock.now + 3.0))
    with pytest.raises(Unanswered, match="no room"):
        await late[1]
    late[0].cancel()
    await let_all_go(client, 3)
    await asyncio.gather(*tasks, *late, return_exceptions=True)


async def test_whoever_leaves_as_the_place_is_handed_over_gives_it_on() -> None:
    """Cancelled in the very moment: the next one is served."""
    it, client, _ = one_place()
    first, second, third = await ask_all(it, *(request(id=str(n)) for n in range(3)))
    client.gates[0].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.cancel()
    await settled()
    for gate in client.gates:
        gate.set()
    await settled()
    for gate in client.gates:
        gate.set()
    await asyncio.gather(first, third)
    assert it.selection.backends["a"].load.in_flight == 0
    assert it.room.waiting == 0


async def test_without_places_nobody_waits() -> None:
    """`places: 0` turns away at once."""
    it, client, _ = one_place(places=0)
    tasks = await ask_all(it, request(), request())
    with pytest.raises(Unanswered, match="at its limit of 1"):
        await tasks[1]
    await let_all_go(client, 1)
    await tasks[0]

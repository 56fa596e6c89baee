"""Shares of limits leased from a store: they add up to no more than the limit, and what is free goes to whom it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.core.gcra import Rate
from equipoise.stores.database import StoreError
from equipoise.stores.leasing import LEASE_SECONDS
from equipoise.stores.sqlite_leases import SqliteLeases
from equipoise.workers.exchange import Wish
from equipoise.workers.leased import MINUTE, LeasedShares
from tests.fakes import FakeClock

NAME, WHOLE = "a: 10 requests", 10


class Fleet:
    """Gateways with one rate each, on one store; a word to the others reaches them at once."""

    def __init__(self, folder: Path, count: int, **of: bool) -> None:
        self.clock, self.store = FakeClock(), SqliteLeases(folder / "limits.sqlite3")
        self.broken = False
        self.rates = [Rate(WHOLE) for _ in range(count)]
        self.shares = [
            LeasedShares(self, f"g{number}", self.clock, self._asker(number), seconds=5.0, **of)  # type: ignore[arg-type]
            for number in range(count)
        ]
        self.dead: set[int] = set()
        for each, rate in zip(self.shares, self.rates, strict=True):
            each.attach(NAME, WHOLE, rate)

    def __getattr__(self, name: str) -> object:
        if self.broken:
            raise StoreError("gone")
        return getattr(self.store, name)

    def _asker(self, number: int):  # type: ignore[no-untyped-def]
        async def ask(lacks: Mapping[str, int]) -> None:
            for other, each in enumerate(self.shares):
                if other != number and other not in self.dead:
                    each.wanted(lacks)
                    await each.turn()

        return ask

    async def turns(self) -> None:
        for each in self.shares:
            await each.turn()

    def taken(self, number: int) -> bool:
        return self.rates[number].take(1, self.clock.monotonic()) == 0.0

    async def asked(self, number: int) -> bool:
        """A question: by what is held, else after asking the others."""
        if self.taken(number):
            return True
        await self.shares[number].more([Wish(NAME, WHOLE, 1)])
        return self.taken(number)


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path, 3)
    await fleet.turns()
    yield fleet
    fleet.store.close()


async def test_ten_a_minute_are_ten_over_all_and_all_of_them_can_be_had_by_one(three: Fleet) -> None:
    """Nobody is given an eleventh, and the others' free shares reach whoever asks."""
    assert [await three.asked(1) for _ in range(12)] == [True] * 10 + [False] * 2
    assert not await three.asked(0)
    three.clock.now += MINUTE
    assert [await three.asked(2) for _ in range(12)] == [True] * 10 + [False] * 2


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.0, 0.0, 3.0, 20.0])), min_size=5, max_size=60))
def test_whoever_asks_whenever_no_minute_has_more_than_the_limit_lets_through(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[int, float]]
) -> None:
    """A minute's worth may come at once and then one each six seconds: never more than that, over all of them."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), 3)
    answered: list[float] = []

    async def play() -> None:
        await fleet.turns()
        for number, pause in story:
            fleet.clock.now += pause
            if pause:
                await fleet.turns()
            if await fleet.asked(number):
                answered.append(fleet.clock.now)
            assert sum(rate.share for rate in fleet.rates) <= WHOLE

    asyncio.run(play())
    fleet.store.close()
    for first, at in enumerate(answered):
        for last in range(first, len(answered)):
            assert last - first + 1 <= WHOLE + (answered[last] - at) * WHOLE / MINUTE + 1e-6


async def test_what_one_held_that_died_is_used_for_a_minute(three: Fleet) -> None:
    """Then others have it."""
    three.dead.add(0)
    held = three.rates[0].share
    assert held > 0
    seen = [await three.asked(1) for _ in range(12)]
    assert sum(seen) == WHOLE - held
    three.clock.now += LEASE_SECONDS + MINUTE + 1.0
    seen = [await three.asked(1) for _ in range(12)]
    assert sum(seen) == WHOLE


async def test_without_the_store_each_goes_on_with_what_it_holds(three: Fleet) -> None:
    """And no more; nobody else can have it either."""
    shares = [rate.share for rate in three.rates]
    three.broken = True
    await three.turns()
    assert sum([await three.asked(0) for _ in range(12)]) == shares[0]
    assert [rate.share for rate in three.rates] == shares


async def test_fail_closed_holds_nothing_without_the_store(tmp_path: Path) -> None:
    """Until it answers again: then the shares are what they were."""
    fleet = Fleet(tmp_path, 2, fail_closed=True)
    await fleet.turns()
    shares = [rate.share for rate in fleet.rates]
    fleet.broken = True
    await fleet.turns()
    assert [rate.share for rate in fleet.rates] == [0, 0]
    fleet.broken = False
    await fleet.turns()
    assert [rate.share for rate in fleet.rates] == shares
    fleet.store.close()


async def test_one_that_leaves_gives_back_what_was_free(three: Fleet) -> None:
    """What it used within the last minute stays used."""
    assert await three.asked(0)
    await three.shares[0].leave()
    three.dead.add(0)
    assert sum([await three.asked(1) for _ in range(12)]) == WHOLE - 1


async def test_an_answer_that_was_lost_is_asked_for_again(three: Fleet) -> None:
    """The same turn: what was given is not given twice, and nothing is forgotten."""
    real, lost = three.store.renew, [True]

    def renew(*asked: object, **how: object) -> object:
        found = real(*asked, **how)  # type: ignore[arg-type]
        if lost.pop() if lost else False:
            raise StoreError("the answer was lost")
        return found

    three.store.renew = renew  # type: ignore[method-assign, assignment]
    await three.shares[2].more([Wish(NAME, WHOLE, 5)])
    assert sum(rate.share for rate in three.rates) <= WHOLE
    await three.turns()
    assert sum(rate.share for rate in three.rates) <= WHOLE
    assert sum([await three.asked(2) for _ in range(12)]) == WHOLE

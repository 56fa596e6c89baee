"""Headroom in a real Redis: what the SQLite store promises, promised here by the same tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from equipoise.core.account import BudgetOptions
from equipoise.core.budget import Budgets
from equipoise.core.slices import slice_of
from equipoise.core.window import Window
from equipoise.stores.database import StoreGone
from equipoise.stores.leases import LeaseStore
from equipoise.stores.leasing import LEASE_SECONDS, Leasing
from equipoise.stores.redis_leases import MOST, RedisLeases
from equipoise.stores.redis_link import LinkOptions, RedisLink
from equipoise.stores.remains import Remains, give_back
from tests.end_to_end.redis.servers import RedisServer
from tests.fakes import FakeClock
from tests.shell.stores import test_budgets as promises
from tests.shell.stores.test_budgets import Gateways, ask

FLEETS = count()
KEEP = 3600.0
PROMISES = (
    promises.test_a_turn_whose_answer_was_lost_books_nothing_twice,
    promises.test_slices_shrink_as_the_limit_comes_near,
    promises.test_what_the_dead_held_counts_until_its_window_is_over,
    promises.test_an_operators_limit_holds_until_the_configured_one_changes,
    promises.test_an_alert_is_told_by_one_gateway_once_a_window,
    promises.test_a_budget_that_is_reset_begins_anew,
)


def leases(server: RedisServer, keep: float = 0.0, **of: Any) -> RedisLeases:
    """A store of its own on this server, by the caller's clock."""
    return RedisLeases(linked(server), keep, **{"skew": lambda: 0.0, **of})


def linked(server: RedisServer) -> RedisLink:
    return RedisLink(LinkOptions(url=server.url, prefix=f"fleet-{next(FLEETS)}", seconds=5.0))


@pytest.fixture
def store(one_redis: RedisServer) -> Iterator[RedisLeases]:
    found = leases(one_redis)
    yield found
    asyncio.run(found._link.close())


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_what_the_file_promises(promise: Callable[[LeaseStore], None], store: RedisLeases) -> None:
    """Each promise of the SQLite store, by its own test."""
    promise(store)


@pytest.mark.parametrize("keep", [0.0, KEEP])
def test_any_story_of_gateways(keep: float, one_redis: RedisServer) -> None:
    """The state machine of budgets on this store; with `keep`, gateways go on spending what they hold when their leases
    are long over, and still nobody spends more than there is."""

    class OverHosts(Gateways):
        def opened(self) -> LeaseStore:
            return leases(one_redis, keep)

        def teardown(self) -> None:
            asyncio.run(self.store._link.close())  # type: ignore[attr-defined]
            super().teardown()

    OverHosts.keep = keep
    machine: Any = OverHosts.TestCase
    machine.settings = settings(
        max_examples=15,
        stateful_step_count=25,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    machine().runTest()


def test_slices_are_cut_as_in_the_file(store: RedisLeases) -> None:
    """The script's arithmetic is that of `slice_of`, up to the largest limit that can be kept."""
    for number, (limit, need, want) in enumerate(
        [
            (1000, 0, 10_000),
            (1000, 900, 10),
            (1000, 1001, 5000),
            (7, 0, 100),
            (0, 1, 1),
            (MOST, MOST - 1, 0),
            (MOST, 0, MOST),
        ]
    ):
        account = f"account-{number}"
        granted = store.renew("a", number + 1, [ask(account=account, limit=limit, need=need, want=want)], 200.0, 10.0)[
            0
        ]
        assert granted.held == slice_of(limit, need, want, 1)
        assert granted.limit == limit


def test_hosts_need_not_agree_on_the_time(one_redis: RedisServer) -> None:
    """A host whose clock is an hour behind is as alive as the others: leases go by Redis' clock."""
    link, behind = linked(one_redis), 3600.0
    there, here = RedisLeases(link, skew=lambda: behind), RedisLeases(link, skew=lambda: 0.0)
    there.renew("behind", 1, [ask(need=600)], 10_000.0 - behind, 10.0)
    assert here.renew("here", 1, [ask()], 10_005.0, 10.0)[0].others == 600
    assert there.holdings("behind") == (10_010.0 - behind, ["day"])
    assert here.renew("here", 2, [ask()], 10_011.0, 10.0)[0].unknown == 600
    asyncio.run(link.close())


def test_what_a_killed_gateway_had_free_is_given_back(tmp_path: Path, store: RedisLeases) -> None:
    """As on one machine: by the next gateway of the same state_dir."""
    store.renew("a", 1, [ask(need=600), ask(account="day[tenant=t]", need=50)], 200.0, 10.0)
    it = Remains(tmp_path, "a")
    it.place("day")[0] = 350
    it.abandon()
    assert give_back(tmp_path, store, 205.0) == 0
    assert give_back(tmp_path, store, 300.0) == 350
    assert store.renew("b", 1, [ask()], 300.0, 10.0)[0].unknown == 250


def test_a_gateway_that_leaves_is_forgotten(store: RedisLeases) -> None:
    """Nothing of it stays in Redis but what it spent; one that has promises open is remembered."""
    store.renew("a", 1, [ask(need=600)], 200.0, 10.0)
    store.leave("a", 2, [ask(spent=((150, 100, 1),), used=100, back=500)], 201.0)
    assert store.holdings("a") == (0.0, [])
    store.renew("b", 1, [ask(need=600)], 200.0, 10.0)
    store.leave("b", 2, [ask(back=500)], 201.0)
    assert store.holdings("b") == (201.0, ["day"])


def test_the_shape_of_a_day_is_read_back(store: RedisLeases) -> None:
    """Periods in order, with what was spent and how often."""
    store.renew("a", 1, [ask(spent=((20, 7, 2), (10, 5, 1), (30, 1, 1)))], 200.0, 10.0)
    assert store.periods("day", 10, 30) == [(10, 5, 1), (20, 7, 2)]


async def test_without_redis_a_gateway_spends_what_it_holds_and_no_more(own_redis: RedisServer) -> None:
    """The slice stays good beyond its lease, nobody is told to wait for more, and when Redis is back all is booked."""
    clock = FakeClock(time.time() - 1_790_000_000.0)
    link = RedisLink(LinkOptions(url=own_redis.url, seconds=0.2))
    budgets = Budgets([BudgetOptions(name="day", limit=1000)], {"day": Window()})
    budgets.known_scopes(backends=(), tenants=(), keys=())
    leasing = Leasing(lambda: budgets, lambda: RedisLeases(link, KEEP), "a", clock=clock, keep_seconds=KEEP)
    account = budgets.accounts["day"]
    account.needed = 600
    await leasing.turn()
    first = budgets.hold((account,), (400, 1, 0), clock.wall() + 2 * KEEP)
    own_redis.freeze()
    clock.now += LEASE_SECONDS * 10
    await leasing.turn()
    assert budgets.cut_off
    assert not budgets.lapsed(clock.wall(), clock.monotonic())
    assert account.free == 200
    refusal = budgets._refusal(account, 300, clock.wall())
    assert not refusal.short
    assert "its store does not answer" in refusal.why
    budgets.settle(first, (350, 1, 0), clock.wall())
    clock.now += KEEP
    assert budgets.lapsed(clock.wall(), clock.monotonic())
    own_redis.thaw()
    await link.start()
    for _ in range(2):  # the turn that was not answered comes again first
        await leasing.turn()
    assert not budgets.cut_off
    assert account.standing is not None
    assert (account.standing.spent, account.free) == (350, account.standing.held)
    await leasing.close()
    await link.close()


async def test_fail_closed_promises_nothing_without_redis(own_redis: RedisServer) -> None:
    """From the first turn that is not answered until the next one that is."""
    link = RedisLink(LinkOptions(url=own_redis.url, seconds=0.2))
    budgets = Budgets([BudgetOptions(name="day", limit=1000)], {"day": Window()})
    budgets.known_scopes(backends=(), tenants=(), keys=())
    clock = FakeClock()
    leasing = Leasing(lambda: budgets, lambda: RedisLeases(link), "a", clock=clock, fail_closed=True)
    await leasing.turn()
    assert not budgets.lapsed(clock.wall(), clock.monotonic())
    own_redis.freeze()
    await leasing.turn()
    assert budgets.lapsed(clock.wall(), clock.monotonic())
    own_redis.thaw()
    await link.start()
    await leasing.turn()
    assert not budgets.lapsed(clock.wall(), clock.monotonic())
    await leasing.close()
    await link.close()


def test_a_redis_that_is_gone_is_told_apart_from_one_that_refuses(own_redis: RedisServer) -> None:
    """The first is not worth waiting for."""
    store = leases(own_redis)
    own_redis.stop()
    with pytest.raises(StoreGone):
        store.renew("a", 1, [ask()], 200.0, 10.0)

"""Budgets over several gateways and their deaths: a state machine on the real store, and what the store promises alone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from equipoise.core.account import BudgetOptions, Unit
from equipoise.core.backend import Backend
from equipoise.core.budget import Budgets, Reservation
from equipoise.core.model import Request
from equipoise.core.purse import Purse
from equipoise.core.slices import Ask, Grant
from equipoise.core.window import Window
from equipoise.stores.leases import LeaseStore
from equipoise.stores.leasing import Leasing
from equipoise.stores.remains import Remains
from equipoise.stores.sqlite import StoreError
from equipoise.stores.sqlite_leases import SqliteLeases
from tests.fakes import request

DAY = 86_400.0
START = 1_790_000_000.0 // DAY * DAY - 1_000.0
"""Soon before midnight: so that some of it happens in one day and some in the next."""
LIMIT, HOURLY, CALLS = 10_000, 4_000, 60
LONGEST = 700.0
NAMES = ("day", "hour", "calls")
ASKED = request()
NAMED = count()


def calendar(wall: float) -> tuple[float, float]:
    began = wall // DAY * DAY
    return began, began + DAY


def fresh() -> Budgets:
    """What one process starts with: nothing held."""
    options = [
        BudgetOptions(name="day", limit=LIMIT),
        BudgetOptions(name="hour", limit=HOURLY),
        BudgetOptions(name="calls", limit=CALLS, unit=Unit.REQUESTS),
    ]
    windows = {"day": Window(bounds=calendar), "hour": Window(length=3600.0), "calls": Window()}
    found = Budgets(options, windows)
    found.known_scopes(backends=(), tenants=(), keys=())
    found.longest = LONGEST
    return found


SECONDS = st.sampled_from([0.1, 0.1, 5.0, 20.0, 330.0, 700.0, 4_000.0, 50_000.0])
COSTS = st.lists(st.integers(0, 3_000), min_size=1, max_size=4)


class Priced:
    """A backend as budgets see it: what a question may cost there at most."""

    id = "a"

    def __init__(self, cost: int) -> None:
        self.cost = cost

    def worst_case(self, request: Request) -> tuple[int, int]:
        return self.cost, 0


class Shared:
    """The one store, as a gateway reaches it: its answer may be lost after everything was written."""

    def __init__(self, store: LeaseStore) -> None:
        self.store, self.lost = store, False

    def renew(self, *asked: Any, **how: Any) -> list[Grant]:
        grants = self.store.renew(*asked, **how)
        if self.lost:
            raise StoreError("the answer was lost")
        return grants

    def close(self) -> None:
        """Others use it as well."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class Gateway:
    """The budgets of one process, who takes their turns, and its questions under way."""

    def __init__(self, machine: Gateways) -> None:
        self.budgets, self.shared, self.open = fresh(), Shared(machine.store), list[Reservation]()
        self.leasing = Leasing(
            lambda: self.budgets,
            lambda: self.shared,  # type: ignore[arg-type, return-value]
            f"gateway-{next(NAMED)}",
            clock=machine,
            folder=machine.folder,
            keep_seconds=machine.keep,
        )


class Gateways(RuleBasedStateMachine):
    """Three gateways reserve, settle, cancel, renew, lose answers, stand still, die and return, while time passes.

    Budgets, turns, store and what outlives a process are the product's; only questions, bills and time are played.
    """

    keep = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.store = self.opened()
        self.now = START
        self.gateways = [Gateway(self) for _ in range(3)]
        self.bills: list[tuple[float, int]] = []
        self.dead: list[tuple[float, int]] = []
        self.calls = 0

    def opened(self) -> LeaseStore:
        """The store under test."""
        return SqliteLeases(self.folder / "budgets.sqlite3")

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - START

    @initialize()
    def first_turns(self) -> None:
        for which in range(3):
            self.renew(which, False)

    @rule(which=st.integers(0, 2), costs=COSTS, lost=st.booleans())
    def reserve(self, which: int, costs: list[int], lost: bool) -> None:
        """Whoever finds too little asks for it and tries once more."""
        for cost in costs:
            if not self._reserved(which, cost):
                self.renew(which, lost)
                self._reserved(which, cost)

    def _reserved(self, which: int, cost: int) -> bool:
        gateway = self.gateways[which]
        backend, budgets = cast(Backend, Priced(cost)), gateway.budgets
        purse = Purse(budgets, ASKED, self.now, self.monotonic())
        if purse.why_not(backend) is not None:
            return False
        gateway.open.append(budgets.reserve(backend, ASKED, self.now, self.now + LONGEST))
        return True

    @precondition(lambda self: any(gateway.open for gateway in self.gateways))
    @rule(which=st.integers(0, 2), part=st.floats(0, 1), at=st.integers(0, 99))
    def settle(self, which: int, part: float, at: int) -> None:
        """A bill of no more than what was reserved; a part of nothing is a cancelled one. Upstreams bill by the end of a
        question's time, whenever the gateway hears of it."""
        gateway = self.gateways[which]
        if not gateway.open:
            return
        reservation = gateway.open.pop(at % len(gateway.open))
        cost = int(reservation.needs[0] * part)
        self.calls += 1
        gateway.budgets.settle(reservation, (cost, 1 if cost else 0, 0), self.now)
        self.bills.append((min(self.now, reservation.expires), cost))

    @rule(which=st.integers(0, 2), lost=st.booleans())
    def renew(self, which: int, lost: bool) -> None:
        """A turn at the store; when its answer is lost, the same turn comes again next time."""
        gateway = self.gateways[which]
        self.calls += gateway.budgets.expire(self.now)
        gateway.shared.lost = lost
        self.loop.run_until_complete(gateway.leasing.turn())
        assert (gateway.leasing.error is not None) is lost

    @rule(which=st.integers(0, 2))
    def die(self, which: int) -> None:
        """kill -9: what was in memory is gone, but for what outlives it; upstreams bill for it, some of it minutes later."""
        gateway = self.gateways[which]
        for reservation in gateway.open:
            self.dead.append((min(self.now + 400.0, reservation.expires), reservation.needs[0]))
        if gateway.budgets.places is not None:
            cast(Remains, gateway.budgets.places).abandon()
        self.gateways[which] = Gateway(self)

    @rule(which=st.integers(0, 2))
    def leave(self, which: int) -> None:
        """A clean stop, its questions ended; a new gateway takes its place."""
        gateway = self.gateways[which]
        while gateway.open:
            gateway.budgets.settle(gateway.open.pop(), (0, 0, 0), self.now)
        self.renew(which, False)
        self.loop.run_until_complete(gateway.leasing.close())
        assert sum(self._held(gateway.budgets.holder, name) for name in NAMES) == 0
        self.gateways[which] = Gateway(self)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Time passes: leases lapse, reservations expire, windows end."""
        self.now += seconds

    @rule(which=st.integers(0, 2), costs=COSTS, seconds=SECONDS, killed=st.booleans(), others=COSTS)
    def fail_in_use(self, which: int, costs: list[int], seconds: float, killed: bool, others: list[int]) -> None:
        """One dies or stands still with questions under way, and after a while another wants what it had."""
        self.reserve(which, costs, False)
        if killed:
            self.die(which)
        self.wait(seconds)
        self.reserve((which + 1) % 3, others, False)

    @invariant()
    def nobody_spends_more_than_there_is(self) -> None:
        """Whatever the upstreams billed, even for questions of dead gateways, at their worst, and is promised: in every
        window it fits the limit."""
        today = self.now // DAY * DAY
        assert self._gone(today) <= LIMIT
        assert self._gone(self.now - 3600.0 + 1e-6) <= HOURLY

    def _gone(self, since: float) -> int:
        """What was billed, and what may have been or may yet be, at its worst; what is promised counts now."""
        promised = [(min(self.now, r.expires), r.needs[0]) for gateway in self.gateways for r in gateway.open]
        return sum(cost for at, cost in [*self.bills, *self.dead, *promised] if at >= since)

    @invariant()
    def the_store_never_gives_more_than_there_is(self) -> None:
        """Spent, held by the living and lost with the dead."""
        for name in NAMES:
            standing = self._standing(name)
            assert standing.spent + standing.others + standing.unknown <= standing.limit

    @invariant()
    def what_was_billed_is_spent_or_in_doubt(self) -> None:
        """No bill is forgotten, of the living or of the dead: it is booked, held, or lost."""
        for name, since in (("day", self.now // DAY * DAY), ("hour", self.now - 3600.0 + 1e-6)):
            standing = self._standing(name)
            assert self._gone(since) <= standing.spent + standing.others + standing.unknown

    @invariant()
    def nothing_is_booked_twice(self) -> None:
        """However often a turn is repeated: no more calls than there were."""
        assert self._standing("calls").spent <= self.calls

    @invariant()
    def each_promises_only_what_it_holds(self) -> None:
        """Free, reserved and used are what the store has down for it."""
        for budgets in (gateway.budgets for gateway in self.gateways):
            for account in budgets.accounts.values():
                promised = sum(r.needs[account.unit] for r in budgets.open.values() if not r.expired)
                assert account.reserved == promised
                assert account.shown[0] in (account.free, 0)
                if not budgets.lapsed(self.now, self.monotonic()) and account.free >= 0:  # less: it was dead
                    assert account.free + promised + account.used <= self._held(budgets.holder, account.id)

    def _held(self, holder: str, account: str) -> int:
        return self._standing(account, holder).held

    def _standing(self, name: str, holder: str = "observer") -> Grant:
        account = self.gateways[0].budgets.accounts[name]
        window = account.window
        ask = Ask(
            account=name, budget=name, limit=account.options.limit, since=window.since(self.now),
            began=window.began(self.now) - LONGEST, keep=window.keep(self.now),
        )  # fmt: skip
        return self.store.renew(holder, 0, [ask], self.now, 1.0, beat=False)[0]

    def teardown(self) -> None:
        self.loop.close()
        self.store.close()
        self.place.cleanup()


Gateways.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
TestGateways = Gateways.TestCase


@pytest.fixture
def machine() -> Iterator[Gateways]:
    found = Gateways()
    yield found
    found.teardown()


def test_what_was_under_way_when_a_gateway_stood_still_is_booked_to_its_own_time(machine: Gateways) -> None:
    """It promised 1001, stood still for fourteen hours and was taken for dead; its slice went to others when the window
    had passed. What it promised was billed then, if at all, so it is booked there and not on top of what others hold."""
    machine.first_turns()
    machine.reserve(which=1, costs=[1001], lost=False)
    machine.wait(50_000.0)
    for _ in range(3):
        machine.leave(0)
    machine.reserve(which=0, costs=[667], lost=False)
    machine.renew(0, False)
    machine.renew(1, False)
    machine.the_store_never_gives_more_than_there_is()
    machine.what_was_billed_is_spent_or_in_doubt()
    assert machine._standing("hour").spent == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteLeases]:
    found = SqliteLeases(tmp_path / "budgets.sqlite3")
    yield found
    found.close()


def ask(**of: Any) -> Ask:
    return Ask(**{"account": "day", "budget": "day", "limit": 1000, "since": 100, "began": 100.0, "keep": 0} | of)


def test_a_turn_whose_answer_was_lost_books_nothing_twice(store: LeaseStore) -> None:
    """The same turn again is answered with what it came to the first time."""
    store.renew("a", 1, [ask(want=500)], 200.0, 10.0)
    spent = ask(spent=((150, 300, 2),), used=300, want=100)
    first = store.renew("a", 2, [spent], 201.0, 10.0)
    assert store.renew("a", 2, [spent], 202.0, 10.0) == first
    assert first[0].spent == 300


def test_slices_shrink_as_the_limit_comes_near(store: LeaseStore) -> None:
    """Each leaves as much for the others: nobody grabs the rest, and what cannot serve a need is left for who it can."""
    assert store.renew("a", 1, [ask(want=10_000)], 200.0, 10.0)[0].held == 500
    assert store.renew("b", 1, [ask(want=10_000)], 200.0, 10.0)[0].held == 166
    assert store.renew("c", 1, [ask(need=335, want=400)], 200.0, 10.0)[0].held == 0
    assert store.renew("c", 2, [ask(need=334, want=400)], 200.0, 10.0)[0].held == 334


def test_what_the_dead_held_counts_until_its_window_is_over(store: LeaseStore) -> None:
    """Nobody knows what was spent of it; an operator may say otherwise."""
    store.renew("a", 1, [ask(need=600)], 200.0, 10.0)
    later = store.renew("b", 1, [ask(need=500)], 300.0, 10.0)[0]
    assert (later.held, later.unknown, later.others) == (0, 600, 0)
    assert store.reset("day", 300.0, lost_only=True) == 600
    assert store.renew("b", 2, [ask(need=500)], 300.0, 10.0)[0].held == 500
    store.renew("c", 1, [ask(need=400)], 300.0, 10.0)
    following = store.renew("b", 3, [ask(since=400, began=400.0)], 401.0, 10.0)[0]
    assert (following.unknown, following.spent) == (0, 0)


def test_an_operators_limit_holds_until_the_configured_one_changes(store: LeaseStore) -> None:
    """The word is about what the file said then."""
    store.set_limit("day", 2000, 1000, 1.0)
    assert store.renew("a", 1, [ask(need=1500)], 200.0, 10.0)[0].limit == 2000
    assert store.renew("a", 2, [ask(limit=1200)], 200.0, 10.0)[0].limit == 1200
    store.set_limit("day", None, 1000, 2.0)
    assert store.renew("a", 3, [ask()], 200.0, 10.0)[0].limit == 1000


def test_an_alert_is_told_by_one_gateway_once_a_window(store: LeaseStore) -> None:
    """The first to ask; again when the window is over."""
    assert store.first_to_tell("day", 0.7, 500.0, 200.0)
    assert not store.first_to_tell("day", 0.7, 500.0, 201.0)
    assert store.first_to_tell("day", 0.9, 500.0, 201.0)
    assert store.first_to_tell("day", 0.7, 900.0, 501.0)


def test_a_budget_that_is_reset_begins_anew(store: LeaseStore) -> None:
    """All its accounts, and no other budget that is called alike."""
    for turn, name in enumerate(("day", "day[tenant=a]", "daylight"), 1):
        store.renew("a", turn, [ask(account=name, spent=((150, 100, 1),))], 200.0, 10.0)
    assert store.reset("day", 200.0) == 200
    assert store.renew("b", 1, [ask(account="daylight")], 200.0, 10.0)[0].spent == 100


def test_a_file_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    """A sentence with the path, not a traceback of SQLite's."""
    (tmp_path / "budgets.sqlite3").write_text("no database")
    with pytest.raises(StoreError, match="cannot open"):
        SqliteLeases(tmp_path / "budgets.sqlite3")

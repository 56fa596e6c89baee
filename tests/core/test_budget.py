"""What budgets promise to the questions: reserve, settle, refuse with a reason, forget nothing."""

from __future__ import annotations

from typing import Any

import pytest

from equipoise.core.account import Account, BudgetOptions, Unit
from equipoise.core.accounting import answered, failed
from equipoise.core.budget import Budgets
from equipoise.core.events import BudgetCrossed, Event
from equipoise.core.intake import MOST_ANSWERS, answers_of
from equipoise.core.model import BackendType, NoBackendAvailable, Question, Verdict
from equipoise.core.slices import Grant
from equipoise.core.window import Window
from tests.fakes import FakeClock, answer, backend, price, request, selection

DAY = 86_400.0


def budgets(*options: BudgetOptions, grant: int | None = None) -> Budgets:
    """Budgets that hold all of their limit, as if they had been granted it."""
    found = Budgets(options, {of.name: Window(length=DAY) for of in options})
    found.known_scopes(backends="abc", tenants=["default"], keys=["k"])
    give(found, grant)
    return found


def give(found: Budgets, grant: int | None = None, wall: float = 1_790_001_000.0) -> None:
    asks = {ask.account: ask for ask in found.asks(wall, 1.0)}
    grants = [
        Grant(account=name, held=ask.limit if grant is None else grant, spent=0, count=0, others=0, unknown=0, limit=ask.limit)
        for name, ask in asks.items()
    ]  # fmt: skip
    found.granted(grants, wall)


def test_a_question_is_refused_when_its_worst_case_does_not_fit() -> None:
    """Ten tokens in with a margin and a hundred out at a dollar a million: 112,000 nano-dollars are one too many."""
    it = selection([backend("a")])
    it.budgets = budgets(BudgetOptions(name="day", limit=111_999))
    with pytest.raises(NoBackendAvailable) as refused:
        it.acquire(request(output_tokens=100))
    assert refused.value.code == "budget_exceeded"
    assert "budget day" in refused.value.reasons["a"]
    assert refused.value.retry_after is not None
    it.budgets = budgets(BudgetOptions(name="day", limit=112_000))
    assert it.acquire(request(output_tokens=100)).reservation is not None


def test_what_is_cheaper_is_still_served() -> None:
    """The dear one is left out with a reason, the cheap one answers; what is free is answered for ever."""
    it = selection([backend("a", price=price(100.0)), backend("b"), backend("c", price=price(0.0))])
    it.budgets = budgets(BudgetOptions(name="day", limit=200_000))
    first = it.acquire(request(output_tokens=100))
    assert "may take $0.011200000, more than is left of the budget day" in first.decision.excluded["a"]
    assert first.backend_id == "b"
    assert {it.acquire(request(output_tokens=100)).backend_id for _ in range(5)} == {"c"}


def test_the_actual_replaces_the_reserved() -> None:
    """Reserved 112,000; the answer cost less, and the rest is free again, to the nano-dollar."""
    it = selection([backend("a")])
    it.budgets = budgets(BudgetOptions(name="day", limit=1_000_000))
    account = it.budgets.accounts["day"]
    lease = it.acquire(request(output_tokens=100))
    assert (account.reserved, account.free) == (112_000, 888_000)
    outcome = answered(lease, answer(), lease.started + 1)
    it.settle(lease, outcome)
    assert (account.reserved, account.free, account.used) == (0, 1_000_000 - outcome.cost, outcome.cost)
    assert not it.budgets.open


@pytest.mark.parametrize("sent", [True, False])
def test_cancelled_and_unsent_attempts_leave_nothing_reserved(sent: bool) -> None:
    """Whatever an attempt came to, its reservation ends with it; what never left costs nothing and counts as no request."""
    it = selection([backend("a")])
    it.budgets = budgets(
        BudgetOptions(name="day", limit=10**9), BudgetOptions(name="calls", limit=10, unit=Unit.REQUESTS)
    )
    lease = it.acquire(request(output_tokens=100))
    it.settle(lease, failed(lease, 1.0, verdict=Verdict.IGNORED, error="gone", code="cancelled", sent=sent))
    assert all(account.reserved == 0 for account in it.budgets.accounts.values())
    assert it.budgets.accounts["calls"].used == int(sent)
    assert (it.budgets.accounts["day"].used > 0) is sent


def test_an_excess_is_booked_told_once_and_blocks() -> None:
    """An upstream that bills ten times what it may: the money is gone, the operator hears of it, nobody may follow."""
    it = selection([backend("a")])
    heard: list[Event] = []
    it.observers.append(heard.append)
    it.budgets = budgets(BudgetOptions(name="day", limit=300_000))
    it.budgets.tell = it._tell
    lease = it.acquire(request(output_tokens=100))
    it.settle(lease, answered(lease, answer(metered_cost=1_120_000), lease.started + 1))
    account = it.budgets.accounts["day"]
    assert account.used == 1_120_000
    assert account.free < 0
    (event,) = [event for event in heard if isinstance(event, BudgetCrossed)]
    assert event.overrun
    assert event.spent == 1_120_000
    assert it.backends["a"].bound.excess_percent == 1100
    with pytest.raises(NoBackendAvailable):
        it.acquire(request(output_tokens=100))


def test_an_unknown_price_is_refused_to_who_has_a_budget_in_dollars() -> None:
    """Never silently 0. A budget of requests needs no price."""
    it = selection([backend("a", price=None)])
    it.budgets = budgets(BudgetOptions(name="day", limit=10**12))
    with pytest.raises(NoBackendAvailable) as refused:
        it.acquire(request())
    assert refused.value.reasons == {"a": "nobody knows its price, and this request has a budget"}
    it.budgets = budgets(BudgetOptions(name="calls", limit=1, unit=Unit.REQUESTS))
    assert it.acquire(request()).backend_id == "a"
    with pytest.raises(NoBackendAvailable):
        it.acquire(request())


def test_a_budget_counts_only_who_matches() -> None:
    """Backend, tenant, key and tag must all match; a star gives each its own account; the exempt do not count."""
    found = budgets(
        BudgetOptions(name="all", limit=1),
        BudgetOptions(name="web", limit=1, backend="web"),
        BudgetOptions(name="each", limit=1, tenant="*"),
        BudgetOptions(name="team", limit=1, key="k", tag="team:a"),
        BudgetOptions(name="others", limit=1, exempt=frozenset({"vip"})),
    )

    def names(backend_id: str, **of: object) -> list[str]:
        return [account.id for account in found.stack(backend_id, request(**of))]

    assert names("graph") == ["all", "each[tenant=default]", "others"]
    assert names("web", tenant="vip") == ["all", "web", "each[tenant=vip]"]
    assert names("web", key="k", tags=("x", "team:a")) == ["all", "web", "each[tenant=default]", "team", "others"]
    assert names("graph", key="k", tags=("x",)) == ["all", "each[tenant=default]", "others"]


def test_in_panic_and_by_name_a_budget_still_holds() -> None:
    """Neither an emergency nor the wish for one backend opens a purse that is empty."""
    sick = [backend(name) for name in "ab"]
    it = selection(sick)
    it.budgets = budgets(BudgetOptions(name="day", limit=5))
    with pytest.raises(NoBackendAvailable, match="budget day"):
        it.acquire(request(pinned="a"))
    for name in "ab" * 3:
        it.probed(name, healthy=False, error="refused", details={})
    with pytest.raises(NoBackendAvailable, match="budget day"):
        it.acquire(request())


def test_a_reservation_nobody_settles_is_taken_for_spent() -> None:
    """Rather too much than lost; when its settlement comes after all, the account is put right."""
    it = selection([backend("a")], clock=FakeClock())
    it.budgets = budgets(BudgetOptions(name="day", limit=10**9))
    account = it.budgets.accounts["day"]
    lease = it.acquire(request(output_tokens=100))
    assert it.budgets.expire(it.clock.wall() + 1.0) == 0
    assert it.budgets.expire(it.clock.wall() + 10_000.0) == 1
    assert (account.reserved, account.used) == (0, 112_000)
    it.settle(lease, answered(lease, answer(), lease.started + 1))
    assert sum(amount for amount, _ in account.spent.values()) == 30_000
    assert sum(count for _, count in account.spent.values()) == 1
    assert account.reserved == 0


def test_when_the_store_is_silent_nothing_is_promised() -> None:
    """Slices that may have lapsed are not spent from."""
    it = selection([backend("a")])
    it.budgets = budgets(BudgetOptions(name="day", limit=10**9))
    it.budgets.lapses = it.clock.wall() - 1.0, float("inf")
    with pytest.raises(NoBackendAvailable, match="does not answer"):
        it.acquire(request())


@pytest.mark.parametrize("set_back", ["wall", "monotonic"])
def test_a_lease_lapses_by_either_clock(set_back: str) -> None:
    """The clock on the wall may be set back, the monotonic one stands still while the machine sleeps."""
    it = selection([backend("a")])
    it.budgets = budgets(BudgetOptions(name="day", limit=10**9))
    late = {"wall": it.clock.wall(), "monotonic": it.clock.monotonic()}
    it.budgets.lapses = (
        late["wall"] - (1.0 if set_back == "monotonic" else -3600.0),
        late["monotonic"] - (1.0 if set_back == "wall" else -3600.0),
    )
    with pytest.raises(NoBackendAvailable, match="does not answer"):
        it.acquire(request())


def test_what_is_settled_after_its_time_is_booked_to_its_time() -> None:
    """A gateway that stood still hears of a bill in the next window; the money was spent in the one before, and what was
    free of the slice is not more for it."""
    days = Window(bounds=lambda wall: (wall // DAY * DAY, wall // DAY * DAY + DAY))
    found = Budgets([BudgetOptions(name="day", limit=1000)], {"day": days})
    found.known_scopes(backends=(), tenants=(), keys=())
    (account,) = found.accounts.values()
    began = 1_790_000_000.0 // DAY * DAY
    reservation = found.hold((account,), (600, 1, 0), began + DAY - 10.0)
    found.settle(reservation, (400, 1, 0), began + DAY + 5.0)
    assert {period >= began + DAY for period in account.spent} == {False}
    assert sum(amount for amount, _ in account.spent.values()) == 400
    assert (account.used, account.reserved) == (600, 0)
    assert account.shown[0] == account.free == -600


def test_no_reservation_is_open_for_longer_than_the_store_counts_on() -> None:
    """So a slice that was lost longer ago can be forgotten: nothing of it can still be billed."""
    it = selection([backend("a", timeout=10_000.0)])
    it.budgets = budgets(BudgetOptions(name="day", limit=10**9))
    it.budgets.longest = 900.0
    lease = it.acquire(request())
    assert lease.reservation is not None
    assert lease.reservation.expires == it.clock.wall() + 900.0
    (asked,) = it.budgets.asks(it.clock.wall(), 1.0)
    assert asked.began == it.budgets.accounts["day"].window.began(it.clock.wall()) - 900.0


def test_max_tokens_is_no_bound_where_the_engine_does_not_obey_it() -> None:
    """LightRAG knows no max_tokens: what it may answer is learned."""
    graph = backend("a", type=BackendType.LIGHTRAG)
    plain = backend("b")
    asked = request(output_tokens=10)
    assert graph.worst_case(asked)[1] > 4096
    assert plain.worst_case(asked)[1] == 12 + 10


def test_another_configuration_keeps_what_is_held() -> None:
    """A limit that changed is taken over; an account that went is told to the store and forgotten once it is settled."""
    found = budgets(BudgetOptions(name="day", limit=100), BudgetOptions(name="old", limit=100))
    reservation = found.hold(found.stack("a", request()), (30, 1, 1), 1e12)
    found.inherit(Budgets([BudgetOptions(name="day", limit=200)], {"day": Window(length=DAY)}))
    found.settle(reservation, (20, 1, 1), 1_790_001_000.0)
    asks = {ask.account: ask for ask in found.asks(1_790_001_000.0, 1.0)}
    assert asks["day"].limit == 200
    assert (asks["old"].used, asks["old"].back) == (20, 80)


@pytest.mark.parametrize(("said", "answers"), [({"n": 8}, 8), ({"n": 2.5}, 3), ({"n": 1}, 1), ({"n": 0}, 1), ({"n": -9}, 1), ({"n": True}, 1), ({"n": "8"}, 1)])  # fmt: skip
def test_every_answer_that_is_wanted_is_promised_and_counted(said: dict[str, Any], answers: int) -> None:
    """`n` answers are written and billed: a client that wants many may not pass a budget that holds one."""
    assert answers_of(Question(messages=[], options=said)) == answers
    assert answers_of(Question(messages=[], extra={"best_of": 4}, options=said)) == max(4, answers)
    one, many = (request("twelve tokens", input_tokens=12, output_tokens=10, answers=count) for count in (1, answers))
    plain = backend("a", price=price(1.0))
    read = plain.worst_case(one)[1] - 10
    assert plain.worst_case(many)[1] == read + 10 * answers
    cost = plain.worst_case(one)[0], plain.worst_case(many)[0]
    assert cost[0] is not None
    assert cost[1] is not None
    assert cost[1] - cost[0] == pytest.approx(10_000 * (answers - 1), abs=answers)
    assert plain.tokens_needed(many) - plain.tokens_needed(one) == 10 * (answers - 1)
    assert (plain.expected_cost(many) > plain.expected_cost(one)) is (answers > 1)


def test_no_number_of_answers_is_too_large_to_reckon_with() -> None:
    """Strangers write it."""
    assert answers_of(Question(messages=[], options={"n": 10**300})) == MOST_ANSWERS
    assert answers_of(Question(messages=[], options={"n": float("inf")})) == MOST_ANSWERS


class Alone:
    """The only holder of a budget of a thousand dollars: its turns at a store that gives what it wants."""

    def __init__(self, spare: int) -> None:
        self.account = Account("day", BudgetOptions(name="day", limit=10**12, spare=spare), Window(length=DAY))
        self.wall, self.limit, self.held = 1_790_001_000.0, 10**12, 0

    def turns(self, number: int, seconds: float = 0.5) -> int:
        """What it holds after so many."""
        for _ in range(number):
            self.wall += seconds
            ask = self.account.ask(self.wall, seconds)
            self.held += min(max(ask.want, ask.need), self.limit - self.held) - ask.back
            of = {"held": self.held, "spent": 0, "count": 0, "others": 0, "unknown": 0, "limit": self.limit}
            self.account.granted(Grant(account="day", **of), self.wall)
        return self.held


@pytest.mark.parametrize(("spare", "kept"), [(0, 0), (4, 400_000)])
def test_an_idle_one_keeps_room_for_some_questions_where_its_store_may_go_away(spare: int, kept: int) -> None:
    """And gives back the rest; less the longer nobody asks, and nothing where others may need it."""
    alone = Alone(spare)
    alone.account.refused(100_000)
    assert alone.turns(1) >= 200_000
    assert kept * 0.99 <= alone.turns(60) <= 4 * kept
    assert alone.turns(120, 10.0) <= kept * 1.01
    alone.account.refused(100_000)
    alone.turns(60)
    alone.limit = 40 * kept
    assert alone.turns(2) == 0
    assert alone.turns(60) == 0

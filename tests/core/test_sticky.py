"""A session stays with its backend, within bounds, whatever the strategy."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.accounting import answered
from equipoise.core.model import Candidate, Strategy
from equipoise.core.ring import ROOM
from equipoise.core.sticky import Home, at_home
from tests.core.policies.candidates import a_request, alike, weighing
from tests.fakes import answer, backend, request, selection


def homes(candidates: list[Candidate], sessions: int = 2000) -> dict[int, str]:
    return {i: at_home(candidates, a_request(), Home(f"s{i}", "session")).backend_id for i in range(sessions)}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_session_stays_with_its_backend_under_every_strategy(strategy: str) -> None:
    """Forty sessions, ten questions each in turn: every one is answered in one place, and not all in the same."""
    it = selection([backend(name) for name in "abcd"], strategy, sticky=True)
    seen: dict[str, set[str]] = {}
    for turn in range(400):
        session = f"s{turn % 40}"
        lease = it.acquire(request(session=session))
        seen.setdefault(session, set()).add(lease.backend_id)
        assert lease.decision.probability == 1.0
        it.settle(lease, answered(lease, answer(), lease.started + 0.5))
    assert {len(places) for places in seen.values()} == {1}
    assert len(set.union(*seen.values())) == 4


def test_a_session_stays_with_one_of_many_and_in_its_tier() -> None:
    """Also where only a few of a large tier are looked at, and where half of the traffic overflows."""
    large = selection([backend(f"b{i:03}") for i in range(200)], "performance_based", sticky=True)
    small = selection([backend("a0"), backend("a1"), backend("b0", priority=2)], "weighted", sticky=True)
    small.drain("a0")
    for it in (large, small):
        places = {s: {it.explain(request(session=f"s{s}")).backend_id for _ in range(5)} for s in range(100)}
        assert {len(place) for place in places.values()} == {1}
        assert len(set.union(*places.values())) > 1


def places_among(names: list[str], sessions: int = 400) -> dict[str, str]:
    it = selection([backend(name) for name in names], "weighted", sticky=True)
    return {f"s{s}": it.explain(request(session=f"s{s}")).backend_id for s in range(sessions)}


def test_of_many_only_the_sessions_of_a_backend_that_went_are_moved() -> None:
    """A ring of 120: the other 119 do not notice, and what moves spreads over more than one of them."""
    names = [f"b{i:03}" for i in range(120)]
    before = places_among(names)
    gone = next(iter(before.values()))
    after = places_among([name for name in names if name != gone])
    moved = {session for session in before if before[session] != after[session]}
    assert moved == {session for session, place in before.items() if place == gone}


def test_of_many_a_busy_session_overflows_beyond_its_bound() -> None:
    """One session with 300 questions at once among 60: nobody carries more than 1.25 times the fair share, rounded up."""
    it = selection([backend(f"b{i:02}") for i in range(60)], "round_robin", sticky=True)
    leases = [it.acquire(request(session="busy")) for _ in range(300)]
    carried = Counter(lease.backend_id for lease in leases)
    assert max(carried.values()) <= math.ceil(ROOM * 300 / 60)
    for lease in leases:
        it.settle(lease, answered(lease, answer(), lease.started + 0.5))
    first = it.explain(request(session="busy")).backend_id
    assert first == leases[0].backend_id


def test_of_many_a_session_goes_to_the_next_when_its_backend_drains_and_comes_back() -> None:
    """Its home is the same after the drain as before."""
    it = selection([backend(f"b{i:02}") for i in range(80)], "weighted", sticky=True)
    home = it.explain(request(session="s")).backend_id
    it.drain(home)
    assert it.explain(request(session="s")).backend_id != home
    it.resume(home)
    assert it.explain(request(session="s")).backend_id == home


def test_shares_of_many_follow_the_weights() -> None:
    """Sixty heavy and sixty light ones: three quarters of 3,000 sessions are with the heavy."""
    backends = [backend(f"h{i:02}", weight=3.0) for i in range(60)] + [backend(f"l{i:02}") for i in range(60)]
    it = selection(backends, "weighted", sticky=True)
    heavy = sum(it.explain(request(session=f"s{s}")).backend_id.startswith("h") for s in range(3000))
    assert heavy / 3000 == pytest.approx(0.75, abs=0.03)


def test_without_a_session_or_off_a_sticky_route_the_strategy_decides() -> None:
    """Round robin goes round."""
    sticky = selection([backend("a"), backend("b")], "round_robin", sticky=True)
    other = selection([backend("a"), backend("b")], "round_robin")
    assert [sticky.explain(request()).backend_id for _ in range(4)] == ["a", "b", "a", "b"]
    assert [other.explain(request(session="s")).backend_id for _ in range(4)] == ["a", "b", "a", "b"]


def test_shares_over_many_sessions_follow_the_weights() -> None:
    """Weights 3, 2, 1 over 6,000 sessions: a half, a third, a sixth."""
    counts = Counter(homes(weighing(a=3.0, b=2.0, c=1.0), 6000).values())
    assert {name: n / 6000 for name, n in counts.items()} == pytest.approx(
        {"a": 1 / 2, "b": 1 / 3, "c": 1 / 6}, abs=0.02
    )


def test_only_the_sessions_of_a_backend_that_went_are_moved() -> None:
    """Rendezvous: the others do not notice."""
    before, after = homes(alike("a", "b", "c", "d")), homes(alike("a", "b", "c"))
    assert all(after[session] == place for session, place in before.items() if place != "d")


@given(loads=st.lists(st.integers(0, 30), min_size=2, max_size=8), session=st.text(min_size=1, max_size=8))
def test_nobody_is_sent_more_than_its_bound(loads: list[int], session: str) -> None:
    """At most 1.25 times the fair share of everything in flight, the new request counted, whoever's home it is."""
    candidates = [alike(f"b{i}", in_flight=load)[0] for i, load in enumerate(loads)]
    chosen = at_home(candidates, a_request(), Home(session, "session")).backend_id
    carried = next(c.in_flight for c in candidates if c.backend_id == chosen) + 1
    assert carried <= math.ceil(ROOM * (sum(loads) + 1) / len(loads))


def test_one_busy_session_spreads_over_its_neighbours() -> None:
    """A hundred questions at once from one session: nobody carries more than a quarter above the fair share."""
    it = selection([backend(name) for name in "abcd"], "round_robin", sticky=True)
    counts = Counter(it.acquire(request(session="busy")).backend_id for _ in range(100))
    assert max(counts.values()) <= 32
    assert "has more than its share" in it.explain(request(session="busy")).reason


def test_a_home_below_the_floor_of_quality_is_not_gone_to() -> None:
    """The session's order among those that are good enough."""
    good, poor = alike("a", quality_low=0.9)[0], alike("b", quality_low=0.2)[0]
    places = {at_home([good, poor], a_request(min_quality=0.5), Home(f"s{i}", "session")).backend_id for i in range(50)}
    assert places == {"a"}

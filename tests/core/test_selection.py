"""What acquire and settle promise."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.accounting import answered, failed
from equipoise.core.breaker import BreakerState
from equipoise.core.model import NoBackendAvailable, Strategy, Verdict
from equipoise.core.selection import Lease, Selection
from tests.fakes import FakeClock, answer, backend, price, request, selection


def settle(it: Selection, lease: Lease, verdict: Verdict = Verdict.SUCCESS, **details: object) -> None:
    if verdict is Verdict.SUCCESS:
        it.settle(lease, answered(lease, answer(), lease.started + 0.5))
    else:
        it.settle(lease, failed(lease, lease.started + 0.5, verdict=verdict, error="x", code="c", **details))  # type: ignore[arg-type]


def test_requests_that_come_together_see_each_others_load() -> None:
    """Look and commit in one breath: nine acquired at once spread evenly by load."""
    it = selection([backend(name) for name in "abc"], "performance_based")
    leases = [it.acquire(request()) for _ in range(48)]
    assert max(Counter(lease.backend_id for lease in leases).values()) <= 17
    for lease in leases:
        settle(it, lease)
    assert all(b.load.in_flight == 0 for b in it.backends.values())


def test_a_lease_is_settled_exactly_once() -> None:
    """A second settlement is a bug of the caller and says so."""
    it = selection([backend("a")])
    lease = it.acquire(request())
    settle(it, lease)
    with pytest.raises(RuntimeError, match="settled twice"):
        settle(it, lease)


def test_a_new_backend_is_chosen_at_once() -> None:
    """Nothing waits for a probe: an unknown backend may be asked."""
    lease = selection([backend("a")]).acquire(request())
    assert lease.backend_id == "a"


def test_everybody_left_out_has_a_reason() -> None:
    """Each backend is either a candidate or has a reason in words."""
    clock = FakeClock()
    drained, full, dear = backend("drained"), backend("full", max_concurrent=1), backend("dear", price=price(1e6))
    it = selection([drained, full, dear, backend("unpriced", price=None), backend("good")], clock=clock)
    drained.drain()
    full.began(clock.now, regardless=False)
    decision = it.acquire(request(max_cost=10_000_000)).decision
    assert decision.backend_id == "good"
    assert decision.excluded["drained"] == "draining"
    assert "limit of 1" in decision.excluded["full"]
    assert "nobody knows its price" in decision.excluded["unpriced"]
    assert "would cost" in decision.excluded["dear"]


def test_an_explained_decision_has_the_scores_of_the_specification_beside_its_own() -> None:
    """They are for people: a decision on the way of a question does not compute them."""
    it = selection([backend("a"), backend("b", quality=0.0)])
    assert it.acquire(request()).decision.scores == {}
    told = it.explain(request()).scores
    assert told["a"]["quality_score"] == pytest.approx(1.0)
    assert told["b"]["cost_efficiency"] is None


def test_when_nobody_may_answer_the_caller_learns_why_and_until_when() -> None:
    """The refusal has a reason a backend, a fitting code, and the time of the first to be free again."""
    clock = FakeClock()
    limited = backend("a", per_minute=1)
    it = selection([limited], clock=clock)
    settle(it, it.acquire(request()))
    clock.now += 20
    with pytest.raises(NoBackendAvailable) as caught:
        it.acquire(request())
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.retry_after == pytest.approx(40.0)
    assert "1 requests a minute" in caught.value.reasons["a"]


@given(
    limit=st.integers(1, 20),
    gaps=st.lists(st.floats(0.0, 30.0, allow_nan=False), min_size=1, max_size=150),
)
def test_in_no_minute_are_more_requests_admitted_than_allowed(limit: int, gaps: list[float]) -> None:
    """max_requests_per_minute holds in every window of 60 seconds, whatever the arrivals."""
    clock = FakeClock()
    it = selection([backend("a", per_minute=limit)], clock=clock)
    admitted: list[float] = []
    for gap in gaps:
        clock.now += gap
        try:
            settle(it, it.acquire(request()))
        except NoBackendAvailable:
            continue
        admitted.append(clock.now)
    for start in admitted:
        assert sum(start <= time < start + 60.0 for time in admitted) <= limit


def test_what_a_backend_cannot_do_excludes_it() -> None:
    """Tools, JSON, images: only who supports them is asked."""
    it = selection([backend("plain"), backend("able", supports=frozenset({"tools"}))])
    decision = it.acquire(request(needs=frozenset({"tools"}))).decision
    assert decision.backend_id == "able"
    assert decision.excluded["plain"] == "cannot do: tools"


def test_another_corpus_is_asked_only_as_a_declared_fallback() -> None:
    """Replicas share a corpus; after asking one, other documents are no substitute unless declared."""
    papers, mirror = backend("papers", corpus="papers"), backend("mirror", corpus="papers")
    cookbook = backend("cookbook", corpus="recipes")
    undeclared = selection([papers, cookbook])
    with pytest.raises(NoBackendAvailable, match="another corpus"):
        undeclared.acquire(request(), frozenset({"papers"}), "papers")
    declared = selection([papers, mirror, cookbook], fallback=(("cookbook",),))
    assert declared.acquire(request(), frozenset({"papers"}), "papers").backend_id == "mirror"
    last = declared.acquire(request(), frozenset({"papers", "mirror"}), "papers")
    assert last.backend_id == "cookbook"
    assert last.fallback


def test_a_lower_priority_number_is_asked_first() -> None:
    """Tier 2 is asked only while nobody of tier 1 may be."""
    first, second = backend("first", priority=1), backend("second", priority=2)
    it = selection([second, first])
    assert {it.acquire(request()).backend_id for _ in range(10)} == {"first"}
    first.drain()
    assert it.acquire(request()).backend_id == "second"


def open_breaker(it: Selection, name: str) -> None:
    for _ in range(5):
        lease = it.acquire(request(pinned=name))
        settle(it, lease, Verdict.FAILURE)
    assert it.backends[name].breaker.state is BreakerState.OPEN


def test_with_two_backends_the_sick_one_rests_while_the_other_answers() -> None:
    """Below four backends there is panic only when nobody is left."""
    it = selection([backend("a"), backend("b")])
    open_breaker(it, "a")
    assert {it.acquire(request()).backend_id for _ in range(20)} == {"b"}


def test_when_nobody_looks_healthy_the_sick_are_asked() -> None:
    """Panic: rather the sick than nobody; its results do not count as probes."""
    it = selection([backend("a"), backend("b")])
    open_breaker(it, "a")
    open_breaker(it, "b")
    lease = it.acquire(request())
    assert lease.decision.panic
    settle(it, lease)
    assert it.backends[lease.backend_id].breaker.state is BreakerState.OPEN


def test_panic_sets_in_below_half_of_four_or_more() -> None:
    """Three of five out: once the two that are left have all they take, all are asked again."""
    it = selection([backend(name, max_concurrent=4) for name in "abcde"])
    for name in "ab":
        open_breaker(it, name)
    assert not it.acquire(request()).decision.panic
    open_breaker(it, "c")
    for name in "de":
        it.backends[name].limit.value = 2.0
    assert {it.acquire(request()).backend_id for _ in range(3)} == {"d", "e"}
    assert {it.acquire(request()).backend_id for _ in range(5)} == set("abcde")


def test_panic_below_half_can_be_switched_off() -> None:
    """Without it the sick are asked only when there is nobody else."""
    it = selection([backend(name) for name in "abcde"], panic=False)
    for name in "abcd":
        open_breaker(it, name)
    it.backends["e"].limit.value = 1.0
    assert {it.acquire(request()).backend_id for _ in range(5)} == {"e"}


def test_a_refused_key_a_drain_and_a_throttle_stand_even_in_panic() -> None:
    """Panic overrides judgements of health only."""
    clock = FakeClock()
    it = selection([backend(name) for name in "abc"], clock=clock)
    it.drain("a")
    settle(it, it.acquire(request(pinned="b")), Verdict.REFUSED)
    settle(it, it.acquire(request(pinned="c")), Verdict.THROTTLED, retry_after=30.0)
    with pytest.raises(NoBackendAvailable) as caught:
        it.acquire(request())
    assert set(caught.value.reasons) == {"a", "b", "c"}
    clock.now += 31
    assert it.acquire(request()).backend_id == "c"


def test_a_throttle_is_no_illness() -> None:
    """A hundred 429s leave the breaker closed; they only make a pause."""
    clock = FakeClock()
    it = selection([backend("a")], clock=clock)
    for _ in range(100):
        settle(it, it.acquire(request()), Verdict.THROTTLED, retry_after=1.0)
        clock.now += 2.0
    assert it.backends["a"].breaker.state is BreakerState.CLOSED
    assert it.backends["a"].health.status.value != "unhealthy"


def test_the_callers_mistakes_never_trip_a_breaker() -> None:
    """A thousand IGNORED outcomes change nothing."""
    it = selection([backend("a")])
    for _ in range(1000):
        settle(it, it.acquire(request()), Verdict.IGNORED)
    assert it.backends["a"].breaker.counts["calls"] == 0


@pytest.mark.parametrize("strategy", list(Strategy))
def test_among_a_thousand_backends_every_strategy_chooses_an_eligible_one(strategy: str) -> None:
    """Above fifty only a few are looked at, and never one that is drained."""
    backends = [backend(f"b{i:04}", weight=1.0 + i % 3) for i in range(1000)]
    for it in backends[::2]:
        it.drain()
    chosen = selection(backends, strategy)
    for _ in range(50):
        lease = chosen.acquire(request())
        assert not lease.backend.draining
        assert lease.decision.sampled_from == 1000
        settle(chosen, lease)


def test_among_a_thousand_round_robin_still_goes_round() -> None:
    """Each is asked once before any is asked twice."""
    it = selection([backend(f"b{i:04}") for i in range(200)], "round_robin")
    assert max(Counter(it.acquire(request()).backend_id for _ in range(200)).values()) == 1


def test_equal_seeds_choose_alike() -> None:
    """A decision depends on the seed and on what was seen, on nothing else."""
    runs = []
    for _ in range(2):
        it = selection([backend(name) for name in "abcde"], "weighted", seed=11)
        runs.append([it.acquire(request()).backend_id for _ in range(50)])
    assert runs[0] == runs[1]


@given(
    verdicts=st.lists(st.sampled_from(list(Verdict)), max_size=60),
    strategy=st.sampled_from(list(Strategy)),
)
def test_whatever_happens_everything_acquired_is_given_back(verdicts: list[Verdict], strategy: str) -> None:
    """After all leases are settled nobody has anything in flight, and the books count each attempt once."""
    clock = FakeClock()
    it = selection([backend(name) for name in "abc"], strategy, clock=clock)
    made = 0
    for verdict in verdicts:
        clock.now += 1.0
        try:
            lease = it.acquire(request())
        except NoBackendAvailable:
            continue
        made += 1
        settle(it, lease, verdict)
    assert all(b.load.in_flight == 0 for b in it.backends.values())
    assert sum(b.totals["requests"] for b in it.backends.values()) == made


def test_explain_commits_to_nothing() -> None:
    """A look takes no permit, counts no load, and names all candidates."""
    it = selection([backend(name) for name in "ab"], "cost_optimized")
    decision = it.explain(request())
    assert {c.backend_id for c in decision.candidates} == {"a", "b"}
    assert all(b.load.in_flight == 0 for b in it.backends.values())
    assert decision.backend_id == it.acquire(request()).backend_id

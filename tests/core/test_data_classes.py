"""A question is never leased to a backend that does not allow what it holds, whatever else is true of both."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.accounting import failed
from equipoise.core.attempts import Attempts, Unanswered
from equipoise.core.backend import Backend
from equipoise.core.breaker import BreakerOptions
from equipoise.core.data_classes import MOST, NOT_ALLOWED, forbidden, read
from equipoise.core.hedge import Hedges
from equipoise.core.model import NoBackendAvailable, Outcome, Request, Strategy, Verdict
from equipoise.core.retry import RetryBudget, RetryOptions
from equipoise.core.routing import HedgeOptions
from equipoise.core.selection import Selection
from tests.fakes import FakeClock, backend, price, request, selection

CLASSES = ("patients", "trials", "staff")
some = st.frozensets(st.sampled_from(CLASSES))
sort_of = st.fixed_dictionaries(
    {
        "allows": some,
        "weight": st.sampled_from([0.0, 1.0, 5.0]),
        "priority": st.integers(1, 2),
        "quality": st.floats(0.0, 1.0),
        "price": st.sampled_from([None, price(1.0), price(1e3)]),
        "corpus": st.sampled_from([None, "a", "b"]),
    }
)
crowds = st.lists(
    st.tuples(sort_of, st.sampled_from(["well", "draining", "open", "refused", "down", "throttled", "busy"])),
    min_size=1,
    max_size=8,
)
routings = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from([each.value for each in Strategy]),
        "sticky": st.booleans(),
        "min_quality": st.sampled_from([0.0, 0.9]),
        "seed": st.integers(0, 50),
        "panic": st.booleans(),
    }
)


def ill(one: Backend, verdict: Verdict, now: float) -> None:
    """Let it fail until its breaker is open."""
    outcome = Outcome(verdict=verdict, duration=0.1, error="x", error_code="c")
    while one.breaker.allows(now):
        one.ended(one.began(now, regardless=False), outcome, now)


def down(one: Backend, now: float) -> None:
    """Let its probes fail."""
    for _ in range(3):
        one.health.probed(healthy=False, error="x", details={}, now=now, wall=now)


def throttled(one: Backend, now: float) -> None:
    """Let it ask for a pause."""
    one.cooling_until = now + 60.0


def busy(one: Backend, now: float) -> None:
    """Let it have more to do than it takes."""
    one.load.in_flight = 1_000


TROUBLES: dict[str, Callable[[Backend, float], None]] = {
    "well": lambda one, now: None,
    "draining": lambda one, now: one.drain(),
    "open": lambda one, now: ill(one, Verdict.FAILURE, now),
    "refused": lambda one, now: ill(one, Verdict.REFUSED, now),
    "down": down,
    "throttled": throttled,
    "busy": busy,
}


def world(crowd: list[tuple[dict[str, Any], str]], clock: FakeClock, **routing: Any) -> Selection:
    """All of them on one route, the last third as its fallback."""
    breaker = BreakerOptions(failure_threshold=3)
    backends = [backend(f"b{i}", clock, breaker=breaker, **of) for i, (of, _) in enumerate(crowd)]
    later = tuple(one.id for one in backends[len(backends) - len(backends) // 3 :])
    it = selection(backends, clock=clock, fallback=(later,) if later else (), **routing)
    for one, (_, trouble) in zip(backends, crowd, strict=True):
        TROUBLES[trouble](one, clock.now)
    return it


@given(crowds, routings, some, st.lists(st.booleans(), min_size=1, max_size=8), st.integers(-1, 8))
def test_no_lease_is_for_one_that_does_not_allow_the_question(
    crowd: list[tuple[dict[str, Any], str]],
    routing: dict[str, Any],
    classes: frozenset[str],
    fates: list[bool],
    name: int,
) -> None:
    """Every strategy, pinned or not, failover after failover into fallbacks, hedged, escalated, in panic, sticky."""
    clock = FakeClock()
    it = world(crowd, clock, **routing)
    options = RetryOptions(max_attempts=9, share=1.0, burst=100)
    pinned = f"b{name}" if 0 <= name < len(crowd) else None
    asked = request(data_classes=classes, pinned=pinned, session="s", deadline=clock.now + 60.0)
    attempts = Attempts(asked, it, RetryBudget(options, clock.now), options, random.Random(1), lambda event: None)
    hedges = Hedges(HedgeOptions(share=1.0, per_hour=10**12), clock.now)
    for escalated in fates:
        try:
            leases = [attempts.acquire()]
        except Unanswered:
            return
        hedges.asked()
        if (second := attempts.hedge(leases[0], hedges)) is not None:
            leases.append(second)
        for lease in leases:
            assert classes <= lease.backend.options.allows
            for candidate in lease.decision.candidates:
                assert classes <= it.backends[candidate.backend_id].options.allows
        for lease in reversed(leases):
            attempts.lease = lease
            outcome = failed(lease, clock.now, verdict=Verdict.FAILURE, error="x", code="upstream_error")
            attempts.settle(lease, outcome)
        if escalated and not attempts.escalate(0.0):
            return
        clock.now += 0.1


@given(crowds, routings, some, some)
def test_more_classes_never_mean_more_backends(
    crowd: list[tuple[dict[str, Any], str]], routing: dict[str, Any], few: frozenset[str], more: frozenset[str]
) -> None:
    """Whom a question may be shown to shrinks with every class that it is said to hold."""
    allows = [of["allows"] for of, _ in crowd]
    able = [forbidden(few, each) is None for each in allows]
    still = [forbidden(few | more, each) is None for each in allows]
    assert all(before or not after for before, after in zip(able, still, strict=True))


@given(crowds, routings, some.filter(bool))
def test_who_is_left_out_for_it_is_told_so(
    crowd: list[tuple[dict[str, Any], str]], routing: dict[str, Any], classes: frozenset[str]
) -> None:
    """The refusal names the rule for each, and is about nothing else where nobody allows the question."""
    clock = FakeClock()
    it = world(crowd, clock, **routing)
    asked = request(data_classes=classes)
    if any(classes <= of["allows"] for of, _ in crowd):
        excluded = left_out(it, asked)
    else:
        with pytest.raises(NoBackendAvailable) as refused:
            it.explain(asked)
        assert (refused.value.code, refused.value.retry_after, refused.value.full) == (NOT_ALLOWED, None, False)
        excluded = refused.value.reasons
        assert len(excluded) == len(crowd)
    for name, why in excluded.items():
        if missing := classes - it.backends[name].options.allows:
            assert why.startswith("its `allows` does not name the data class")
            assert why.endswith(", ".join(sorted(missing)))


def left_out(it: Selection, asked: Request) -> dict[str, str]:
    try:
        return it.explain(asked).excluded
    except NoBackendAvailable as refused:
        return refused.reasons


@pytest.mark.parametrize("strategy", list(Strategy))
def test_of_a_large_tier_only_those_that_allow_it_are_drawn(strategy: str) -> None:
    """Above fifty a policy sees a few drawn ones; those are drawn from who may be asked."""
    backends = [backend(f"b{i:03}", allows=frozenset({"patients"} if i % 40 == 0 else ())) for i in range(120)]
    it = selection(backends, strategy)
    chosen = {it.explain(request(data_classes=frozenset({"patients"}), session=f"s{i}")).backend_id for i in range(60)}
    assert chosen <= {"b000", "b040", "b080"}


def test_a_question_without_a_class_goes_anywhere() -> None:
    """A backend that allows something is not kept for it."""
    it = selection([backend("a", allows=frozenset({"patients"})), backend("b")])
    assert {it.explain(request()).backend_id for _ in range(4)} == {"a", "b"}


@pytest.mark.parametrize("said", ["", " , ", "Ä", "a b", "a" * 33, ",".join(f"c{i}" for i in range(MOST + 1)), "-a"])
def test_what_is_no_name_of_a_class_is_refused(said: str) -> None:
    """A question that says something unreadable of what it holds is not asked as if it held nothing."""
    with pytest.raises(ValueError, match="must be 1 to"):
        read(said)


def test_names_are_read_without_regard_to_case_and_spaces() -> None:
    """One class, one name."""
    assert read(" Patients, TRIALS ,patients") == {"patients", "trials"}

"""What is asked of a backend in short, for speed, says the same as what is asked of it in full."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.backend import EMBEDDINGS, LLM_VIA, Backend
from equipoise.core.health import SLOW_START_SECONDS
from equipoise.core.model import BackendType, Outcome, Request, Usage, Verdict
from equipoise.core.pricing import Price
from tests.fakes import backend, price, request

OPTIONS = st.one_of(
    st.fixed_dictionaries({"max_concurrent": st.integers(1, 4)}),
    st.fixed_dictionaries({"per_minute": st.integers(1, 4)}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(list(BackendType)), "reliability": st.floats(0.0, 1.0)},
        optional={
            "price": st.sampled_from([None, price(40.0), Price(input=0, output=0, source=LLM_VIA)]),
            "llm_via": st.just(("auto",)),
            "supports": st.sampled_from([frozenset({EMBEDDINGS}), frozenset({"tools", "json"})]),
            "allows": st.just(frozenset({"patients"})),
            "context_tokens": st.integers(1, 3000),
            "tokens_per_minute": st.integers(1, 5000),
        },
    ),
)
SIZES: dict[str, Any] = {
    "input_tokens": st.integers(0, 2000),
    "output_tokens": st.sampled_from([0, 0, 5, 1000]),
    "answers": st.integers(1, 3),
    "kind": st.sampled_from(["general", "review"]),
}
NEEDS = st.sampled_from([frozenset({EMBEDDINGS}), frozenset({"tools"})])
QUESTIONS = st.one_of(
    st.builds(request, **SIZES),
    st.builds(request, **SIZES, deadline=st.floats(0.0, 600.0)),
    st.builds(request, **SIZES, needs=NEEDS),
    st.builds(request, **SIZES, max_cost=st.integers(0, 10_000_000)),
    st.builds(request, **SIZES, data_classes=st.just(frozenset({"patients"}))),
)
Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["asked", "asked", "usual", "waited", "probed", "drained", *Verdict]),
        st.integers(0, 8),
        st.sampled_from([0.0, 0.5, 20.0, 45.0]),
    ),
    min_size=8,
    max_size=20,
)


def happens(it: Backend, step: Step, now: float, permits: list[Any]) -> None:
    """One thing that a backend lives through, so many times; all its attempts end with what the step says."""
    what, times, seconds = step
    for _ in range(times):
        if what == "asked" and it.breaker.allows(now):
            permits.append(it.began(now, regardless=False))
        elif what == "probed":
            it.health.probed(healthy=seconds == 0.0, error="no", details={}, now=now, wall=now)
        elif what == "drained":
            it.draining = not it.draining
        elif what == "usual":
            it.load.durations.add(seconds, now)
    if what in list(Verdict):
        usage = Usage(input_tokens=10, output_tokens=times * 100)
        outcome = Outcome(Verdict(what), seconds, seconds / 2, usage, cost=times * 1000, retry_after=seconds)
        while permits:
            it.ended(permits.pop(), outcome, now, "review" if times else "general")


def agrees(it: Backend, asked: Request, now: float) -> None:
    """Free is only who has nothing against it; a candidate's numbers are the backend's own."""
    if it.free(asked, now):
        assert (it.unfit(asked, now), it.unwell(now), it.cold(now)) == (None, None, None)
    candidate = it.candidate(asked, now)
    assert candidate.expected_cost == it.expected_cost(asked)
    assert candidate.health == it.health.value(now)


@given(OPTIONS, STEPS, st.lists(QUESTIONS, min_size=1, max_size=3))
def test_whatever_it_lives_through_the_short_answers_are_the_long_ones(
    options: dict[str, Any], steps: list[Step], asked: list[Request]
) -> None:
    """With any limits, price, abilities and secrets, at any instant, for any question."""
    it, now, permits = backend("a", **options), 100.0, list[Any]()
    for step in steps:
        now += step[2] if step[0] == "waited" else 0.1
        happens(it, step, now, permits)
        for each in (request(), *asked):
            agrees(it, each, now)


@given(QUESTIONS, st.integers(0, 30))
def test_a_well_backend_without_limits_is_free_for_whoever_asks_for_nothing_special(
    asked: Request, answered: int
) -> None:
    """Which is what the short question is for; else it would be always in vain."""
    it, now = backend("a"), 100.0
    for _ in range(answered):
        now += 1.0
        it.ended(it.began(now, regardless=False), Outcome(verdict=Verdict.SUCCESS, duration=1.0), now)
    special = asked.needs or asked.data_classes or asked.max_cost is not None
    assert it.free(asked, now) == (not special and it.unfit(asked, now) is None)


def test_one_that_comes_back_is_not_free_before_its_slow_start_is_over() -> None:
    """Its places grow, and have to be counted."""
    it = backend("a")
    it.health.recovered(100.0)
    assert not it.free(request(), 100.0 + SLOW_START_SECONDS - 0.1)
    assert it.free(request(), 100.0 + SLOW_START_SECONDS)


@pytest.mark.parametrize(("field", "value"), [("cooling_until", 101.0), ("draining", True)])
def test_an_operator_or_a_throttle_is_obeyed(field: str, value: object) -> None:
    """At once, and in both."""
    it = backend("a")
    assert it.free(request(), 100.0)
    setattr(it, field, value)
    assert not it.free(request(), 100.0)
    assert it.unwell(100.0) is not None


def test_one_whose_breaker_is_open_is_not_free() -> None:
    """Whatever else speaks for it."""
    it, failed = backend("a"), Outcome(Verdict.FAILURE, 1.0)
    while it.breaker.allows(100.0):
        assert it.free(request(), 100.0)
        it.ended(it.began(100.0, regardless=False), failed, 100.0)
    assert not it.free(request(), 100.0)

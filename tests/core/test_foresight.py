"""An explanation is what happens next, and giving it changes nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.model import NoBackendAvailable, Strategy, Verdict
from equipoise.core.selection import Lease, Selection
from tests.core.test_selection import settle
from tests.fakes import FakeClock, backend, request, selection

TEXTS = ("Which metabolites rise in sepsis?", "latest news on biomarkers", "How is NMR done?", "hello")
verdicts = st.sampled_from([Verdict.SUCCESS] * 3 + [Verdict.FAILURE, Verdict.THROTTLED, Verdict.NO_ANSWER])
requests = st.builds(
    request,
    st.sampled_from(TEXTS),
    kind=st.sampled_from(["general", "review"]),
    session=st.one_of(st.none(), st.sampled_from(["s1", "s2"])),
    pinned=st.sampled_from([None] * 5 + ["b1"]),
    strategy=st.one_of(st.none(), st.sampled_from([strategy.value for strategy in Strategy])),
)


class Asked(msgspec.Struct):
    """One step of a story: a question, what became of it, and how much later it ended."""

    request: Any
    verdict: Verdict
    seconds: float


steps = st.lists(st.builds(Asked, requests, verdicts, st.floats(0.01, 40.0)), min_size=1, max_size=25)


def decided(it: Selection, wanted: Any) -> Any:
    """What acquire does: the lease, or the reasons why there is none."""
    try:
        return it.acquire(wanted)
    except NoBackendAvailable as error:
        return error.reasons


def foreseen(it: Selection, wanted: Any) -> Any:
    try:
        return msgspec.structs.replace(it.foresee(wanted), scores={})
    except NoBackendAvailable as error:
        return error.reasons


@settings(max_examples=60, deadline=None)
@given(
    steps,
    st.sampled_from([strategy.value for strategy in Strategy]),
    st.integers(1, 60),
    st.booleans(),
)
def test_what_is_explained_is_what_then_happens(story: list[Asked], strategy: str, count: int, sticky: bool) -> None:
    """For every strategy, tier, breaker state and number of backends, however often it is asked before."""
    clock = FakeClock()
    backends = [backend(f"b{number}", clock, priority=1 + number % 2, weight=1.0 + number) for number in range(count)]
    it = selection(backends, strategy, clock=clock, sticky=sticky)
    for step in story:
        if step.request.pinned is not None and step.request.pinned not in it.backends:
            continue
        told = [foreseen(it, step.request) for _ in range(2)]
        found = decided(it, step.request)
        lease = found if isinstance(found, Lease) else None
        assert told == [found if lease is None else lease.decision] * 2
        clock.now += step.seconds
        if lease is not None:
            settle(it, lease, step.verdict)


class Locked:
    """A policy of the user's own that cannot be copied."""

    def __init__(self) -> None:
        self.asked = 0

    def choose(self, candidates: Any, request: Any) -> Any:
        from equipoise.core.model import Choice

        self.asked += 1
        return Choice(candidates[0].backend_id, {}, "the first")

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot be copied")


def test_a_policy_that_cannot_be_copied_is_asked_itself() -> None:
    """Better an explanation that moves it than none."""
    it, own = selection([backend("a")]), Locked()
    with suppress(NoBackendAvailable):
        it._policies["auto", "round_robin"] = own  # type: ignore[assignment]
    assert it.foresee(request()).reason == "the first"
    assert own.asked == 1

"""A selection that replaces another goes on with what was known."""

from __future__ import annotations

from equipoise.core.breaker import BreakerOptions
from equipoise.core.model import Outcome, Verdict
from tests.core.policies.candidates import scored
from tests.fakes import FakeClock, backend, request, selection

WELL = Outcome(verdict=Verdict.SUCCESS, duration=2.0)


def test_what_stays_keeps_its_memory_and_what_went_is_forgotten() -> None:
    """Totals, response times and attempts under way belong to the backend, not to the table it stood in."""
    clock = FakeClock()
    before = selection([backend("a", clock), backend("b", clock)], "adaptive_learning", clock=clock)
    for _ in range(3):
        before.settle(before.acquire(request(pinned="a")), WELL)
        before.settle(before.acquire(request(pinned="b")), WELL)
    before.explain(request())
    under_way = before.acquire(request(pinned="a"))
    after = selection([backend("a", clock, weight=3.0), backend("c", clock)], "adaptive_learning", clock=clock)
    after.inherit(before)
    row = after.status()[0]
    assert (row["requests"], row["in_flight"], row["weight"]) == (3, 1, 3.0)
    before.settle(under_way, WELL)
    assert after.status()[0]["in_flight"] == 0
    assert after.observers is before.observers


def test_a_learning_policy_goes_on_with_what_it_believes() -> None:
    """The same route with the same backends keeps its policy; scores are then taken in by it."""
    clock = FakeClock()
    before = selection([backend("a", clock), backend("b", clock)], "adaptive_learning", clock=clock)
    lease = before.acquire(request())
    before.settle(lease, WELL)
    (policy,) = before.learners().values()
    after = selection([backend("a", clock), backend("b", clock)], "adaptive_learning", clock=clock)
    after.inherit(before)
    after.scored(scored(lease.request.id, lease.backend_id, 0.5))
    assert after.learners()["auto", "adaptive_learning"] is policy
    assert policy.learner.arms[lease.backend_id].scored == 1
    assert selection([backend("a", clock)], "round_robin", clock=clock).learners() == {}


def test_a_breaker_configured_anew_begins_anew() -> None:
    """Old counts say nothing under new thresholds; the same thresholds keep them."""
    clock = FakeClock()
    old, same, other = (
        backend("a", clock),
        backend("a", clock),
        backend("a", clock, breaker=BreakerOptions(failure_threshold=50)),
    )
    same.inherit(old)
    other.inherit(old)
    assert same.breaker is old.breaker
    assert other.breaker is not old.breaker

"""Priorities and regions: who is preferred, and how much overflows as health falls."""

from __future__ import annotations

from collections import Counter

import pytest

from equipoise.core.backend import Backend
from equipoise.core.model import Decision, Strategy
from equipoise.core.selection import Selection
from tests.fakes import FakeClock, backend, request, selection


def drained(backends: list[Backend], count: int) -> list[Backend]:
    for it in backends[:count]:
        it.drain()
    return backends


def two_tiers(out: int, strategy: str = "weighted") -> Selection:
    """Five backends first, two in reserve; of the five so many are out."""
    first = drained([backend(f"a{i}") for i in range(5)], out)
    return selection([*first, backend("b0", priority=2), backend("b1", priority=2)], strategy)


def decisions(it: Selection, count: int) -> list[Decision]:
    return [it.explain(request()) for _ in range(count)]


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize(("out", "share"), [(0, 1.0), (1, 1.0), (2, 0.84), (3, 0.56), (4, 0.28), (5, 0.0)])
def test_a_tier_takes_what_its_health_allows_and_the_rest_overflows(strategy: str, out: int, share: float) -> None:
    """1.4 times the healthy share, at most all, under every strategy: the promise of an overprovisioned tier."""
    made = decisions(two_tiers(out, strategy), 600)
    first = sum(decision.backend_id.startswith("a") for decision in made) / len(made)
    assert first == pytest.approx(share, abs=4 * (share * (1 - share) / len(made)) ** 0.5)


def test_probabilities_are_those_of_the_whole_decision() -> None:
    """The chance of the tier times the chance within it; over both tiers they sum to one."""
    made = decisions(two_tiers(2), 400)
    by_tier = {decision.backend_id[0]: decision for decision in made}
    assert by_tier["a"].probabilities == pytest.approx({"a2": 0.28, "a3": 0.28, "a4": 0.28})
    assert by_tier["b"].probabilities == pytest.approx({"b0": 0.08, "b1": 0.08})
    assert all(d.probability == pytest.approx(d.probabilities[d.backend_id]) for d in made)
    assert sum(sum(d.probabilities.values()) for d in by_tier.values()) == pytest.approx(1.0)


def test_who_was_in_another_tier_is_told_so() -> None:
    """Everybody is either a candidate or has a reason."""
    for decision in decisions(two_tiers(2), 20):
        assert {c.backend_id for c in decision.candidates} | set(decision.excluded) >= {"a0", "a1", "a2", "a3", "a4"}
        if decision.backend_id.startswith("b"):
            assert "its tier takes 84% of requests now" in decision.excluded["a2"]


def test_what_no_tier_has_room_for_is_shared_by_health() -> None:
    """One of five and one of three healthy: 0.28 and 0.47 become 3/8 and 5/8; nobody is refused."""
    first = drained([backend(f"a{i}") for i in range(5)], 4)
    second = drained([backend(f"b{i}", priority=2) for i in range(3)], 2)
    made = decisions(selection([*first, *second], "weighted"), 2000)
    assert sum(d.backend_id == "a4" for d in made) / 2000 == pytest.approx(3 / 8, abs=0.04)


def test_own_region_first_within_a_priority_and_overflow_alike() -> None:
    """Another region is a tier behind the own one, and before the next priority; no label is no match."""
    backends = [
        backend("near0", region="east"),
        backend("near1", region="east"),
        backend("far", region="west"),
        backend("anywhere"),
        backend("reserve", region="east", priority=2),
    ]
    it = selection(backends, "round_robin", region="east")
    assert {d.backend_id for d in decisions(it, 20)} == {"near0", "near1"}
    it.drain("near0")
    counts = Counter(d.backend_id for d in decisions(it, 2000))
    assert counts["near1"] / 2000 == pytest.approx(0.7, abs=0.04)
    assert counts["far"] == pytest.approx(counts["anywhere"], abs=1)
    assert counts["reserve"] == 0
    it.drain("near1")
    it.drain("far")
    it.drain("anywhere")
    assert {d.backend_id for d in decisions(it, 20)} == {"reserve"}


def test_without_a_region_of_its_own_a_gateway_prefers_none() -> None:
    """Labels alone change nothing."""
    it = selection([backend("a", region="east"), backend("b", region="west")], "round_robin")
    assert Counter(d.backend_id for d in decisions(it, 20)) == {"a": 10, "b": 10}


def test_a_large_tier_overflows_by_a_count_that_is_at_most_a_second_old() -> None:
    """Above fifty nobody is looked at one by one; half out means that 70 % stay."""
    clock = FakeClock()
    first = [backend(f"a{i:03}") for i in range(100)]
    it = selection([*first, backend("b", priority=2)], "weighted", clock=clock)
    assert {d.backend_id[0] for d in decisions(it, 50)} == {"a"}
    drained(first, 50)
    clock.now += 1.0
    share = sum(d.backend_id != "b" for d in decisions(it, 2000)) / 2000
    assert share == pytest.approx(0.7, abs=0.04)


def test_a_weight_changed_at_run_time_counts_from_the_next_decision_on() -> None:
    """Whether all are compared or a few drawn; 0 leaves everything to the others, and a reload keeps it."""
    for count in (3, 60):
        backends = [backend(f"b{i}") for i in range(count)]
        it = selection(backends, "weighted")
        for other in backends[1:]:
            it.set_weight(other.id, 0.0)
        assert {d.backend_id for d in decisions(it, 50)} == {"b0"}
        after = selection([backend(f"b{i}") for i in range(count)], "weighted")
        after.inherit(it)
        assert {d.backend_id for d in decisions(after, 50)} == {"b0"}


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), 1e7])
def test_what_is_no_weight_is_refused(weight: float) -> None:
    """And the old one stays."""
    it = selection([backend("a", weight=2.0)])
    with pytest.raises(ValueError, match="a weight lies between 0 and"):
        it.set_weight("a", weight)
    assert it.backends["a"].weight == 2.0

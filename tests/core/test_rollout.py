"""The split, the order of phases and the gates, as pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from equipoise.core.rollout import (
    FEATURES,
    PHASES,
    Criteria,
    Evidence,
    Order,
    Result,
    State,
    Step,
    candidate_takes,
    cost_efficiency,
    features_of,
    gates,
    phase_at,
    phases_passed,
    position,
    raises_traffic,
    refusal,
)

keys, salts = st.text(max_size=40), st.text(max_size=10)
percentages = st.floats(0, 100)
GOOD = Evidence(requests=40, answered=40, seconds=40.0, cost=4000, costed=40, quality=30.0, scored=40)
PENDING = {"quality_score_minimum": "Learning"}


def at(phase: int, since: float = 0.0) -> State:
    return State(phase=phase, percentage=PHASES[phase].percentage if phase else 0.0, since=since)


@given(keys, salts, percentages, percentages)
def test_raising_the_percentage_never_expels_anyone(key: str, salt: str, one: float, other: float) -> None:
    """Whoever the new side takes at a percentage, it takes at every higher one."""
    low, high = sorted((one, other))
    assert candidate_takes(key, high, salt) or not candidate_takes(key, low, salt)


@given(keys, salts, percentages)
def test_the_same_key_is_always_treated_the_same(key: str, salt: str, percentage: float) -> None:
    """No memory is needed for stickiness: at 0 nobody, at 100 everybody, in between one place for ever."""
    assert 0.0 <= position(key, salt) < 100.0
    assert candidate_takes(key, percentage, salt) == candidate_takes(key, percentage, salt)
    assert not candidate_takes(key, 0.0, salt)
    assert candidate_takes(key, 100.0, salt)


@pytest.mark.parametrize("percentage", [10, 25, 30, 50, 99.5])
def test_a_percentage_of_many_keys_is_that_percentage(percentage: float) -> None:
    """Half a point for 20,000 keys is more than three standard errors at 25 %, four at 10 %."""
    share = sum(candidate_takes(f"user-{number}", percentage) for number in range(20_000)) / 200
    assert share == pytest.approx(percentage, abs=1.0)


def test_another_salt_sends_others_first() -> None:
    """So that the same people are not the first in every move: two salts agree on about 25 % × 25 % of the keys."""
    both = sum(candidate_takes(f"u{n}", 25, "a") and candidate_takes(f"u{n}", 25, "b") for n in range(20_000))
    assert both / 20_000 == pytest.approx(0.0625, abs=0.01)


def test_the_phases_are_those_of_the_specification() -> None:
    """0, 10, 25, 50, 100 %, and every feature from the phase that switches it on."""
    assert [phase.percentage for phase in PHASES.values()] == [0, 10, 25, 50, 100]
    assert features_of(0) == features_of(1) == ()
    assert features_of(2) == ("real_time_monitoring",)
    assert features_of(3) == (*features_of(2), "cost_optimization", "quality_based_routing")
    assert features_of(4) == features_of(5) == FEATURES
    assert [phase_at(percentage) for percentage in (0, 9.9, 10, 25, 30, 50, 99, 100)] == [1, 1, 2, 3, 3, 4, 4, 5]


@pytest.mark.parametrize(
    "order",
    [
        Order(),
        Order(phase=1, percentage=10),
        Order(phase=0),
        Order(phase=6),
        Order(percentage=-1),
        Order(percentage=101),
    ],
)
def test_an_order_says_one_thing_that_exists(order: Order) -> None:
    """A phase from 1 to 5 or a percentage, not both."""
    with pytest.raises(ValueError):
        order.target()


def test_phases_begin_one_after_the_other() -> None:
    """Neither skipped nor begun again backwards, unless by force."""
    assert refusal(at(0), Order(phase=1), 0.0, {}) is None
    assert "phase 1 comes first" in str(refusal(at(0), Order(phase=5), 0.0, {}))
    assert "phase 3 comes first" in str(refusal(at(2), Order(phase=4), 0.0, {}))
    assert "rollback" in str(refusal(at(3), Order(phase=2), 0.0, {}))
    assert refusal(at(0), Order(phase=5, force=True), 0.0, {}) is None


def test_a_phase_is_held_for_its_time() -> None:
    """A percentage does not wait for it, force neither."""
    holds, state = {2: 600.0}, at(2, since=1000.0)
    assert refusal(state, Order(phase=3), 1599.0, holds) == "phase 2 is held for another 1 s"
    assert refusal(state, Order(phase=3), 1120.0, holds) == "phase 2 is held for another 8.0 min"
    assert refusal(state, Order(phase=3), 1600.0, holds) is None
    assert refusal(state, Order(percentage=25), 1001.0, holds) is None
    assert refusal(state, Order(phase=3, force=True), 1001.0, holds) is None


def test_a_percentage_passes_all_phases_below_it() -> None:
    """Their gates are to be run; lowering the traffic passes none."""
    assert phases_passed(at(0), Order(percentage=25)) == (1, 2, 3)
    assert phases_passed(at(2), Order(percentage=60)) == (3, 4)
    assert phases_passed(at(3), Order(percentage=30)) == ()
    assert phases_passed(at(4), Order(percentage=5)) == ()
    assert raises_traffic(at(3), Order(percentage=30))
    assert raises_traffic(at(0), Order(phase=1))
    assert not raises_traffic(at(4), Order(percentage=5))


@given(st.lists(st.tuples(st.integers(0, 5), percentages), max_size=80))
def test_the_history_remembers_the_last_changes_and_the_era_counts_all(moves: list[tuple[int, float]]) -> None:
    """Every change begins a new era, with the features of its phase."""
    state = State()
    for phase, percentage in moves:
        state = state.moved(Step(phase, percentage, 1.0, "ann", "because"))
        assert state.features == features_of(phase)
    assert state.era == len(moves)
    assert [(step.phase, step.percentage) for step in state.history] == moves[-50:]


def results(new: Evidence, old: Evidence = GOOD) -> dict[str, Result]:
    found = gates(Criteria(), new, old, needed=20, pending=PENDING)
    return {gate.name: gate.result for gate in found}


def test_every_criterion_is_enforced() -> None:
    """Each of the four fails by itself, at the specification's values."""
    assert set(results(GOOD).values()) == {Result.PASSED}
    slow = Evidence(requests=40, answered=40, seconds=80.1, cost=4000, costed=40)
    assert results(slow)["response_time_ms"] is Result.FAILED
    failing = Evidence(requests=40, answered=37, seconds=37.0, cost=3700, costed=37)
    assert results(failing)["success_rate_percentage"] is Result.FAILED
    dear = Evidence(requests=40, answered=40, seconds=40.0, cost=5001, costed=40)
    assert results(dear)["cost_efficiency_ratio"] is Result.FAILED
    poor = structs.replace(GOOD, quality=29.9)
    assert results(poor)["quality_score_minimum"] is Result.FAILED
    assert results(structs.replace(GOOD, scored=19))["quality_score_minimum"] is Result.NOT_MEASURED


def test_what_was_not_measured_has_not_passed() -> None:
    """Too few questions, none, none answered, no price, no score: "not measured", and only what waits for a feature
    does not hold back."""
    few = Evidence(requests=19, answered=19, seconds=1.0, cost=1, costed=19)
    for new in (few, Evidence()):
        assert set(results(new).values()) == {Result.NOT_MEASURED}
    found = gates(Criteria(), few, GOOD, needed=20, pending=PENDING)
    assert {gate.name: gate.holds_back for gate in found} == {
        "response_time_ms": True,
        "success_rate_percentage": True,
        "cost_efficiency_ratio": True,
        "quality_score_minimum": False,
    }
    none = results(Evidence(requests=30))
    assert (none["response_time_ms"], none["success_rate_percentage"]) == (Result.NOT_MEASURED, Result.FAILED)


def test_what_nobody_asks_for_or_nothing_can_tell_holds_nothing_back() -> None:
    """A minimum quality of 0, an old side that never tells its cost: not measured, and never waited for."""
    unscored = structs.replace(GOOD, scored=0, quality=0.0)
    found = gates(Criteria(quality_score_minimum=0.0), unscored, Evidence(), needed=20, pending={})
    assert {gate.name for gate in found if gate.result is Result.NOT_MEASURED} == {
        "cost_efficiency_ratio",
        "quality_score_minimum",
    }
    assert not any(gate.holds_back for gate in found)


@given(st.builds(Evidence, requests=st.integers(0, 60), answered=st.integers(0, 60), seconds=st.floats(0, 1e6)))
def test_nothing_passes_without_a_number(new: Evidence) -> None:
    """Whatever the evidence, a gate that passed shows what it measured; one that waits never says passed."""
    for gate in gates(Criteria(), new, Evidence(), needed=20, pending={"cost_efficiency_ratio": "Money"}):
        assert (gate.measured is None) == (gate.result is Result.NOT_MEASURED)
        assert gate.waits_for is None or gate.result is Result.NOT_MEASURED


def test_cost_efficiency_is_the_old_price_of_an_answer_over_the_new_one() -> None:
    """An unknown price is not free: without the old one there is nothing to compare with."""
    new = Evidence(requests=10, answered=10, cost=1250, costed=10)
    assert cost_efficiency(new, Evidence(requests=4, answered=4, cost=400, costed=4))[0] == 0.8
    assert cost_efficiency(new, Evidence(requests=4, answered=4)) == (None, "what the old side pays is unknown")
    assert cost_efficiency(Evidence(requests=10, answered=10, cost=1250, costed=9), GOOD)[0] is None

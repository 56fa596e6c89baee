"""What another policy would have done: intervals that cover the truth, refusals where the record cannot tell."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.replay import Finding, Recorded, alone, by_kind, finding, findings, frontier, misfit
from tests.core.logged import World

NAMES = ("a", "b", "c")


def quality(log: Sequence[Recorded], target: Sequence[dict[str, float]]) -> Finding:
    found = finding("quality", log, target)
    assert found is not None
    return found


def test_the_interval_covers_the_truth_in_at_least_93_of_100() -> None:
    """A better policy, never run, judged 150 times from 700 decisions with a floor of 50 %."""
    world = World(floor=0.5)
    truth = world.truth(60_000)
    judged = [quality(*world.log(700, seed)) for seed in range(150)]
    assert all(one.refusal is None for one in judged)
    covered = sum(one.doubly_robust.low <= truth <= one.doubly_robust.high for one in judged)
    assert covered / 150 >= 0.93
    assert sum(one.snips.low <= truth <= one.snips.high for one in judged) / 150 >= 0.90


def test_wrong_propensities_are_found_out_and_would_have_misled() -> None:
    """A record that claims to have drawn evenly, and had not: it contradicts itself, and its intervals miss the truth."""
    honest, _ = World(floor=0.2).log(3000, 1)
    lying, _ = World(floor=0.2, told=1.0).log(3000, 1)
    assert misfit(honest) is None
    assert "was chosen" in str(misfit(lying))
    truth = World(floor=0.5).truth(60_000)
    judged = [quality(*World(floor=0.2, told=1.0).log(3000, seed)) for seed in range(20)]
    assert sum(one.snips.low <= truth <= one.snips.high for one in judged) / 20 < 0.93


def test_a_deterministic_past_is_refused_and_the_floor_named_that_would_help() -> None:
    """Always the same backend: what another would have done was never seen."""
    log = [Recorded(backend_id="a", probabilities={"a": 1.0, "b": 0.0}, quality=0.8) for _ in range(2000)]
    found = quality(log, [{"b": 1.0}] * 2000)
    assert "never possible" in str(found.refusal)
    assert found.unseen == 1.0
    assert found.floor == 0.1  # 2000 x 0.1 / 2 = 100 decisions for b
    assert quality(log, [{"a": 1.0}] * 2000).refusal is None


def test_too_few_effective_decisions_are_refused() -> None:
    """A floor that was there, but so small that a handful of decisions carries everything."""
    chance = random.Random(3)
    log = [
        Recorded(backend_id=name, probabilities={"a": 0.99, "b": 0.01}, quality=0.5)
        for name in chance.choices("ab", (0.99, 0.01), k=2000)
    ]
    found = quality(log, [{"b": 1.0}] * 2000)
    assert "are needed" in str(found.refusal)
    assert found.effective == pytest.approx(20.0)


@given(seed=st.integers(0, 10_000), floor=st.floats(0.05, 1.0))
@settings(max_examples=25, deadline=None)
def test_the_policy_that_was_run_is_judged_as_what_was_seen(seed: int, floor: float) -> None:
    """With the record's own probabilities as the target, weights are 1 and nothing changes."""
    log, _ = World(floor=floor).log(60, seed)
    found = quality(log, [one.probabilities for one in log])
    assert found.snips.value == pytest.approx(found.recorded.value)
    assert found.doubly_robust.value == pytest.approx(found.recorded.value, abs=0.12)
    assert found.effective == pytest.approx(60.0)


def test_a_failure_is_worth_nothing_and_an_unscored_answer_is_unknown() -> None:
    """So quality is judged over what was scored or failed, errors over everything."""
    half = {"a": 0.5, "b": 0.5}
    log = [
        Recorded(backend_id="a", probabilities=half, quality=1.0, cost=0.01, seconds=2.0),
        Recorded(backend_id="b", probabilities=half, quality=None, cost=0.02, seconds=1.0),
        Recorded(backend_id="a", probabilities=half, answered=False, cost=0.0),
        Recorded(backend_id="b", probabilities=half, quality=0.5, cost=0.02, seconds=1.0),
    ]
    found = findings(log, [half] * 4)
    assert {name: one.decisions for name, one in found.items()} == {
        "quality": 3,
        "errors": 4,
        "cost_usd": 4,
        "seconds": 3,
    }
    assert found["quality"].recorded.value == pytest.approx(0.5)
    assert found["errors"].recorded.value == pytest.approx(0.25)


@pytest.mark.parametrize("scored", [1, 10])
def test_failures_count_as_often_as_they_were_however_few_answers_are_scored(scored: int) -> None:
    """Half of what the one is asked fails: it is worth half of 0.8, whether every answer was scored or one of ten."""
    chance = random.Random(4)
    log = []
    for number in range(8000):
        name, failed = chance.choice("ab"), number % 2 == 0
        answered = name == "a" or not failed
        quality_seen = 0.8 if answered and chance.randrange(scored) == 0 else None
        log.append(
            Recorded(backend_id=name, probabilities={"a": 0.5, "b": 0.5}, answered=answered, quality=quality_seen)
        )
    assert quality(log, [{"a": 1.0}] * len(log)).snips.value == pytest.approx(0.8, abs=0.001)
    found = quality(log, [{"b": 1.0}] * len(log))
    assert found.recorded.value == pytest.approx(0.6, abs=0.03)
    assert found.snips.value == pytest.approx(0.4, abs=0.05)
    assert found.doubly_robust.low <= 0.4 <= found.doubly_robust.high


def test_each_kind_of_question_is_judged_by_itself() -> None:
    """With its own numbers of decisions."""
    log, target = World(floor=0.5).log(900, 5)
    told = by_kind(log, target)
    assert sum(found["quality"].decisions for found in told.values()) == 900
    assert set(told) == {"metabolomics", "review", "general"}


def test_a_backend_alone_is_asked_whenever_it_could_be() -> None:
    """Where it was no candidate, the record stands; where it mostly was none, its numbers would be those of the others."""
    both = Recorded(backend_id="a", probabilities={"a": 0.5, "b": 0.5}, cost=1.0)
    other = Recorded(backend_id="b", probabilities={"a": 0.5, "b": 0.5}, cost=3.0)
    without = Recorded(backend_id="a", probabilities={"a": 1.0}, cost=1.0)
    log = [both, other] * 450 + [without] * 100
    random.Random(1).shuffle(log)
    found = alone("b", log)["cost_usd"]
    assert found.refusal is None
    assert found.doubly_robust.value == pytest.approx(0.9 * 3.0 + 0.1 * 1.0, abs=0.05)
    rare = alone("b", [both, other] * 440 + [without] * 120)["cost_usd"]
    assert rare.refusal == "it could be asked in 880 of 1000 decisions"


def test_a_backend_that_was_there_but_had_no_chance_says_nothing_alone() -> None:
    """Taking turns leaves one possible choice a question: what another would have answered then was never seen, however
    many the decisions, and so many decisions are not worth more than they are."""
    able = frozenset("ab")
    turns = [Recorded(backend_id=name, probabilities={name: 1.0}, able=able, cost=1.0) for name in "ab" * 500]
    for name in "ab":
        found = alone(name, turns)["cost_usd"]
        assert "50% of its choices were never possible" in str(found.refusal)
        assert found.effective == pytest.approx(500.0)


def test_dominated_backends_are_named_with_who_dominates_them() -> None:
    """Less quality for more money; equals do not dominate each other."""
    points = {"best": (0.9, 3.0), "cheap": (0.7, 1.0), "worse": (0.6, 2.0), "twin": (0.7, 1.0)}
    assert frontier(points) == {"best": None, "cheap": None, "twin": None, "worse": "cheap"}


def test_intervals_are_finite_or_say_that_nothing_is_known() -> None:
    """One decision has no deviation."""
    log = [Recorded(backend_id="a", probabilities={"a": 1.0}, quality=0.8)]
    found = quality(log, [{"a": 1.0}])
    assert math.isinf(found.doubly_robust.high)
    assert found.refusal is not None

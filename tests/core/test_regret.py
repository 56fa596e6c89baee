"""What was lost against the best backend alone: told by the record, or not at all."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.regret import alone, best, summed
from equipoise.core.replay import Recorded
from tests.core.logged import NAMES, World

WORTH = {"a": 0.5, "b": 0.8, "c": 0.3}


def drawn(count: int, floor: float, good: str, seed: int = 1) -> list[Recorded]:
    """Decisions of somebody who asks `good`, but for a floor; each backend is worth what it is worth."""
    chance = random.Random(seed)
    chances = {name: floor / 3 + (1.0 - floor) * (name == good) for name in WORTH}
    names = chance.choices(list(chances), list(chances.values()), k=count)
    able = frozenset(chances)
    return [
        Recorded(backend_id=name, probabilities=chances, able=able, quality=float(chance.random() < WORTH[name]))
        for name in names
    ]


def test_the_best_backend_alone_is_found_with_what_it_would_have_been_worth() -> None:
    """In nine of ten records of a thousand decisions its interval holds the truth; it comes first, the worst last."""
    judged = [alone(drawn(1_000, 0.6, "a", seed)) for seed in range(20)]
    for arms in judged:
        found = best(arms)
        assert found is not None
        assert [arm.backend_id for arm in arms] == ["b", "a", "c"]
    assert sum(arms[0].quality.low <= 0.8 <= arms[0].quality.high for arms in judged) >= 18


def test_regret_rises_where_another_would_have_been_better_and_is_no_more_where_he_was_asked() -> None:
    """0.3 an answer where the worse one is asked; about nothing, but for the exploring, where it is the best."""
    for good, low, high in (("a", 0.1, 0.3), ("b", -0.02, 0.15)):
        log = drawn(3_000, 0.3, good)
        arm = best(alone(log))
        assert arm is not None
        steps = summed(log, [float(i) for i in range(len(log))], arm, 100.0)
        assert [step.moment for step in steps] == [100.0 * i for i in range(30)]
        assert low * 3_000 < steps[-1].regret < high * 3_000, good
        assert steps[-1].regret == pytest.approx(3_000 * arm.gain.value, abs=1e-6)


def test_choosing_by_the_kind_of_question_has_less_than_no_regret() -> None:
    """No single backend is as good as the best for each: the sum falls."""
    log, target = World(floor=1.0).log(6_000, 1)
    chance = random.Random(2)
    chosen = []
    for one, wanted in zip(log, target, strict=True):
        chances = {name: 0.8 if name in wanted else 0.1 for name in NAMES}
        if chance.random() < chances[one.backend_id] / 0.8:  # of an even draw this leaves one with these chances
            chosen.append(msgspec.structs.replace(one, probabilities=chances))
    arm = best(alone(chosen))
    assert arm is not None
    assert summed(chosen, [0.0] * len(chosen), arm, 60.0)[-1].regret < 0.0


def test_who_was_never_asked_is_no_measure() -> None:
    """A past without exploration tells of the one that was asked; the others are named with what is missing."""
    log = [Recorded(backend_id="a", probabilities={"a": 1.0}, able=frozenset("ab"), quality=0.4) for _ in range(500)]
    first, other = alone(log)
    assert (first.backend_id, first.refusal) == ("a", None)
    assert "could be asked in 0 of 500 decisions" in str(other.refusal)
    assert other.share == 0.0
    assert best([first, other]) is first
    assert best([other]) is None


def test_where_a_floor_leaves_a_backend_out_what_was_done_stays_done() -> None:
    """On one of four questions `b` had no chance: it is the measure on the other three."""
    chance = random.Random(6)
    log = []
    for number in range(2_000):
        chances = {"a": 1.0, "b": 0.0} if number % 4 == 0 else {"a": 0.5, "b": 0.5}
        name = chance.choices("ab", list(chances.values()))[0]
        log.append(Recorded(backend_id=name, probabilities=chances, able=frozenset("ab"), quality=WORTH[name]))
    arm = best(alone(log))
    assert arm is not None
    assert (arm.backend_id, arm.share) == ("b", 0.75)
    assert arm.quality.value == pytest.approx(0.25 * 0.5 + 0.75 * 0.8, abs=0.001)


@given(st.integers(1, 60), st.integers(0, 1_000))
def test_steps_add_up(count: int, seed: int) -> None:
    """Every scored decision is in one step, and the sum of a step is that of its decisions."""
    log = drawn(count, 1.0, "a", seed)
    arm = alone(log)[0]
    steps = summed(log, [7.0 * i for i in range(count)], arm, 60.0)
    assert sum(step.scored for step in steps) == count
    total = 0.0
    for step in steps:
        total += step.scored * (arm.quality.value - step.quality)
        assert step.regret == pytest.approx(total, abs=1e-9)

"""What holds for every strategy, whatever the candidates."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.model import Candidate, Policy
from equipoise.core.policies import STRATEGIES, make_policy
from tests.core.policies.candidates import a_request, candidate

CYCLIC_OR_DETERMINISTIC = [
    "round_robin",
    "weighted_round_robin",
    "cost_optimized",
    "performance_based",
    "quality_based",
]
EVERY = pytest.mark.parametrize("name", sorted(STRATEGIES))

share = st.floats(0.0, 1.0)
few = st.integers(0, 3)
numbers = st.fixed_dictionaries(
    {
        "weight": st.sampled_from([0.5, 1.0, 2.0]),
        "in_flight": few,
        "limit": st.sampled_from([1.0, 2.5, 100.0]),
        "health": share,
        "completion": st.sampled_from([0.5, 1.0, 60.0]),
        "expected_cost": st.integers(0, 3),
        "quality_mean": share,
        "quality_sd": st.floats(0.0, 0.3),
        "quality_low": share,
        "success_rate": share,
    }
)
crowds = st.lists(numbers, min_size=1, max_size=7).map(
    lambda rows: [candidate(f"b{i}", **row) for i, row in enumerate(rows)]
)


def fresh(name: str, seed: int = 1, **options: float) -> Policy:
    """A policy that has seen nothing."""
    return make_policy(name, chance=Random(seed), options=options)


def request_for(floor: float) -> Any:
    """A request with a floor of quality."""
    return a_request(min_quality=floor, kind="review")


@EVERY
@given(crowds, share)
def test_the_chosen_one_is_a_candidate_and_the_probabilities_sum_to_one(
    name: str, crowd: list[Candidate], floor: float
) -> None:
    """Every choice names a candidate, its own probability is that of the vector, scores belong to candidates."""
    made = fresh(name).choose(crowd, request_for(floor))
    ids = {c.backend_id for c in crowd}
    assert made.backend_id in ids
    assert made.scores.keys() <= ids
    assert made.reason
    if made.probabilities:
        assert made.probabilities.keys() <= ids
        assert sum(made.probabilities.values()) == pytest.approx(1.0)
        assert min(made.probabilities.values()) >= 0.0
        assert made.probability == made.probabilities[made.backend_id] > 0.0
    else:
        assert made.probability == 1.0


@EVERY
@given(st.lists(crowds, min_size=1, max_size=6))
def test_equal_seeds_choose_alike(name: str, crowd_after_crowd: list[list[Candidate]]) -> None:
    """Two policies with the same seed agree on everything, so a record can be replayed."""
    one, two = fresh(name, seed=3), fresh(name, seed=3)
    for crowd in crowd_after_crowd:
        assert one.choose(crowd, a_request()) == two.choose(crowd, a_request())


@pytest.mark.parametrize("name", CYCLIC_OR_DETERMINISTIC)
@given(st.lists(st.tuples(crowds, st.randoms(use_true_random=False)), min_size=1, max_size=5))
def test_the_order_of_candidates_does_not_matter(name: str, rounds: list[tuple[list[Candidate], Random]]) -> None:
    """Who is chosen depends on the candidates, not on how they are listed."""
    listed, mixed = fresh(name, exploration_floor=0.0), fresh(name, exploration_floor=0.0)
    for crowd, chance in rounds:
        shuffled = chance.sample(crowd, len(crowd))
        assert listed.choose(crowd, a_request()).backend_id == mixed.choose(shuffled, a_request()).backend_id


@pytest.mark.parametrize("name", ["weighted", "health_aware", "adaptive_learning"])
@given(crowds, st.randoms(use_true_random=False))
def test_nor_does_it_change_anyones_probability(name: str, crowd: list[Candidate], chance: Random) -> None:
    """For the random ones the same is true of the probabilities."""
    shuffled = chance.sample(crowd, len(crowd))
    listed, mixed = fresh(name).choose(crowd, a_request()), fresh(name).choose(shuffled, a_request())
    assert listed.probabilities == pytest.approx(mixed.probabilities)


@EVERY
def test_a_single_candidate_is_chosen(name: str) -> None:
    """There is nothing to compare, and it works."""
    assert fresh(name).choose([candidate("only")], a_request(min_quality=0.99)).backend_id == "only"

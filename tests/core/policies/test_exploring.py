"""The exploration floor under any strategy."""

from random import Random

import pytest

from equipoise.core.policies import STRATEGIES, make_policy
from equipoise.core.policies.exploring import Exploring
from tests.core.policies.candidates import alike, candidate, choices, unlikely


@pytest.mark.parametrize("name", ["cost_optimized", "weighted", "performance_based", "health_aware"])
def test_the_floor_is_shared_evenly_and_logged_exactly(name: str) -> None:
    """What is chosen over many requests agrees with the probabilities, and nobody has less than his floor."""
    policy = make_policy(name, chance=Random(1), options={"exploration_floor": 0.2})
    candidates = [candidate("a", expected_cost=1, completion=0.1, weight=5.0), *alike("b", "c", "d")]
    made = choices(policy, candidates, 8_000)
    assert unlikely(made[0].probabilities, made) < 4.0
    assert min(made[0].probabilities.values()) >= 0.05 - 1e-12
    assert sum(made[0].probabilities.values()) == pytest.approx(1.0)


def test_nobody_below_the_floor_of_quality_is_explored() -> None:
    """Exploration never costs a user the quality he asked for."""
    policy = make_policy("cost_optimized", chance=Random(2), options={"exploration_floor": 0.5})
    made = choices(policy, [*alike("a", "b"), candidate("bad", quality_low=0.1)], 500, min_quality=0.5)
    assert "bad" not in {c.backend_id for c in made}
    assert made[0].probabilities["bad"] == 0.0


def test_the_reason_says_that_it_was_an_exploration_and_who_else_was_meant() -> None:
    """A surprising choice explains itself."""
    policy = make_policy("cost_optimized", chance=Random(3), options={"exploration_floor": 1.0})
    reason = choices(policy, alike("a", "b"), 1)[0].reason
    assert reason.startswith("exploring 100.0% of requests (a otherwise: lowest expected cost")


def test_the_floor_hides_nothing_of_the_policy() -> None:
    """Whatever a policy can be told, it can be told under a floor too."""
    policy = make_policy("weighted_round_robin", chance=Random(4), options={"exploration_floor": 0.1})
    assert isinstance(policy, Exploring)
    assert callable(policy.told)
    assert callable(policy.forget)
    assert policy.sampling == "weight"
    assert not hasattr(policy, "learn")


def test_only_learning_and_quality_explore_unasked() -> None:
    """And they do not where exploration is turned off."""
    by_default = {n for n in STRATEGIES if isinstance(make_policy(n, chance=Random(5)), Exploring)}
    assert by_default == {"adaptive_learning", "quality_based"}
    off = {"exploration_floor": 0.0}
    assert not any(isinstance(make_policy(n, chance=Random(5), options=off), Exploring) for n in STRATEGIES)


@pytest.mark.parametrize("floor", [-0.1, 1.1, float("nan")])
def test_a_floor_that_is_no_share_is_refused(floor: float) -> None:
    """Between nothing and everything."""
    with pytest.raises(ValueError, match="exploration_floor"):
        make_policy("weighted", chance=Random(6), options={"exploration_floor": floor})

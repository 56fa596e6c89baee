"""Promises of weighted_round_robin."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.policies.weighted_round_robin import WeightedRoundRobin
from tests.core.policies.candidates import a_request, choices, order, weighing


def smooth() -> WeightedRoundRobin:
    """A fresh policy."""
    return WeightedRoundRobin(chance=Random(1))


def test_five_one_one_is_spread_as_in_nginx() -> None:
    """The heavy one is interleaved with the light ones, not sent five in a row."""
    assert order(choices(smooth(), weighing(a=5.0, b=1.0, c=1.0), 14)) == "aabacaa" * 2


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_each_cycle_gives_exactly_the_weights(weights: list[int]) -> None:
    """After as many choices as the weights sum to, everyone had as many as his weight."""
    named = {chr(97 + i): float(weight) for i, weight in enumerate(weights)}
    made = choices(smooth(), weighing(**named), sum(weights))
    assert Counter(c.backend_id for c in made) == named


@given(st.lists(st.floats(0.1, 10.0), min_size=2, max_size=6), st.integers(1, 80))
def test_at_no_moment_is_anybody_a_burst_away_from_the_share(weights: list[float], count: int) -> None:
    """The number of turns so far stays within a few of the fair number, for any real weights: no bursts, no drift."""
    named = {chr(97 + i): weight for i, weight in enumerate(weights)}
    seen = Counter(c.backend_id for c in choices(smooth(), weighing(**named), count))
    total = sum(weights)
    assert all(abs(seen[name] - count * weight / total) < len(weights) for name, weight in named.items())


def test_new_weights_take_effect_without_a_burst() -> None:
    """The credit of a turn already earned is kept; the shares are the new ones from the next cycle on."""
    policy = smooth()
    choices(policy, weighing(a=5.0, b=1.0, c=1.0), 3)
    made = order(choices(policy, weighing(a=1.0, b=1.0, c=1.0), 30))
    assert max(made.count(name) for name in "abc") - min(made.count(name) for name in "abc") <= 2
    assert "aaa" not in made


def test_an_absent_backend_keeps_its_place() -> None:
    """Missing a few rounds changes nobody's share afterwards."""
    policy = smooth()
    choices(policy, weighing(a=2.0, b=1.0, c=1.0), 4)
    choices(policy, weighing(a=2.0, c=1.0), 9)
    assert Counter(order(choices(policy, weighing(a=2.0, b=1.0, c=1.0), 40))) == {"a": 20, "b": 10, "c": 10}


def test_a_failure_takes_the_weight_and_selections_give_it_back() -> None:
    """A backend of weight 3 that failed gains 0, 1, 2 and then 3 credits again."""
    policy = smooth()
    candidates = weighing(a=3.0, b=3.0)
    choices(policy, candidates, 2)
    policy.told("a", ok=False)
    assert choices(policy, candidates, 1)[0].scores["a"] == 0.0
    assert order(choices(policy, candidates, 5)).count("a") == 2
    assert order(choices(policy, candidates, 6)).count("a") == 3


def test_a_light_backend_that_fails_is_not_drowned() -> None:
    """With a tenth of the weight lost at each failure nine of ten remain."""
    policy = WeightedRoundRobin(chance=Random(1), options={"max_fails": 10.0})
    candidates = weighing(a=10.0, b=10.0)
    choices(policy, candidates, 2)
    policy.told("a", ok=False)
    assert choices(policy, candidates, 1)[0].scores["a"] == 9.0


def test_successes_and_strangers_change_nothing() -> None:
    """Only a failure of a backend that was ever a candidate counts."""
    policy = smooth()
    policy.told("stranger", ok=False)
    choices(policy, weighing(a=5.0, b=1.0, c=1.0), 7)
    policy.told("a", ok=True)
    assert order(choices(policy, weighing(a=5.0, b=1.0, c=1.0, stranger=1.0), 1)) == "a"


def test_one_that_keeps_failing_gets_less_but_is_never_lost() -> None:
    """While it fails its share falls, afterwards it recovers fully."""
    policy = smooth()
    candidates = weighing(a=4.0, b=4.0)
    failing = ""
    for _ in range(80):
        failing += policy.choose(candidates, a_request()).backend_id
        policy.told("a", ok=failing[-1] != "a")
    assert 0 < failing.count("a") <= 30
    choices(policy, candidates, 8)
    assert order(choices(policy, candidates, 40)).count("a") == 20


def test_a_removed_backend_leaves_no_memory() -> None:
    """An id that is used again starts without credit and without penalty."""
    policy = smooth()
    choices(policy, weighing(a=1.0, b=1.0), 3)
    policy.told("a", ok=False)
    policy.forget("a")
    assert choices(policy, weighing(a=1.0), 1)[0].scores["a"] == 1.0

"""Promises of cost_optimized."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from equipoise.core.policies.cost_optimized import CostOptimized
from tests.core.policies.candidates import a_request, alike, candidate, choices

POLICY = CostOptimized(chance=Random(1))


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 1.0)), min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_nobody_good_enough_is_cheaper(rows: list[tuple[int, float]], floor: float) -> None:
    """The bill is the lowest among the backends at or above the floor of quality."""
    candidates = [candidate(f"b{i}", expected_cost=cost, quality_low=q) for i, (cost, q) in enumerate(rows)]
    chosen = POLICY.choose(candidates, a_request(min_quality=floor)).backend_id
    enough = [c for c in candidates if c.quality_low >= floor]
    found = next(c for c in candidates if c.backend_id == chosen)
    assert not enough or (found in enough and found.expected_cost == min(c.expected_cost for c in enough))


def test_a_cheap_unknown_does_not_win_by_being_unknown() -> None:
    """What counts is the quality that is sure: a mean of .9 with a wide doubt is not above .8."""
    candidates = [
        candidate("proven", expected_cost=900, quality_low=0.85),
        candidate("unknown", expected_cost=100, quality_mean=0.9, quality_low=0.6),
    ]
    assert POLICY.choose(candidates, a_request(min_quality=0.8)).backend_id == "proven"


def test_if_nobody_is_good_enough_the_best_answers_and_the_reason_says_so() -> None:
    """The floor is a wish then, not a refusal."""
    candidates = [candidate("a", quality_low=0.5, expected_cost=1), candidate("b", quality_low=0.7)]
    made = POLICY.choose(candidates, a_request(min_quality=0.9))
    assert made.backend_id == "b"
    assert made.reason == "nobody reaches quality 0.90; the best has 0.70"


def test_free_ones_share_by_expected_wait_then_load_then_id() -> None:
    """Local models cost nothing; the queue decides between them."""
    free = [
        candidate("a", expected_cost=0, load=3.0),
        candidate("b", expected_cost=0, load=1.0, in_flight=1),
        candidate("c", expected_cost=0, load=1.0),
        candidate("d", expected_cost=0, load=1.0),
    ]
    assert choices(POLICY, free, 1)[0].backend_id == "c"


def test_the_reason_names_the_price_exactly() -> None:
    """People read dollars, without rounding."""
    made = choices(POLICY, alike("a", "b", "c", expected_cost=400_000), 1)[0]
    assert made.reason == "lowest expected cost among 3 good enough: $0.0004"
    assert choices(POLICY, alike("a", expected_cost=0), 1)[0].reason.endswith("$0")
    assert choices(POLICY, alike("a", expected_cost=3), 1)[0].reason.endswith("$0.000000003")


def test_the_cheapest_at_its_limit_leaves_the_rest_to_the_next_and_nobody_below_the_floor() -> None:
    """A queue at the cheapest is no bargain; when all that are good enough are full, the least excess."""
    rows = {"a": 1, "b": 2, "poor": 0}
    made = {name: candidate(name, expected_cost=cost, limit=4.0) for name, cost in rows.items()}
    policy = CostOptimized(chance=Random(1))
    chosen = []
    for _ in range(12):
        everyone = [made["a"], made["b"], structs.replace(made["poor"], quality_low=0.2)]
        name = policy.choose(everyone, a_request(min_quality=0.5)).backend_id
        made[name] = structs.replace(made[name], in_flight=made[name].in_flight + 1)
        chosen.append(name)
    assert "".join(chosen) == "aaaabbbb" + "abab"

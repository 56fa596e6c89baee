"""Promises of health_aware."""

from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.model import Candidate
from equipoise.core.policies.health_aware import HealthAware, rows_of
from tests.core.policies.candidates import a_request, alike, candidate, choices, shares, unlikely


def by_enumeration(candidates: list[Candidate]) -> dict[str, float]:
    """The same probabilities the slow way: every ordered pair with its probability, compared by the rule."""
    rows = rows_of(candidates)
    total = sum(capacity for _, _, _, capacity in rows)
    result = {c.backend_id: 1.0 if len(rows) == 1 else 0.0 for c in candidates}
    for first, second in permutations(rows, 2):
        wins = first if first[1] == second[1] else min(first, second)
        result[wins[2]] += first[3] / total * second[3] / (total - first[3])
    return result


numbers = st.tuples(st.floats(0.1, 10.0), st.floats(0.0, 1.0), st.integers(0, 4))


@given(st.lists(numbers, min_size=2, max_size=7))
def test_the_probabilities_are_those_of_all_pairs(rows: list[tuple[float, float, int]]) -> None:
    """The running sums agree with enumerating every pair that could have been drawn."""
    candidates = [candidate(f"b{i}", weight=w, health=h, in_flight=k) for i, (w, h, k) in enumerate(rows)]
    made = HealthAware(chance=Random(1)).choose(candidates, a_request())
    assert made.probabilities == pytest.approx(by_enumeration(candidates), abs=1e-9)


def test_what_is_chosen_agrees_with_what_is_promised() -> None:
    """The logged probabilities equal the frequencies over many requests."""
    candidates = [
        candidate("a", in_flight=2),
        candidate("b", weight=2.0, in_flight=1),
        candidate("c", health=0.4),
        candidate("d", in_flight=1),
    ]
    made = choices(HealthAware(chance=Random(2)), candidates, 20_000)
    assert unlikely(made[0].probabilities, made) < 4.0


def test_an_idle_system_shares_in_proportion_to_weight_and_health() -> None:
    """A backend at half health gets half the traffic of a whole one, not none of it."""
    candidates = [*alike("a", "b"), candidate("sick", health=0.5)]
    made = choices(HealthAware(chance=Random(3)), candidates, 1)[0]
    assert made.probabilities == pytest.approx({"a": 0.4, "b": 0.4, "sick": 0.2})


def test_a_degrading_backend_sheds_step_by_step() -> None:
    """The worse the health, the smaller the share; it keeps a tenth of a healthy one's, to show that it recovered."""
    policy = HealthAware(chance=Random(4))
    healths = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
    seen = [choices(policy, [*alike("a", "b"), candidate("z", health=h)], 1)[0].probabilities["z"] for h in healths]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == pytest.approx(0.1 / 2.1)


def test_failing_fast_attracts_nobody() -> None:
    """Empty because it fails at once, sick because it failed: it gets less than a fair share of a loaded system."""
    candidates = [*alike("a", "b", "c", "d", in_flight=4), candidate("hole", health=0.1, in_flight=0)]
    made = choices(HealthAware(chance=Random(5)), candidates, 1)[0]
    assert made.probabilities["hole"] < 0.06


def test_the_busier_of_two_is_spared() -> None:
    """Between two alike the one with fewer in flight is always chosen."""
    candidates = [candidate("a", in_flight=3), candidate("b", in_flight=2)]
    assert shares(choices(HealthAware(chance=Random(6)), candidates, 200)) == {"b": 1.0}


def test_requests_that_come_together_spread() -> None:
    """A hundred at once over four alike differ by few: each sees the load of those before it."""
    policy = HealthAware(chance=Random(7))
    in_flight = dict.fromkeys("abcd", 0)
    for _ in range(100):
        made = policy.choose([candidate(n, in_flight=k) for n, k in in_flight.items()], a_request())
        in_flight[made.backend_id] += 1
    assert max(in_flight.values()) - min(in_flight.values()) <= 5


def test_one_candidate_is_certain() -> None:
    """There is no pair to draw."""
    assert choices(HealthAware(chance=Random(8)), alike("a"), 1)[0].probabilities == {"a": 1.0}


def test_wild_weights_break_nothing() -> None:
    """Weights sixteen orders apart, or all zero, still make a vector of probabilities."""
    policy = HealthAware(chance=Random(9))
    for weights in ((1e-12, 1e4), (0.0, 0.0), (0.0, 1.0)):
        candidates = [candidate(f"b{i}", weight=w, in_flight=i) for i, w in enumerate(weights)]
        assert sum(policy.choose(candidates, a_request()).probabilities.values()) == pytest.approx(1.0)

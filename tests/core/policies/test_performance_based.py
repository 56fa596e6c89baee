"""Promises of performance_based."""

from random import Random

from equipoise.core.policies.performance_based import PerformanceBased
from tests.core.policies.candidates import a_request, alike, candidate, choices

POLICY = PerformanceBased(chance=Random(1))


def test_below_their_limits_the_soonest_answer_wins_whatever_the_load() -> None:
    """A fast backend with room is filled before a slow idle one is asked."""
    candidates = [candidate("fast", completion=1.0, in_flight=9), candidate("slow", completion=4.0)]
    assert choices(POLICY, candidates, 1)[0].backend_id == "fast"


def test_at_its_limit_even_the_fastest_is_left_alone() -> None:
    """Hot and cold are compared first, times only among the cold: nobody herds on a favourite."""
    candidates = [candidate("fast", completion=1.0, in_flight=10), candidate("slow", completion=4.0)]
    made = choices(POLICY, candidates, 1)[0]
    assert made.backend_id == "slow"
    assert made.scores == {"slow": 4.0}


def test_when_all_are_hot_the_least_excess_wins() -> None:
    """What counts then is how much longer everyone there will take."""
    candidates = [
        candidate("a", in_flight=14, seconds_per_token=0.01),
        candidate("b", in_flight=12, seconds_per_token=0.05),
        candidate("c", in_flight=13, seconds_per_token=0.02),
    ]
    made = choices(POLICY, candidates, 1)[0]
    assert made.backend_id == "a"
    assert "14 in flight" in made.reason


def test_failing_fast_is_not_fast() -> None:
    """One answer in ten attempts makes half a second cost five."""
    candidates = [candidate("hole", completion=0.5, success_rate=0.1), candidate("good", completion=3.0)]
    assert choices(POLICY, candidates, 1)[0].backend_id == "good"


def test_equals_are_told_apart_by_load_then_id() -> None:
    """Replays agree."""
    assert choices(POLICY, [candidate("a", in_flight=1), *alike("c", "b")], 1)[0].backend_id == "b"


def test_a_number_that_is_none_does_not_end_a_request() -> None:
    """Without a usable estimate load decides."""
    nan = float("nan")
    candidates = [candidate("a", completion=nan, in_flight=2), candidate("b", completion=nan, in_flight=1)]
    assert POLICY.choose(candidates, a_request()).backend_id == "b"


def test_a_burst_fills_the_fast_ones_to_their_limit_and_then_spreads() -> None:
    """Thirty requests at once over limits of 4, 8 and 16: nobody is over its limit while another has room."""
    limits = {"a": 4.0, "b": 8.0, "c": 16.0}
    in_flight = dict.fromkeys(limits, 0)
    for _ in range(28):
        seen = [candidate(n, limit=limits[n], in_flight=k, completion=limits[n]) for n, k in in_flight.items()]
        in_flight[POLICY.choose(seen, a_request()).backend_id] += 1
    assert in_flight == {"a": 4, "b": 8, "c": 16}

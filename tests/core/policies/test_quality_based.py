"""Promises of quality_based."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from equipoise.core.policies import make_policy
from equipoise.core.policies.quality_based import QualityBased
from tests.core.policies.candidates import a_request, candidate, choices, shares

POLICY = QualityBased(chance=Random(1))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_the_minimum_is_respected_while_anybody_reaches_it(qualities: list[float], floor: float) -> None:
    """Nobody below the floor answers if somebody at or above it could, not even when both are nearly equal."""
    candidates = [candidate(f"b{i}", quality_low=q, completion=float(i)) for i, q in enumerate(qualities)]
    chosen = POLICY.choose(candidates, a_request(min_quality=floor)).backend_id
    quality = next(c.quality_low for c in candidates if c.backend_id == chosen)
    assert quality >= floor or max(qualities) < floor
    assert quality >= max(qualities) - 0.01


def test_a_lucky_newcomer_does_not_beat_a_proven_backend() -> None:
    """The lower bound decides, not the mean."""
    candidates = [
        candidate("proven", quality_mean=0.85, quality_low=0.84),
        candidate("lucky", quality_mean=0.95, quality_low=0.7),
    ]
    assert choices(POLICY, candidates, 1)[0].backend_id == "proven"


def test_of_equals_the_sooner_answer_wins() -> None:
    """Differences nobody can measure are left to speed."""
    candidates = [
        candidate("a", quality_low=0.805, completion=5.0),
        candidate("b", quality_low=0.8, completion=2.0),
        candidate("c", quality_low=0.7, completion=1.0),
    ]
    made = choices(POLICY, candidates, 1)[0]
    assert made.backend_id == "b"
    assert made.reason == "soonest of 2 with the best quality, at least 0.80"


def test_a_paced_budget_takes_the_price_off_the_quality() -> None:
    """What little the dearer one is better is not worth its cost just now; the floor of quality still stands."""
    candidates = [candidate("dear", quality_low=0.9, penalty=0.3), candidate("cheap", quality_low=0.7, penalty=0.01)]
    made = choices(POLICY, candidates, 1)[0]
    assert made.backend_id == "cheap"
    assert "while spending is paced" in made.reason
    assert choices(POLICY, candidates, 1, min_quality=0.8)[0].backend_id == "dear"


def test_estimates_of_the_others_stay_alive() -> None:
    """By default one request in a hundred goes to any of the good enough ones; turned off, none does."""
    candidates = [candidate("a", quality_low=0.9), candidate("b"), candidate("c", quality_low=0.2)]
    floored = choices(make_policy("quality_based", chance=Random(2)), candidates, 10_000, min_quality=0.5)
    assert 0.002 < shares(floored)["b"] < 0.009
    assert "c" not in shares(floored)
    strict = make_policy("quality_based", chance=Random(2), options={"exploration_floor": 0.0})
    assert shares(choices(strict, candidates, 1000)) == {"a": 1.0}


def test_a_number_that_is_none_does_not_end_a_request() -> None:
    """An unusable quality leaves the choice to speed."""
    nan = float("nan")
    candidates = [candidate("a", quality_low=nan, completion=2.0), candidate("b", quality_low=nan, completion=1.0)]
    assert POLICY.choose(candidates, a_request()).backend_id == "b"


def test_the_best_at_its_limit_leaves_the_rest_to_the_next_and_nobody_below_the_floor() -> None:
    """Nobody herds on the best; when all that are good enough are full, the least excess."""
    made = {"a": candidate("a", quality_low=0.9, limit=3.0), "b": candidate("b", quality_low=0.8, limit=3.0)}
    policy = QualityBased(chance=Random(1))
    chosen = []
    for _ in range(8):
        everyone = [*made.values(), candidate("poor", quality_low=0.2)]
        name = policy.choose(everyone, a_request(min_quality=0.5)).backend_id
        made[name] = structs.replace(made[name], in_flight=made[name].in_flight + 1)
        chosen.append(name)
    assert "".join(chosen) == "aaabbb" + "ab"

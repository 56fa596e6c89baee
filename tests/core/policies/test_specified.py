"""The specification's formulas, worked by hand."""

import pytest

from equipoise.core.policies import specified
from tests.core.policies.candidates import candidate


def test_health_score() -> None:
    """.30 x .9 + .25 x .5 + .25 x .9 + .15 x .8 + .05 x .6, and nothing when unhealthy."""
    numbers = {"availability": 0.9, "response_time_ms": 1000.0, "error_rate": 0.1, "quality": 0.8, "cpu_percent": 40.0}
    assert specified.health_score(**numbers) == pytest.approx(0.77)
    assert specified.health_score(**numbers, healthy=False) == 0.0


def test_a_slow_backend_has_no_speed_but_no_negative_one() -> None:
    """Beyond two seconds the term stays at nothing."""
    slow = specified.health_score(availability=1.0, response_time_ms=9000.0, error_rate=0.0, quality=1.0)
    assert slow == pytest.approx(0.75)


def test_quality_score() -> None:
    """.4 x .9 + .3 x .8 + .2 x .95 + .1 x min(1, 2000 / 4000)."""
    score = specified.quality_score(configured=0.9, historical=0.8, reliability=0.95, response_time_ms=4000.0)
    assert score == pytest.approx(0.84)
    assert specified.speed_score(1.0) == 1.0


def test_recorded_quality_score() -> None:
    """.8 x .9 x (.9 + .1 x .5), less three tenths when not healthy."""
    assert specified.recorded_quality_score(quality=0.8, reliability=0.9, performance=0.5) == pytest.approx(0.684)
    unwell = specified.recorded_quality_score(quality=0.8, reliability=0.9, performance=0.5, healthy=False)
    assert unwell == pytest.approx(0.4788)


def test_performance_score() -> None:
    """.5 x .6 + .3 x .4 + .2 x 1."""
    assert specified.performance_score(response_time=0.6, throughput=0.4, availability=1.0) == pytest.approx(0.62)


def test_cost_efficiency_and_tokens() -> None:
    """Cost over quality times performance; a quarter of the characters plus 500."""
    assert specified.cost_efficiency(estimated_cost=0.05, quality=0.8, performance=0.5) == pytest.approx(0.125)
    assert specified.cost_efficiency(estimated_cost=0.05, quality=0.0, performance=0.5) == float("inf")
    assert specified.estimated_tokens("x" * 100, "y" * 40) == 535.0


def test_learned_weight_moves_by_the_rate_and_stays_in_bounds() -> None:
    """An EMA between a tenth and two."""
    assert specified.learned_weight(1.0, 0.5, 0.1) == pytest.approx(0.95)
    assert specified.learned_weight(0.1, -5.0, 0.5) == 0.1
    assert specified.learned_weight(1.9, 9.0, 0.5) == 2.0


def test_a_candidate_is_reported_under_the_specified_names() -> None:
    """The numbers of a candidate go into the formulas in the units they want."""
    c = candidate(
        "a", response_time=1.0, success_rate=0.9, quality_mean=0.8, reliability=0.95, expected_cost=40_000_000
    )
    assert specified.report(c, configured_quality=0.9) == pytest.approx(
        {"health_score": 0.79, "quality_score": 0.89, "cost_efficiency": 0.04 / 0.9}
    )


def test_a_row_of_the_status_in_the_specifications_numbers() -> None:
    """Percent, milliseconds and dollars where its names say so; nothing measured is None, not 0."""
    row = {"response_time": 1.0, "success_rate": 0.8, "quality": 0.5, "status": "degraded", "requests": 4}
    row |= {"breaker": {"state": "closed"}, "why_not": None}
    told = specified.status_numbers({**row, "cost_usd": "0.020000000"})
    assert told["health_score"] == pytest.approx(0.30 * 0.8 + 0.25 * 0.5 + 0.25 * 0.8 + 0.15 * 0.5 + 0.05)
    assert (told["response_time_ms"], told["availability_percentage"]) == (1000.0, 80.0)
    assert told["error_rate"] == pytest.approx(0.2)
    assert told["cost_per_request"] == pytest.approx(0.005)
    assert specified.status_numbers({**row, "requests": 0, "cost_usd": "0"})["cost_per_request"] is None
    assert specified.status_numbers({**row, "status": "unhealthy", "cost_usd": "0"})["health_score"] == 0.0

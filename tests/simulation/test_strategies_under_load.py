"""What strategies promise together with load, limits and breaker: stories of a crowd in virtual time.

Five servers of 60, 60, 60, 40 and 20 tokens a second with 16 slots each, some 60 % of their capacity asked for.
"""

from functools import cache

import pytest

from bench.strategies.crowd import Crowd, Server, Story, arrivals
from bench.strategies.references import PowerOfTwo
from equipoise.core.policies import STRATEGIES

RATES = {"a": 60.0, "b": 60.0, "c": 60.0, "d": 40.0, "e": 20.0}
BLIND = {"round_robin", "weighted", "weighted_round_robin"}
SEEDS = (7, 8, 9)


def tell(strategy: str, trouble: str, seed: int = 7, *, breaker: bool = False) -> Story:
    """The story of 6,000 questions; between 200 and 400 seconds server a is slow, or fails at once, or is well."""
    crowd = Crowd(
        PowerOfTwo if strategy == "power_of_two" else strategy,  # type: ignore[arg-type]
        {name: Server(rate) for name, rate in RATES.items()},
        breaker=breaker,
    )
    troubled = crowd.servers["a"]
    if trouble == "slow":
        crowd.at(200.0, lambda: setattr(troubled, "rate", 12.0))
        crowd.at(400.0, lambda: setattr(troubled, "rate", 60.0))
    elif trouble == "failing":
        crowd.at(200.0, lambda: setattr(troubled, "fails_in", 0.05))
        crowd.at(400.0, lambda: setattr(troubled, "fails_in", None))
    return crowd.run(arrivals(6000, 10.5, seed))


@cache
def p95(strategy: str, trouble: str = "none") -> float:
    """Seconds within which 95 % of answers came, averaged over three crowds."""
    return sum(tell(strategy, trouble, seed).percentile(0.95) for seed in SEEDS) / len(SEEDS)


def test_performance_based_beats_two_random_choices_on_unequal_servers() -> None:
    """Its slowest answers come at least a tenth sooner."""
    assert p95("performance_based") <= 0.9 * p95("power_of_two")


@pytest.mark.parametrize("other", ["round_robin", "weighted_round_robin", "health_aware", "power_of_two"])
def test_with_one_slow_server_nobody_is_much_sooner_than_performance_based(other: str) -> None:
    """The slow one is left alone, and nobody herds on the fast ones instead."""
    assert p95("performance_based", "slow") <= 1.1 * p95(other, "slow")


def test_health_aware_is_hardly_worse_off_with_a_slow_server() -> None:
    """What counts requests in flight sees slowness; what counts turns does not."""
    assert p95("health_aware", "slow") < 0.4 * p95("weighted_round_robin", "slow")


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - BLIND))
def test_a_server_that_fails_at_once_attracts_nobody(strategy: str) -> None:
    """Even without a breaker it is asked a fifth less than by turns, or still less, though its queue is empty."""
    blind = tell("weighted_round_robin", "failing").failed_share()
    assert tell(strategy, "failing").failed_share() < 0.8 * blind


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_with_the_breaker_a_failing_server_costs_next_to_nothing(strategy: str) -> None:
    """Whatever the strategy, under four attempts in a thousand fail over the whole story."""
    assert tell(strategy, "failing", breaker=True).failed_share() < 0.004


def test_every_server_is_used_again_after_its_trouble() -> None:
    """Nobody is forgotten: a fifth of the time was trouble, the rest is fair work."""
    for strategy in ("health_aware", "adaptive_learning", *sorted(BLIND)):
        crowd = tell(strategy, "failing", breaker=True)
        assert crowd.asked["a"] > 300


BEST_FIRST = {"a": 0.95, "b": 0.9, "c": 0.85, "d": 0.8, "e": 0.75}
DEAREST_FIRST = {"a": 9, "b": 7, "c": 5, "d": 3, "e": 1}


def told_apart(strategy: str, seed: int = 7, *, slots: int = 16, floor: float = 0.0) -> tuple[Story, dict[str, float]]:
    """The story of servers that differ in quality and price, and the limits that were learned of them."""
    servers = {
        name: Server(rate, slots=slots, price=DEAREST_FIRST[name], quality=BEST_FIRST[name])
        for name, rate in RATES.items()
    }
    crowd = Crowd(strategy, servers, seed=seed, min_quality=floor)
    return crowd.run(arrivals(6000, 10.5 * slots / 16, seed)), crowd.limits()


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - BLIND))
@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_herds_on_a_favourite(strategy: str, seed: int) -> None:
    """However much better or cheaper one is: no server ever carries three times what it has slots for."""
    story, _ = told_apart(strategy, seed)
    assert max(story.most_in_flight.values()) <= 3 * 16


@pytest.mark.parametrize("slots", [4, 16, 48])
def test_the_limit_of_a_busy_server_is_found(slots: int) -> None:
    """Nobody says how many slots there are; the favourite's limit ends within 0.7 to 1.6 times their number."""
    _, limits = told_apart("quality_based", slots=slots)
    assert 0.7 * slots <= limits["a"] <= 1.6 * slots


@pytest.mark.parametrize("seed", SEEDS)
def test_cost_optimized_has_the_lowest_bill_above_the_floor(seed: int) -> None:
    """Below the floor nobody is asked; among the rest no strategy that keeps the floor pays less."""
    story, _ = told_apart("cost_optimized", seed, floor=0.7)
    assert story.asked["e"] == 0
    bills = {name: told_apart(name, seed, floor=0.7)[0].cost for name in ("quality_based", "adaptive_learning")}
    assert all(story.cost < 0.95 * bill for bill in bills.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_quality_based_respects_its_minimum_and_asks_the_best_first(seed: int) -> None:
    """Not one of 6,000 questions goes below the floor, its exploration included; the best gets the most."""
    story, _ = told_apart("quality_based", seed, floor=0.7)
    assert story.asked["e"] == 0
    assert story.asked["a"] > story.asked["b"] > story.asked["c"] > story.asked["d"] > 0

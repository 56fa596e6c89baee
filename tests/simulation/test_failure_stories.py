"""Stories of failure in virtual time: the real balancer, modelled engines, seeds.

EQUIPOISE_STORIES multiplies the number of seeds (1 by default, some hundred stories).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from equipoise.core.breaker import BreakerState
from equipoise.core.policies import STRATEGIES
from equipoise.waiting import WaitingOptions
from tests.simulation.world import World

SEEDS = range(int(os.environ.get("EQUIPOISE_STORIES", "1")) * 6)


def setting(world: World, name: str, **values: Any) -> Callable[[], None]:
    """What changes an engine when its time comes."""

    def change() -> None:
        for field, value in values.items():
            setattr(world.engines[name], field, value)

    return change


def all_setting(world: World, **values: Any) -> Callable[[], None]:
    return lambda: [setting(world, name, **values)() for name in world.engines].clear()  # type: ignore[func-returns-value]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_one_of_five_that_fails_at_once_costs_nobody_an_answer(strategy: str) -> None:
    """A black hole: under 0.3 % of questions get an error, and it is asked about as often as it takes to know."""
    world = World("abcde", strategy=strategy, seed=4)
    told = world.run(20, 30, (5, setting(world, "a", trouble="error")))
    world.close()
    assert sum(told.codes.values()) <= 0.003 * told.asked
    assert sum(a.outcome.verdict == "failure" for a in world.attempts) <= 15


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_backend_is_left_and_taken_back(seed: int) -> None:
    """Six times as slow for half a minute: everybody is answered, and afterwards it has its share again."""
    world = World("abc", seed=seed)
    trouble = (10, setting(world, "a", slow=6.0)), (40, setting(world, "a", slow=1.0))
    told = world.run(6, 160, *trouble)
    world.close()
    assert not told.codes
    assert world.shares(130)["a"] > 0.15


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("trouble", ["error", "refuse", "hang", "cut", "silent"])
def test_a_flapping_backend_is_asked_less_and_less(seed: int, trouble: str) -> None:
    """Three seconds well, three ill: hardly anybody notices, and each trip holds longer than the last."""
    world = World("abc", seed=seed, options={"a": {"timeout": 2.0}})
    flaps = [(t, setting(world, "a", trouble=trouble if t % 6 else "")) for t in range(3, 60, 3)]
    told = world.run(8, 60, *flaps)
    world.close()
    lost = sum(told.codes.values()) - told.codes["stream_interrupted"]
    assert lost <= 0.01 * told.asked
    assert world.trips["a"] <= 6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_of_429_is_waited_out(seed: int) -> None:
    """One of three throttles: its pause is kept, no breaker opens, everybody is answered."""
    world = World("abc", seed=seed)
    told = world.run(8, 40, (5, setting(world, "a", trouble="throttle")), (25, setting(world, "a", trouble="")))
    world.close()
    assert not told.codes
    assert not world.trips
    assert sum(a.outcome.verdict == "throttled" for a in world.attempts) <= 20 / 2 * 8


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_total_outage_all_come_back_without_being_run_over(seed: int) -> None:
    """Everything refuses for twenty seconds: callers are told at once; then each takes no more than it is given."""
    world = World("abc", seed=seed, options={name: {"max_concurrent": 8} for name in "abc"})
    told = world.run(10, 150, (10, all_setting(world, trouble="refuse")), (30, all_setting(world, trouble="")))
    world.close()
    assert all(9.9 <= at <= 40 for at in told.failed_at)
    assert all(share > 0.2 for share in world.shares(120).values())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_herd_after_an_outage_tramples_nobody(seed: int) -> None:
    """Nobody was there for twenty seconds; as they come back so do 300 callers at once: those beyond the places and the
    queue are told at once, nobody is above its cap, and ten seconds later it is a day like any other."""
    world = World("abc", seed=seed, options={name: {"max_concurrent": 8} for name in "abc"})
    back = (30, all_setting(world, trouble="")), (30.001, lambda: world.herd(300))
    told = world.run(6, 150, (10, all_setting(world, trouble="refuse")), *back)
    world.close()
    assert all(9.9 <= at <= 40.0 for at in told.failed_at)
    assert max(told.durations) <= 5.0 + 10.0
    assert all(share > 0.2 for share in world.shares(100).values())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [50, 150])
def test_in_a_brown_out_of_all_the_gateway_adds_at_most_a_fifth(seed: int, rate: int) -> None:
    """Everything fails at 50 questions a second and more: 1.2 attempts a question beyond the burst, probes included."""
    world = World("abc", seed=seed)
    all_setting(world, trouble="error")()
    told = world.run(rate, 20, streams=0.0)
    world.close()
    assert world.sent() <= 1.2 * told.asked + 10
    assert all(attempt.number <= 3 for attempt in world.attempts)


@pytest.mark.parametrize("seed", SEEDS)
def test_callers_that_go_away_leave_nothing_behind(seed: int) -> None:
    """Half of them leave at any time, while backends fail and places are few: nothing leaks, no breaker is fooled."""
    world = World("abc", seed=seed, options={name: {"max_concurrent": 3} for name in "abc"})
    for engine in world.engines.values():
        engine.flaky = 0.05
    told = world.run(12, 40, leaving=0.5, streams=0.5)
    world.close()
    assert told.gone > 50
    assert not world.trips


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wall_clock_set_back_changes_nothing(seed: int) -> None:
    """Durations are measured by the other clock."""
    world = World("ab", seed=seed)

    def back() -> None:
        world.clock.wall_offset -= 86_400.0

    told = world.run(6, 30, (10, back), (15, setting(world, "a", trouble="error")))
    world.close()
    assert not told.codes
    assert all(attempt.outcome.duration >= 0.0 for attempt in world.attempts)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_loss_of_a_region_is_borne_by_the_other(seed: int) -> None:
    """Three here, two there: there nobody is asked until all here are lost, and again not long after they are back."""
    here, there = {"region": "eu"}, {"region": "us"}
    options = {name: here if name in "abc" else there for name in "abcde"}
    world = World("abcde", seed=seed, region="eu", options=options)
    lost = [(20, setting(world, name, trouble="refuse")) for name in "abc"]
    back = [(50, setting(world, name, trouble="")) for name in "abc"]
    told = world.run(8, 220, *lost, *back)
    world.close()
    assert not told.codes
    early = [at for name in "de" for at in world.engines[name].answered_at if at < 20]
    assert not early
    assert sum(world.shares(180)[name] for name in "abc") > 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_a_backend_gone_silent_is_found_within_five_answers(seed: int) -> None:
    """LightRAG without its model answers 200 and nothing: five affected requests, from real answers alone."""
    world = World("ab", seed=seed)
    world.run(5, 60, (20, setting(world, "a", trouble="silent")))
    world.close()
    began = next(e.wall for e in world.attempts if e.outcome.verdict == "no_answer")
    affected = [a for a in world.attempts if a.outcome.verdict == "no_answer" and a.wall < began + 30]
    at_once = 4  # under way already when the fifth was seen
    assert len(affected) <= 5 + at_once
    assert world.selection.backends["a"].breaker.state is not BreakerState.CLOSED


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lease_is_never_above_the_cap_and_who_waits_is_served(seed: int) -> None:
    """Half as much again as there is room for, in bursts: nobody is above its cap, most are served after a wait."""
    world = World("ab", seed=seed, options={name: {"max_concurrent": 2} for name in "ab"})
    told = world.run(7, 30, streams=0.0)
    world.close()
    assert set(told.codes) <= {"overloaded"}
    assert told.answered > 0.6 * told.asked
    assert max(told.durations) <= 5.0 + 10.0


@pytest.mark.parametrize("seed", SEEDS)
def test_in_overload_batches_and_not_tenants_are_shed(seed: int) -> None:
    """Twice what there is room for: interactive questions go first, and a quiet tenant is not drowned by a loud one."""
    world = World("a", seed=seed, options={"a": {"max_concurrent": 2}}, waiting=WaitingOptions(places=10))
    told = world.run(5, 60, streams=0.0, batch=0.5, tenants=("loud", "loud", "loud", "quiet"))
    world.close()
    roles = told.roles
    assert roles["loud interactive"] + roles["quiet interactive"] > 2 * (roles["loud batch"] + roles["quiet batch"])
    assert told.codes["overloaded"] > 10

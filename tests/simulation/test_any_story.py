"""Any story: troubles drawn by lot, at times drawn by lot, under any strategy; what must hold in all holds in each.

EQUIPOISE_STORIES multiplies the number of seeds.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from equipoise.core.breaker import BreakerOptions
from equipoise.core.policies import STRATEGIES
from equipoise.core.routing import HedgeOptions
from tests.simulation.test_failure_stories import setting
from tests.simulation.world import World

SEEDS = range(int(os.environ.get("EQUIPOISE_STORIES", "1")) * 120)
TROUBLES = ("refuse", "error", "throttle", "hang", "cut", "silent", "slow")
SPREADING = ("round_robin", "weighted", "weighted_round_robin", "health_aware")
"""Strategies that leave nobody idle where all are alike."""
TROUBLED, TOLD, LAST = 30.0, 150.0, 30.0
"""Seconds of trouble, of the story, and of its end, by which everything must be as it was."""
RECOVERY = 5.0
Plot = list[tuple[float, Callable[[], None]]]


def drawn(chance: random.Random) -> World:
    """Two to five engines, some of them with limits, behind some strategy."""
    names = "abcde"[: chance.randint(2, 5)]
    options: dict[str, dict[str, Any]] = {
        name: {"breaker": BreakerOptions(recovery_seconds=RECOVERY), "timeout": chance.choice((6.0, 12.0))}
        for name in names
    }
    for of in options.values():
        if chance.random() < 0.3:
            of["max_concurrent"] = chance.randint(4, 12)
        if chance.random() < 0.2:
            of["per_minute"] = chance.randint(120, 400)
    hedge = HedgeOptions(share=0.1) if chance.random() < 0.3 else None
    strategy = chance.choice(sorted(STRATEGIES))
    return World(names, seed=chance.randint(0, 10**6), strategy=strategy, options=options, hedge=hedge)


def plot_of(world: World, chance: random.Random) -> Plot:
    """One to eight troubles, over by TROUBLED; perhaps somebody sets the wall clock meanwhile."""
    plot: Plot = []
    for _ in range(chance.randint(1, 8)):
        name, trouble = chance.choice(sorted(world.engines)), chance.choice(TROUBLES)
        begins = chance.uniform(1.0, TROUBLED - 5.0)
        worse = {"slow": chance.uniform(2.0, 8.0)} if trouble == "slow" else {"trouble": trouble}
        plot.append((begins, setting(world, name, **worse)))
        plot.append((chance.uniform(begins, TROUBLED), setting(world, name, trouble="", slow=1.0)))
    plot += [(TROUBLED, setting(world, name, trouble="", slow=1.0)) for name in world.engines]
    if chance.random() < 0.4:
        plot.append((chance.uniform(1.0, TROUBLED), lambda: _set_the_clock(world, chance.uniform(-1e6, 1e6))))
    return plot


def _set_the_clock(world: World, by: float) -> None:
    world.clock.wall_offset += by


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_when_it_is_over_everything_is_as_it_was(seed: int) -> None:
    """`World.close` holds the rest: leases, probes, caps, attempts and their number, budgets for repetitions."""
    chance = random.Random(seed)
    world = drawn(chance)
    world.well_again = TOLD - LAST
    rate, leaving = chance.uniform(3.0, 8.0), chance.choice((0.0, 0.1, 0.4))
    told = world.run(rate, TOLD, *plot_of(world, chance), leaving=leaving, streams=chance.random())
    world.close()
    assert told.answered > 0.5 * (told.asked - told.gone)
    assert set(told.late_codes) <= {"overloaded", "rate_limit_exceeded"}, "only limits that the operator set"
    now = world.loop.now
    held_back = [b.id for b in world.selection.backends.values() if not b.well(now) or now < b.cooling_until]
    assert not held_back, (
        "whoever is well may be asked, up to its operator's limits, also where a strategy prefers others"
    )
    _shares_are_normal(world)


def _shares_are_normal(world: World) -> None:
    policy = world.selection.routes["auto"].strategy
    if policy in SPREADING:
        free = [
            b.id for b in world.selection.backends.values() if not (b.options.max_concurrent or b.options.per_minute)
        ]
        shares = world.shares(TOLD - LAST)
        assert all(shares[name] >= 0.4 / len(world.engines) for name in free)


@pytest.mark.parametrize("seed", range(12))
def test_while_one_lives_refused_connections_cost_nobody_an_answer(seed: int) -> None:
    """All but one refuse, each for a while and by lot: not one question fails, however many attempts that takes."""
    chance = random.Random(seed)
    world = World("abcde", seed=seed, strategy=chance.choice(sorted(STRATEGIES)))
    living = chance.choice("abcde")
    plot: Plot = []
    for name in sorted(set("abcde") - {living}):
        for begins in (chance.uniform(0, 15), chance.uniform(20, 35)):
            plot.append((begins, setting(world, name, trouble="refuse")))
            plot.append((begins + chance.uniform(1, 15), setting(world, name, trouble="")))
    told = world.run(12, 60, *plot)
    world.close()
    assert not told.codes

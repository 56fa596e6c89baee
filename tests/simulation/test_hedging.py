"""Second copies of slow questions, in virtual time."""

from __future__ import annotations

import pytest

from equipoise.core.model import CostSource, Verdict
from equipoise.core.routing import HedgeOptions
from tests.simulation.test_failure_stories import all_setting
from tests.simulation.world import World


def hedged(seed: int = 1, **options: float) -> World:
    world = World("abc", seed=seed, strategy="round_robin", hedge=HedgeOptions(**options))  # type: ignore[arg-type]
    for engine in world.engines.values():
        engine.stalls = 0.03
    return world


def lost(world: World) -> list[object]:
    return [a for a in world.attempts if a.outcome.error_code == "hedge_lost"]


@pytest.mark.parametrize("streams", [0.0, 1.0])
def test_the_slowest_answers_come_sooner(streams: float) -> None:
    """Three in a hundred stall for eight seconds; with a second copy hardly anybody waits that long."""
    plain = World("abc", seed=1, strategy="round_robin")
    for engine in plain.engines.values():
        engine.stalls = 0.03
    waits = {}
    for name, world in (("plain", plain), ("hedged", hedged(share=0.1))):
        durations = sorted(world.run(8, 120, streams=streams).durations)
        waits[name] = durations[int(0.98 * len(durations))]
        world.close()
    assert waits["hedged"] < 0.6 * waits["plain"]


def test_the_one_that_was_given_up_is_on_the_books() -> None:
    """Its own record, no evidence against its backend, its input booked as a possible cost."""
    world = hedged()
    world.run(8, 60, streams=0.5)
    world.close()
    records = lost(world)
    assert records
    for record in records:
        assert record.outcome.verdict is Verdict.IGNORED  # type: ignore[attr-defined]
        assert record.outcome.cost > 0  # type: ignore[attr-defined]
        assert record.outcome.cost_source is CostSource.ESTIMATED  # type: ignore[attr-defined]
    assert not world.trips


def test_second_copies_are_few() -> None:
    """At most the share of all questions that was allowed, beyond the first ones."""
    world = hedged(share=0.02)
    told = world.run(10, 120)
    world.close()
    assert 0 < len(lost(world)) <= 0.02 * told.asked + 3


def test_without_money_there_are_none() -> None:
    """A budget of nothing an hour sends nothing twice."""
    world = hedged(per_hour=0)
    world.run(8, 60)
    world.close()
    assert not lost(world)


def test_when_all_are_slow_nobody_is_asked_twice() -> None:
    """Everything takes four times as long from one moment on: more copies would only make it worse."""
    world = hedged(share=0.5)
    for engine in world.engines.values():
        engine.stalls = 0.0
    told = world.run(8, 90, (30, all_setting(world, slow=4.0)), streams=0.0)
    world.close()
    began = 1_790_000_000 + 30
    while_unusual = [a for a in lost(world) if began + 3 < a.wall < began + 20]  # type: ignore[attr-defined]
    assert len(while_unusual) <= 0.02 * 17 * 8
    assert told.answered


@pytest.mark.parametrize("seed", range(4))
def test_whoever_leaves_in_the_middle_of_a_race_leaves_nothing_behind(seed: int) -> None:
    """Callers go at any time, engines fail: every lease is settled once."""
    world = hedged(seed, share=0.5)
    for engine in world.engines.values():
        engine.flaky = 0.05
    told = world.run(8, 60, leaving=0.3, streams=0.5)
    world.close()
    assert told.gone > 20

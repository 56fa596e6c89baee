"""Strategies in a configuration: their options, their floors, sessions, regions, and classes of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.build import build
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import load
from equipoise.config.save import plain
from equipoise.core.policies.exploring import Exploring
from equipoise.core.selection import Selection

BASE = {
    "backend_instances": {
        "near": {"backend_type": "function", "function": "tests.shell.config.own:answer", "region": "east"},
        "far": {"backend_type": "function", "function": "tests.shell.config.own:answer", "region": "west"},
    },
    "ledger": {"enabled": False},
    "seed": 1,
}
OWN = "tests.shell.config.own:LeastBusy"


def built(**fields: object) -> Selection:
    return build(load({**BASE, **fields}).config).balancer.selection


def floor_of(it: Selection, route: str = "auto", strategy: str | None = None) -> float:
    policy = it._policy(route, strategy or it.routes[route].strategy)
    return policy.floor if isinstance(policy, Exploring) else 0.0


def told(**fields: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load({**BASE, **fields})
    return [str(problem).partition("\n")[0].partition(": ")[2] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("route", "everywhere", "strategy", "floor"),
    [
        ({}, {}, "round_robin", 0.0),
        ({}, {}, "quality_based", 0.01),
        ({}, {"exploration_floor": 0.2}, "round_robin", 0.2),
        ({"exploration_floor": 0.3}, {"exploration_floor": 0.2}, "round_robin", 0.3),
        ({"exploration_floor": 0.0}, {}, "adaptive_learning", 0.0),
        ({"exploration_floor": 0.3, "explore": "off"}, {}, "adaptive_learning", 0.0),
        ({"explore": "shadow"}, {"exploration_floor": 0.2}, "quality_based", 0.0),
    ],
)
def test_the_floor_is_the_routes_else_the_global_else_the_strategys(
    route: dict[str, object], everywhere: dict[str, object], strategy: str, floor: float
) -> None:
    """And none at all where live questions are not for exploring."""
    it = built(routes={"auto": {"strategy": strategy, **route}}, **everywhere)
    assert floor_of(it) == floor


def test_options_of_a_route_are_laid_over_the_global_ones() -> None:
    """By strategy, option by option."""
    it = built(
        strategy="adaptive_learning",
        strategy_options={"adaptive_learning": {"price": 0.5, "boldness": 0.1}},
        routes={"auto": {}, "cheap": {"strategy_options": {"adaptive_learning": {"price": 2}}}},
    )
    options = [it._policy(route, "adaptive_learning").options for route in ("auto", "cheap")]
    assert [(of["price"], of["boldness"]) for of in options] == [(0.5, 0.1), (2.0, 0.1)]


def test_options_that_nobody_knows_or_that_make_no_sense_are_told_all_at_once() -> None:
    """With the sentences of the strategies themselves."""
    assert told(
        strategy_options={"quality_base": {"tolerance": 1}, "quality_based": {"tolerence": 1}},
        routes={"r": {"strategy_options": {"adaptive_learning": {"slo_seconds": 0, "exploration_floor": 2}}}},
    ) == [
        "there is no strategy of this name (got 'quality_base')",
        "unknown option tolerence (this strategy knows: tolerance) (got 1)",
        "slo_seconds cannot be 0.0 (got 0)",
        "exploration_floor lies between 0 and 1: 2.0 (got 2)",
    ]


def test_sessions_stay_and_the_own_region_comes_first_where_the_file_says_so() -> None:
    """`sticky` of a route and `region` of the gateway reach the selection."""
    it = built(region="west", routes={"auto": {}, "chat": {"sticky": True, "prefix_affinity": True}})
    assert (it.routes["auto"].prefix_characters, it.routes["chat"].prefix_characters) == (0, 4096)
    assert (it.routes["auto"].sticky, it.routes["chat"].sticky) == (False, True)
    assert [[b.id for b in tier.backends] for tier in it._chains["auto"][0]] == [["far"], ["near"]]


async def test_a_class_of_ones_own_is_a_strategy_like_another() -> None:
    """Named for everything or a route, asked for by name, with its options and its floor."""
    own = {"strategy": OWN, "strategy_options": {OWN: {"reserve": 2}}, "exploration_floor": 0.0}
    balancer = build(load({**BASE, **own}).config).balancer
    async with balancer:
        reply = await balancer.ask("What is a metabolite?")
        named = await balancer.ask("What is a metabolite?", model=OWN)
        hinted = await balancer.ask("What is a metabolite?", strategy=OWN, model="far")
    assert (reply.strategy, named.strategy, hinted.strategy) == (OWN, OWN, "pinned")
    assert reply.reason.startswith("least busy of 2")
    assert balancer.selection._policy("auto", OWN).options == {"reserve": 2.0}


def test_a_configuration_with_a_class_of_ones_own_is_written_as_it_was_read() -> None:
    """Load, save, load gives the same; nothing is imported for that."""
    config = load({**BASE, "strategy": "nowhere.at_all:Class", "aliases": {"mine": "nowhere.at_all:Class"}}).config
    assert plain(config)["strategy"] == "nowhere.at_all:Class"
    assert type(plain(config)["strategy"]) is str
    assert load(plain(config)).config == config


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nowhere.at_all:Class", ImportError, "nowhere"),
        ("tests.shell.config.own:Missing", AttributeError, "Missing"),
        ("tests.shell.config.own:answer", ValueError, "cannot be made for route auto"),
        ("tests.shell.config.own:Mute", ValueError, "has no method choose"),
    ],
)
def test_a_class_that_cannot_be_one_is_refused_before_anything_is_served(
    name: str, error: type[Exception], words: str
) -> None:
    """At the door, with its name; not at the first question."""
    with pytest.raises(error, match=words):
        built(strategy=name)
    with pytest.raises(ValueError, match="unknown option astrology"):
        built(strategy=OWN, strategy_options={OWN: {"astrology": 1}})


def test_what_is_neither_a_strategy_nor_module_and_class_is_refused_at_its_place(tmp_path: Path) -> None:
    """With file, line and column, and the form that is wanted."""
    file = tmp_path / "e.yaml"
    file.write_text(
        "backend_instances: {a: {backend_type: lightrag, endpoint_url: 'http://x:1'}}\nstrategy: 'my module:Class'\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert str(caught.value).endswith("e.yaml:2:1: strategy: must be written module:Class (got 'my module:Class')")

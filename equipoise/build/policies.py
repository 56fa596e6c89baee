"""The policies of the routes, the user's own classes among them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from equipoise.build.objects import function_named
from equipoise.config import Config
from equipoise.core.model import Chance, Policy
from equipoise.core.policies import PolicyMaker, make_policy
from equipoise.core.routing import Route


def own_policies(config: Config, routes: Mapping[str, Route]) -> dict[str, PolicyMaker]:
    """The user's own classes by their names, each made once to see that it can be.

    Raises ImportError or AttributeError where there is none, ValueError where it refuses its options.
    """
    said = {route.strategy for route in routes.values()} | {name for of in routes.values() for name in of.options}
    makers: dict[str, PolicyMaker] = {name: function_named(name) for name in sorted(said) if ":" in name}
    for name, maker in makers.items():
        for route in routes.values():
            _made(name, maker, route)
    return makers


def _made(name: str, maker: PolicyMaker, route: Route) -> None:
    try:
        policy = make_policy(maker, chance=random.Random(0), options=route.options_of(name))  # noqa: S311
    except (TypeError, ValueError) as error:
        raise ValueError(f"the strategy {name} cannot be made for route {route.name}: {error}") from error
    if not callable(getattr(policy, "choose", None)):
        raise ValueError(f"the strategy {name} has no method choose(candidates, request)")  # noqa: TRY004


def policies_of(chance: Chance, own: Mapping[str, PolicyMaker]) -> Callable[[Route, str], Policy]:
    """Makes the policy of a strategy on a route."""

    def make(route: Route, strategy: str) -> Policy:
        return make_policy(own.get(strategy, strategy), chance=chance, options=route.options_of(strategy))

    return make

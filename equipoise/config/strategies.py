"""What a configuration may say of strategies: one of ours, or `module:Class` of the user's own; options by name."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, GetCoreSchemaHandler, Tag
from pydantic_core import CoreSchema, core_schema

from equipoise.config.errors import Path, Problem, did_you_mean
from equipoise.config.fields import NotNegative
from equipoise.core.model import Strategy
from equipoise.core.policies import STRATEGIES, make_policy

OWN = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
NO_CHANCE = random.Random(0)  # noqa: S311 - policies made to look at their options never draw
NAMES = tuple(STRATEGIES)
NAMED_TAG, OWN_TAG = "[named]", "[own]"


class OwnStrategy(str):
    """`module:Class`, a strategy of the user's own; it is imported when the gateway is built, not before."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The name, as of a Strategy."""
        return str(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(str)
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(pattern=OWN), serialization=serialization
        )


def _tag(value: Any) -> str:
    return OWN_TAG if isinstance(value, str) and ":" in value else NAMED_TAG


StrategyName: TypeAlias = Annotated[
    Annotated[Strategy, Tag(NAMED_TAG)] | Annotated[OwnStrategy, Tag(OWN_TAG)], Discriminator(_tag)
]
StrategyOptions: TypeAlias = dict[str, dict[str, NotNegative]]


def own_strategies(data: Mapping[str, Any]) -> set[str]:
    """The names of the user's own strategies that this data mentions, wherever it may."""
    sections = [data, *(route for route in _mapping(data.get("routes")).values() if isinstance(route, Mapping))]
    said = {str(section.get("strategy")) for section in sections}
    said |= {str(name) for section in sections for name in _mapping(section.get("strategy_options"))}
    return {name for name in said if re.fullmatch(OWN, name)}


def broken_options(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Options of strategies that nobody knows, or numbers that make no sense; a class of one's own says so when made."""
    known = (*NAMES, *own_strategies(data))
    yield from _broken((), data, known)
    for name, route in _mapping(data.get("routes")).items():
        yield from _broken(("routes", str(name)), _mapping(route), known)


def _broken(path: Path, section: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Problem]:
    for name, options in _mapping(section.get("strategy_options")).items():
        place = (*path, "strategy_options", str(name))
        if name not in known:
            yield Problem(place, "there is no strategy of this name", str(name), did_you_mean(name, known))
        elif name in STRATEGIES:
            yield from _misfits(place, name, _mapping(options))


def _misfits(place: Path, strategy: str, options: Mapping[str, Any]) -> Iterator[Problem]:
    """Each option by itself, so that every one that is wrong is named; what is no number its field refuses."""
    for option, value in options.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                make_policy(strategy, chance=NO_CHANCE, options={str(option): float(value)})
            except ValueError as error:
                yield Problem((*place, str(option)), str(error), value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""What every built-in policy is made of: a random generator and the options it declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from equipoise.core.model import Chance

NO_OPTIONS: Mapping[str, float] = MappingProxyType({})


class Configured:
    """Keep `chance` and the options; raise ValueError for an option nothing reads or a number that makes no sense.

    Options are not negative; those named in `divisors` are above zero. `sampling` says how a few candidates are drawn
    where there are too many to compare all.
    """

    defaults: ClassVar[Mapping[str, float]] = NO_OPTIONS
    divisors: ClassVar[frozenset[str]] = frozenset()
    sampling: ClassVar[Literal["cycle", "weight", "pair"]] = "pair"
    exploration_floor: ClassVar[float] = 0.0

    def __init__(self, *, chance: Chance, options: Mapping[str, float] = NO_OPTIONS) -> None:
        unknown = sorted(options.keys() - self.defaults.keys())
        if unknown:
            known = ", ".join(sorted(self.defaults)) or "none"
            raise ValueError(f"unknown option {', '.join(unknown)} (this strategy knows: {known})")
        self.chance = chance
        self.options: dict[str, float] = {**self.defaults, **options}
        for name, value in self.options.items():
            if not 0.0 <= value < math.inf or (value == 0.0 and name in self.divisors):
                raise ValueError(f"{name} cannot be {value}")

"""What a client's `model` means: a route, a strategy, one backend, or an alias of these."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from equipoise.core.model import NanoUSD, Strategy

PREFERENCES = {
    "cheap": Strategy.COST_OPTIMIZED.value,
    "fast": Strategy.PERFORMANCE_BASED.value,
    "best": Strategy.QUALITY_BASED.value,
}
POLICIES_VERSION = 1
"""Raised whenever a strategy would choose otherwise on the same candidates: records name the policy that chose."""

NOT_LIVE = {"boldness": 0.0, "restlessness": 0.0}
"""A strategy that learns chooses the best it knows and draws from nothing."""

STRATEGY_NAMES = tuple(strategy.value for strategy in Strategy)


class HedgeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Second copies of slow questions: a share of all questions, and what they may cost in an hour (nano-dollars)."""

    share: float = 0.05
    per_hour: NanoUSD = 1_000_000_000


class CacheOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that are given again for `ttl` seconds, and for `stale` more while they are asked for anew.

    `version` stands for everything behind the route that an answer depends on: kinds of backends, models, corpora.
    `semantic` says that questions in other words may be answered, where the gateway looks for such at all.
    """

    ttl: float = 3600.0
    stale: float = 0.0
    max_temperature: float = 1.0
    version: str = ""
    semantic: bool = True


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Who may answer and how one is chosen; `fallback` is asked in order when nobody of `backends` can be.

    `timeout` is the seconds for the whole question, `explore` one of live, shadow, off. `sticky` keeps a session with its
    backend, `prefix_characters` what begins alike so far (0: nothing). `escalate` asks a better backend when a whole answer is below `min_quality`. `options` are those of a strategy, by its name; `exploration_floor` is the strategy's own where it is
    None. With `hedge` slow questions are asked of a second backend. `data_classes` is what its questions hold.
    """

    name: str
    backends: tuple[str, ...]
    strategy: str
    fallback: tuple[tuple[str, ...], ...] = ()
    timeout: float = 120.0
    min_quality: float = 0.0
    explore: str = "live"
    sticky: bool = False
    prefix_characters: int = 0
    escalate: bool = False
    exploration_floor: float | None = None
    options: Mapping[str, Mapping[str, float]] = {}
    hedge: HedgeOptions | None = None
    cache: CacheOptions | None = None
    data_classes: frozenset[str] = frozenset()

    def options_of(self, strategy: str) -> dict[str, float]:
        """What a strategy is made with here; where live questions are not for exploring there is no floor."""
        options = dict(self.options.get(strategy, {}))
        if self.exploration_floor is not None:
            options["exploration_floor"] = self.exploration_floor
        if self.explore == "live":
            return options
        return {**options, "exploration_floor": 0.0, **(NOT_LIVE if strategy == Strategy.ADAPTIVE_LEARNING else {})}


class Resolution(msgspec.Struct, frozen=True):
    """Where a model name leads; `warning` when it was unknown and `auto` stands in."""

    route: str
    strategy: str | None = None
    pinned: str | None = None
    warning: str | None = None


class UnknownModel(Exception):
    """The name leads nowhere and `strict_models` is on."""


class Router:
    """Resolves model names. `strategies` are the names a policy exists for, the operator's own included."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        backends: tuple[str, ...],
        *,
        aliases: Mapping[str, str] | None = None,
        strategies: tuple[str, ...] = STRATEGY_NAMES,
        strict: bool = False,
    ) -> None:
        self.routes, self.backends, self.strict = dict(routes), backends, strict
        self.strategies = strategies
        self.aliases = dict(aliases or {})
        self.default = "auto" if "auto" in self.routes else next(iter(self.routes))
        self._known = self._table(strategies)

    def resolve(self, model: str) -> Resolution:
        """What this name means; raises UnknownModel under `strict_models`."""
        known = self._known.get(model or "auto")
        if known is not None:
            return known
        if self.strict:
            raise UnknownModel(model)
        return Resolution(self.default, warning=f"unknown model {model[:80]!r}: {self.default} stands in")

    def names(self) -> list[str]:
        """Every name a client may use."""
        return list(self._known)

    def _table(self, strategies: tuple[str, ...]) -> dict[str, Resolution]:
        """Routes win over preferences, these over strategies, these over backends, these over aliases."""
        table: dict[str, Resolution] = {}
        for backend in self.backends:
            table[backend] = Resolution(self._route_of(backend), pinned=backend)
        for strategy in strategies:
            table[strategy] = Resolution(self.default, strategy=strategy)
        for word, strategy in PREFERENCES.items():
            table[f"{self.default}:{word}"] = Resolution(self.default, strategy=strategy)
        table |= {name: Resolution(name) for name in self.routes}
        table.setdefault("auto", Resolution(self.default))
        for alias, target in self.aliases.items():
            if target in table:
                table.setdefault(alias, table[target])
        return table

    def _route_of(self, backend: str) -> str:
        holds = (name for name, route in self.routes.items() if backend in route.backends)
        return next(holds, self.default)


def version_of(strategy: str, options: Mapping[str, float]) -> str:
    """A strategy's name with a digest of its options and of POLICIES_VERSION."""
    said = repr((POLICIES_VERSION, strategy, sorted(options.items())))
    return f"{strategy}@{hashlib.blake2b(said.encode(), digest_size=4).hexdigest()}"

"""Who asks, by the key that was shown, and what that key may do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from equipoise.core.model import Request
from equipoise.core.routing import Route

KEY_PREFIX = "sk-eq-"
"""What every key made here begins with, so that secret scanners can find one that leaked."""


class Role(StrEnum):
    """What somebody may do at the admin listener; each may all that those before it may."""

    VIEW = "view"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Does this role suffice where that one is needed?"""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of one key. What is None is not limited.

    `routes` holds names of routes, and of backends that may be asked by name; `budgets` those of budgets that count what
    it spends beside those of its tenant, `data_classes` what all its questions hold. `expires` is Unix seconds. `role` is
    what it may do at the admin listener, where a key of a client may nothing.
    """

    key: str = ""
    tenant: str = "default"
    routes: frozenset[str] | None = None
    strategies: frozenset[str] | None = None
    budgets: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    expires: float | None = None
    data_classes: frozenset[str] = frozenset()
    role: Role | None = None

    @property
    def limited(self) -> bool:
        """Is it allowed no more than so much a minute?"""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    def expired(self, wall: float) -> bool:
        """Is its time over?"""
        return self.expires is not None and wall >= self.expires

    def reaches(self, route: str, pinned: str | None = None) -> bool:
        """May it ask this route, or this backend by name?"""
        return self.routes is None or (pinned if pinned is not None else route) in self.routes

    def refusal(self, request: Request, routes: Mapping[str, Route]) -> tuple[str, str] | None:
        """A code and a sentence for why this key may not ask so; None when it may."""
        if not self.reaches(request.route, request.pinned):
            asked = request.pinned if request.pinned is not None else request.route
            return "route_not_allowed", f"This key may not ask {asked!r}, only {_listed(self.routes)}."
        if self.strategies is None or request.pinned is not None:
            return None
        strategy = request.strategy or routes[request.route].strategy
        if strategy in self.strategies:
            return None
        return (
            "strategy_not_allowed",
            f"This key may not use the strategy {strategy!r}, only {_listed(self.strategies)}.",
        )


ANYBODY = Caller()
"""Who asks where no key is needed."""
SOMEBODY_HERE = Caller(key="local", role=Role.ADMIN)
"""Whoever is on this machine, at an admin listener that has no key."""


def _listed(names: frozenset[str] | None) -> str:
    return ", ".join(sorted(names or ())) or "nothing"

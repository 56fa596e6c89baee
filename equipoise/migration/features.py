"""What the phases switch on and off in the running new side: probing, the quality floor, learning."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from equipoise.core.model import Strategy
from equipoise.core.rollout import ADAPTIVE_ROUTING, QUALITY_BASED_ROUTING, REAL_TIME_MONITORING
from equipoise.core.routing import Route

if TYPE_CHECKING:
    from equipoise.balancer import Background, LoadBalancer

WITHOUT_LEARNING = Strategy.HEALTH_AWARE.value
"""Stands in for adaptive_learning, as it does where the configuration switches learning off."""


class Features:
    """Gives the new side what its phase allows of what its configuration says; never more.

    `cost_optimization` is part of the state and has no switch here as long as no strategy reads it (see
    `config.pending`).
    """

    def __init__(self, balancer: LoadBalancer, probing: Switched | None) -> None:
        self._balancer, self._probing = balancer, probing
        self._full: Mapping[str, Route] = dict(balancer.selection.routes)

    async def apply(self, features: Collection[str]) -> None:
        """Switch to exactly these."""
        for name, full in self._full.items():
            route = allowed(full, features)
            self._balancer.selection.routes[name] = self._balancer.intake.router.routes[name] = route
        if self._probing is not None:
            await self._probe(self._probing, wanted=REAL_TIME_MONITORING in features)

    async def _probe(self, probing: Switched, *, wanted: bool) -> None:
        was = probing.on
        await probing.switch(on=wanted)
        if was and not wanted:
            for backend in self._balancer.selection.backends.values():
                backend.health.unwatched()


def allowed(route: Route, features: Collection[str]) -> Route:
    """A route with what these features allow of it."""
    if ADAPTIVE_ROUTING not in features and route.strategy == Strategy.ADAPTIVE_LEARNING.value:
        route = replace(route, strategy=WITHOUT_LEARNING)
    return route if QUALITY_BASED_ROUTING in features else replace(route, min_quality=0.0)


class Switched:
    """Something beside the questions that can be switched off and on again while the rest runs."""

    def __init__(self, background: Background, *, on: bool) -> None:
        self.on = on
        self._background, self._running = background, False

    async def start(self) -> None:
        """Begin, if it is switched on."""
        self._running = True
        if self.on:
            await self._background.start()

    async def switch(self, *, on: bool) -> None:
        """Begin or end it now, or with the start of everything."""
        if on is self.on:
            return
        self.on = on
        if self._running:
            await (self._background.start() if on else self._background.close())

    async def close(self) -> None:
        """End."""
        self._running = False
        if self.on:
            await self._background.close()

"""What a balancer has running beside its questions, as far as it needs to know of it."""

from __future__ import annotations

from typing import Any, Protocol

from equipoise.core.events import Event
from equipoise.core.weights import LearnedWeights


class Background(Protocol):
    """Something that runs beside the questions (probes, the ledger) from `start` to `close`."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class Learned(Background, Protocol):
    """What is known of how good backends are; goes on when a configuration is replaced."""

    weights: LearnedWeights

    def observe(self, event: Event) -> None:
        """Told of attempts that ended and of scores."""

    def inherit(self, previous: Any) -> None: ...

    def status(self) -> dict[str, Any]: ...


def succeeded(former: Learned | None, fresh: Learned | None) -> Learned | None:
    """The fresh one, going on where the former left off; the former where there is no other."""
    if fresh is not None and former is not None:
        fresh.inherit(former)
    return fresh or former

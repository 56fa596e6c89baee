"""What is shown of all processes behind one port: of this one alone, unless somebody knows of more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer


class Silent(Exception):
    """The other processes cannot be asked: half of the truth is not shown in its place."""


class Together(Protocol):
    """One view of all; the first two raise Silent."""

    async def scrape(self) -> bytes:
        """The metrics in Prometheus' text form."""

    async def status(self) -> dict[str, Any]:
        """The backends, and how many questions are under way."""

    def seen(self) -> dict[str, Any]:
        """The same as it was last seen, at once."""

    async def settled(self) -> None:
        """Return when what others still held of records is written."""


class Alone:
    """One process, and no other."""

    def __init__(self, balancer: LoadBalancer, metrics: Callable[[], bytes]) -> None:
        self._balancer, self._metrics = balancer, metrics

    async def scrape(self) -> bytes:
        """The metrics in Prometheus' text form."""
        return self._metrics()

    async def status(self) -> dict[str, Any]:
        """The backends, and how many questions are under way."""
        return self._balancer.status()

    def seen(self) -> dict[str, Any]:
        """The same."""
        return self._balancer.status()

    async def settled(self) -> None:
        """There are no others."""

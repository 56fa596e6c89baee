"""Backends of equal rank, and how a few are drawn when there are too many to compare all."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate

from equipoise.core.backend import Backend
from equipoise.core.model import Chance
from equipoise.core.ring import Ring

SCAN_LIMIT = 50
PAIR = 2
TRIES = 64
SECONDS_A_COUNT_HOLDS = 1.0


class Tier:
    """Backends that are preferred alike. Up to 50 are all compared; above, a policy sees only those drawn here."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self.backends = list(backends)
        self.large = len(self.backends) > SCAN_LIMIT
        self._cursor = 0
        self._cumulative: list[float] = []
        self._well, self._counted_at = 1.0, float("-inf")
        self.reweigh()

    def reweigh(self) -> None:
        """Weights changed: shares of later draws follow."""
        self._cumulative = list(accumulate(backend.weight for backend in self.backends))
        self._ring: Ring | None = None

    def well_share(self, now: float) -> float:
        """The share of those that could be asked, counted once a second: a large tier is not looked through each time."""
        if now - self._counted_at >= SECONDS_A_COUNT_HOLDS:
            self._well = sum(backend.unwell(now) is None for backend in self.backends) / len(self.backends)
            self._counted_at = now
        return self._well

    def draw(self, how: str, free: Callable[[Backend], bool], chance: Chance) -> list[Backend]:
        """A few that are free: the next in the cycle, one by weight, or two different ones alike in probability.

        Empty when so many tries found nobody: then all must be looked at.
        """
        if how == "cycle":
            return self._next(free)
        drawn: list[Backend] = []
        for _ in range(TRIES):
            backend = self._by_weight(chance) if how == "weight" else self._any(chance)
            if backend not in drawn and free(backend):
                drawn.append(backend)
                if how == "weight" or len(drawn) == PAIR:
                    break
        return drawn

    def home(self, session: int, free: Callable[[Backend], bool]) -> list[Backend]:
        """Where a session (its hash) is at home among many; empty when nobody is free."""
        self._ring = self._ring or Ring(self.backends)
        found = self._ring.home(session, free)
        return [] if found is None else [found]

    def _next(self, free: Callable[[Backend], bool]) -> list[Backend]:
        for _ in range(len(self.backends)):
            backend = self.backends[self._cursor]
            self._cursor = (self._cursor + 1) % len(self.backends)
            if free(backend):
                return [backend]
        return []

    def _any(self, chance: Chance) -> Backend:
        return self.backends[int(chance.random() * len(self.backends))]

    def _by_weight(self, chance: Chance) -> Backend:
        place = bisect(self._cumulative, chance.random() * self._cumulative[-1])
        return self.backends[min(place, len(self.backends) - 1)]


def tiers_of(backends: Sequence[Backend], region: str | None = None) -> list[Tier]:
    """One tier a `priority`, lower numbers first; within each, those of the gateway's own region before all others."""

    def rank(backend: Backend) -> tuple[int, bool]:
        return backend.options.priority, region is not None and backend.options.region != region

    return [Tier([b for b in backends if rank(b) == wanted]) for wanted in sorted({rank(b) for b in backends})]

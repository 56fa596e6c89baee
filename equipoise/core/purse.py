"""Whom the budgets of one request allow, asked while a route is looked at."""

from __future__ import annotations

import math

from equipoise.core.backend import Backend
from equipoise.core.budget import Budgets, Refusal
from equipoise.core.model import Request


class Purse:
    """Asks the budgets of one request about each backend, and remembers who was refused."""

    __slots__ = ("_budgets", "_lapsed", "_request", "_wall", "refused")

    def __init__(self, budgets: Budgets, request: Request, wall: float, now: float) -> None:
        self._budgets, self._request, self._wall = budgets, request, wall
        self._lapsed = budgets.lapsed(wall, now)
        self.refused: dict[str, Refusal] = {}

    def why_not(self, backend: Backend) -> str | None:
        """Why the worst case at this backend does not fit, in words for people; None when it does."""
        refusal = self._budgets.why_not(backend, self._request, self._wall, lapsed=self._lapsed)
        if refusal is None:
            return None
        self.refused[backend.id] = refusal
        return refusal.why

    @property
    def short(self) -> bool:
        """Is anybody refused only until the next slice is there?"""
        return any(refusal.short for refusal in self.refused.values())

    def seconds_until_renewed(self) -> float:
        """When the first of the refused may be asked again; infinite when no window ends."""
        times = [refusal.renews_at for refusal in self.refused.values() if refusal.renews_at is not None]
        return max(0.001, min(times) - self._wall) if times else math.inf

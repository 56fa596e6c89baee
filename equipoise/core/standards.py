"""Who falls below the floor of quality of a route, told once when it happens and once when it is over."""

from __future__ import annotations

from equipoise.core.events import QualityCrossed
from equipoise.core.quality import Quality

ENOUGH_SCORED = 5
"""Scored answers without which nothing is said: one bad answer is no decline."""

MARGIN = 0.02
"""How far above the floor a quality must have come back, so that one near it does not ring all day."""


class Standards:
    """Remembers who is below which floor."""

    def __init__(self) -> None:
        self._below: set[tuple[str, str]] = set()

    def crossed(
        self, route: str, backend_id: str, quality: Quality, floor: float, wall: float
    ) -> QualityCrossed | None:
        """The event, if the quality has just crossed the floor of the route."""
        key = route, backend_id
        was = key in self._below
        below = quality.mean < floor + (MARGIN if was else 0.0)
        if floor <= 0.0 or below is was or quality.scored < ENOUGH_SCORED:
            return None
        (self._below.add if below else self._below.discard)(key)
        return QualityCrossed(
            backend_id=backend_id,
            route=route,
            quality=quality.mean,
            error=quality.error,
            floor=floor,
            below=below,
            wall=wall,
        )

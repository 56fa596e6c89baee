"""What one worker holds of limits that are shared out over all."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.core.sharing import Shared, given, part_of


class Slices:
    """Shares by the name of their limit; times are monotonic. `crashed_until` is how long a new limit begins used up."""

    def __init__(
        self, slot: int, count: int, now: Callable[[], float] = lambda: 0.0, shares: dict[str, int] | None = None
    ) -> None:
        self._slot, self._count, self._now = slot, count, now
        self._held = dict(shares or {})
        self._limits: dict[str, Shared] = {}
        self.crashed_until = float("-inf")

    def attach(self, name: str, whole: int, limit: Shared) -> None:
        """This limit is used here: give it its share."""
        if self._limits.get(name) is limit:
            return
        now = self._now()
        limit.resize(self.share(name, whole), now)
        if now < self.crashed_until:
            limit.use_up(now)
        self._limits[name] = limit

    def share(self, name: str, whole: int) -> int:
        """What is held here."""
        return self._held.get(name, part_of(whole, self._slot, self._count))

    def release(self, name: str, whole: int, need: int) -> int:
        """Give what is free, as another needs it."""
        share, limit, now = self.share(name, whole), self._limits.get(name), self._now()
        spare = (0 if now < self.crashed_until else share) if limit is None else min(share, limit.spare(now))
        units = given(spare, need)
        self._change(name, whole, -units)
        return units

    def grant(self, name: str, whole: int, units: int) -> None:
        """Take what others gave."""
        self._change(name, whole, units)

    def moved(self) -> dict[str, int]:
        """What is held, where it is not the equal part."""
        return dict(self._held)

    def _change(self, name: str, whole: int, units: int) -> None:
        if not units:
            return
        self._held[name] = self.share(name, whole) + units
        if (limit := self._limits.get(name)) is not None:
            limit.resize(self._held[name], self._now())

"""The parent's book of limits: which worker holds how much, so that nothing is lost with one that dies."""

from __future__ import annotations

from equipoise.core.sharing import part_of


class Shares:
    """Holds only what differs from equal parts."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: dict[int, dict[str, int]] = {}

    def held_by(self, slot: int, shares: dict[str, int]) -> None:
        """A worker says what it holds, where that is not its equal part."""
        self._held[slot] = dict(shares)

    def moved(self, name: str, whole: int, between: tuple[int, int], units: int) -> None:
        """One worker gave so many units to another."""
        for slot, change in zip(between, (-units, units), strict=True):
            held = self._held.setdefault(slot, {})
            held[name] = held.get(name, part_of(whole, slot, self._count)) + change

    def of(self, slot: int) -> dict[str, int]:
        """What the next worker of this number begins with, beside its equal parts."""
        return dict(self._held.get(slot, {}))

"""Counts what could not be recorded, so that a hole in the ledger has a size."""

from __future__ import annotations

import threading

import msgspec

from equipoise.core.model import NanoUSD


class Gap(msgspec.Struct, frozen=True):
    """Attempts that were not recorded: when the first and the last of them began, how many, what they cost."""

    first_wall: float
    last_wall: float
    attempts: int
    cost: NanoUSD

    def joined(self, other: Gap) -> Gap:
        """Both gaps as one."""
        return Gap(
            min(self.first_wall, other.first_wall),
            max(self.last_wall, other.last_wall),
            self.attempts + other.attempts,
            self.cost + other.cost,
        )


class Losses:
    """All losses since the start, and the part not yet noted in the store. Safe from any thread."""

    def __init__(self) -> None:
        self.attempts = 0
        self.cost: NanoUSD = 0
        self._unnoted: Gap | None = None
        self._lock = threading.Lock()

    def add(self, wall: float, cost: NanoUSD) -> None:
        """Count one attempt as lost: when it began, and what it cost."""
        with self._lock:
            self.attempts += 1
            self.cost += cost
        self.give_back(Gap(wall, wall, 1, cost))

    def take(self) -> Gap | None:
        """The part not yet noted; the caller notes it or gives it back."""
        with self._lock:
            gap, self._unnoted = self._unnoted, None
        return gap

    def give_back(self, gap: Gap) -> None:
        """Keep a gap for the next `take`."""
        with self._lock:
            self._unnoted = gap if self._unnoted is None else self._unnoted.joined(gap)

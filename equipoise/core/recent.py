"""The last durations of one backend, and the times within which a share of them ended."""

from __future__ import annotations

import math
from collections import deque

KEPT = 64
ENOUGH = 10
HOLDS_SECONDS = 60.0
"""What was seen longer ago says nothing about now: without fresh answers there is no rule, so a rule cannot starve."""
EVERY = 16


class Recent:
    """Durations in seconds; the median and the 95th percentile are brought up to date with every sixteenth.

    `usual` is the middle one, to be believed until `known_until`: both are read for each backend of each decision.
    """

    __slots__ = ("_count", "_seen", "_until", "_worst", "known_until", "usual")

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=KEPT)
        self._count = 0
        self.usual = self._worst = self._until = 0.0
        self.known_until = -math.inf

    def add(self, seconds: float, now: float) -> None:
        """Take in a duration that ended now."""
        if now > self._until:
            self._seen.clear()
            self._count, self.known_until = 0, -math.inf
        self._seen.append(seconds)
        self._count = count = self._count + 1
        self._until = until = now + HOLDS_SECONDS
        if count >= ENOUGH:
            self.known_until = until
            if count == ENOUGH or count % EVERY == 0:
                in_order = sorted(self._seen)
                self.usual = in_order[len(in_order) // 2]
                self._worst = in_order[int(0.95 * len(in_order))]

    def median(self, now: float) -> float | None:
        """The middle one; None unless enough are fresh."""
        return self.usual if now <= self.known_until else None

    def worst(self, now: float) -> float | None:
        """What 95 % of them took at the most; None unless enough are fresh."""
        return self._worst if now <= self.known_until else None

"""Wrong keys at the login, counted by where they come from: who guesses makes nobody else wait."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

MOST_WRONG, WRONG_SECONDS = 10, 60.0
"""Wrong keys in so many seconds from one address before the next must wait."""
MOST_ADDRESSES = 1_000
"""Addresses remembered at once; the one that was wrong longest ago goes first."""


class Guesses:
    """Remembers in memory when which address was wrong; `now` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def too_many(self, address: str) -> bool:
        """Must this address wait?"""
        times = self._wrong.get(address, deque[float]())
        return len(times) == MOST_WRONG and self._now() - times[0] < WRONG_SECONDS

    def wrong(self, address: str) -> None:
        """One more from there."""
        self._wrong.setdefault(address, deque(maxlen=MOST_WRONG)).append(self._now())
        self._wrong.move_to_end(address)
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

"""The most an answer may take where nobody bounds it: learned from the answers there were, and from bills that went beyond."""

from __future__ import annotations

from collections import deque

WINDOW = 64
ENOUGH = 8
UNSEEN = 4096
"""Tokens reserved for an answer before eight have been seen."""
MARGIN_PERCENT = 125
EXCESS_MARGIN_PERCENT = 110
DECAY_PERCENT = 99
MOST_EXCESS_PERCENT = 10_000


class Bound:
    """Learns one backend's bounds.

    `tokens` is a quarter more than the longest of the last 64 answers (no lower than their 98th percentile);
    `excess_percent` is how far a bill once went beyond what was reserved, with a tenth on top, forgotten slowly: 100
    while none does.
    """

    __slots__ = ("_lengths", "_longest", "excess_percent")

    def __init__(self) -> None:
        self._lengths: deque[int] = deque(maxlen=WINDOW)
        self._longest = 0
        self.excess_percent = 100

    @property
    def tokens(self) -> int:
        """The most output tokens to expect of an answer that has no bound of its own."""
        if len(self._lengths) < ENOUGH:
            return max(UNSEEN, self._longest * MARGIN_PERCENT // 100)
        return self._longest * MARGIN_PERCENT // 100

    def answered(self, output_tokens: int) -> None:
        """Learn from the length of one answer."""
        lengths = self._lengths
        leaving = lengths[0] if len(lengths) == WINDOW else 0
        lengths.append(output_tokens)
        if output_tokens >= self._longest:
            self._longest = output_tokens
        elif leaving == self._longest:
            self._longest = max(lengths)

    def billed(self, reserved: int, actual: int) -> None:
        """Learn from one bill whether what was reserved was enough."""
        if actual > reserved > 0:
            needed = -(-actual * self.excess_percent * EXCESS_MARGIN_PERCENT // (reserved * 100))
            self.excess_percent = min(max(self.excess_percent, needed), MOST_EXCESS_PERCENT)
        elif self.excess_percent > 100:
            self.excess_percent = max(100, self.excess_percent * DECAY_PERCENT // 100)

"""Did each side get its share of keys? Each key counts once, however often it asks.

With a share s of keys for the candidate, a new key multiplies a bet on odds κ by θ/s on the candidate's side and by
(1 - θ)/(1 - s) on the control's, θ = sκ/(1 - s + sκ): fair, because the expectation is 1 while the share is what it should
be (the sequential test of sample ratios of Lindon and Malek, arXiv 2011.03567, as a bet).
"""

from __future__ import annotations

import math

import msgspec

from equipoise.core.betting import log_add

CELLS = 16_384
ODDS = (1 / 2.5, 1 / 1.5, 1 / 1.2, 1 / 1.08, 1.08, 1.2, 1.5, 2.5)


class Proportion(msgspec.Struct):
    """Keys seen on both sides. A key is remembered by a cell, one bit: in 2 KiB the first 16,384 kinds of keys count."""

    seen: bytearray = msgspec.field(default_factory=lambda: bytearray(CELLS // 8))
    bets: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(ODDS))
    control: int = 0
    candidate: int = 0
    expected: float = 0.0

    def take(self, cell: int, share: float, *, candidate: bool) -> None:
        """A key in this cell went to a side; `share` (0 to 1) of keys should go to the candidate."""
        byte, bit = cell >> 3, 1 << (cell & 7)
        if not 0.0 < share < 1.0 or self.seen[byte] & bit:
            return
        self.seen[byte] |= bit
        self.candidate += candidate
        self.control += not candidate
        self.expected += share
        for j, odds in enumerate(ODDS):
            bet = share * odds / (1.0 - share + share * odds)
            self.bets[j] += math.log(bet / share if candidate else (1.0 - bet) / (1.0 - share))

    def log_e(self) -> float:
        """The logarithm of the evidence that the share is not what it should be."""
        total = -1e9
        for bet in self.bets:
            total = log_add(total, bet)
        return total - math.log(len(ODDS))

    def merge(self, other: Proportion) -> None:
        """Take in the keys of another process; a key that asked both counts twice there, once for each."""
        self.bets = [ours + theirs for ours, theirs in zip(self.bets, other.bets, strict=True)]
        self.control += other.control
        self.candidate += other.candidate
        self.expected += other.expected

    def told(self) -> str:
        """For people."""
        total = self.control + self.candidate
        return (
            f"candidate got {self.candidate} of {total} keys where {self.expected:.0f} were due (sample ratio mismatch): "
            "what was measured cannot be compared"
        )

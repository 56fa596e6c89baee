"""One limit over several processes: each holds a share, the shares add up to the whole, and only what is free changes hands.

So the whole is kept exactly, whatever is asked of whom: used_i <= share_i in each, and the sum of the shares is the limit.
"""

from __future__ import annotations

from typing import Protocol


class Shared(Protocol):
    """A limit of which a share is held here; times are monotonic."""

    def spare(self, now: float) -> int:
        """Units of the share that are free."""

    def resize(self, share: int, now: float) -> None:
        """Hold so much from now on; what is taken away was free."""

    def use_up(self, now: float) -> None:
        """Take it that all of the share was used just now."""


def part_of(whole: int, slot: int, count: int) -> int:
    """The equal part that the one of this number (from 0) begins with; the parts of all add up to the whole."""
    return whole // count + (slot < whole % count)


def given(spare: int, need: int) -> int:
    """How much of what is free is given to one who needs so much: half, or all that is needed as far as it is there."""
    return max(0, min(spare, max(need, spare // 2)))

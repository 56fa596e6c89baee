"""One limit over several processes: each holds a share, the shares add up to the whole, and only what is free changes hands.

So the whole is kept exactly, whatever is asked of whom: used_i <= share_i in each, and the sum of the shares is the limit.
"""

from __future__ import annotations


def part_of(whole: int, slot: int, count: int) -> int:
    """The equal part that the one of this number (from 0) begins with; the parts of all add up to the whole."""
    return whole // count + (slot < whole % count)


def given(spare: int, need: int) -> int:
    """How much of what is free is given to one who needs so much: half, or all that is needed as far as it is there."""
    return max(0, min(spare, max(need, spare // 2)))

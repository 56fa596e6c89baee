"""What a holder asks of a store of headroom, and what it is given; the arithmetic of both, whoever keeps the sums.

Several gateways share one limit. Each holds a slice of what is left, written down in the store before it is used, and
spends from it without asking anybody. So spent + held <= limit in the store, and spent + reserved <= held in each holder.
"""

from __future__ import annotations

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One holder's turn at one account.

    `spent` lists (period, amount, count) since the last turn; periods from `since` on count against the limit, those from
    `keep` on are remembered. `began` is the instant (Unix seconds) since which a lost slice counts. `used` is
    how much of what is held they took (not the same: a late correction takes nothing). `back` is given back, `need`
    needed at least, `want` comfortable. All in the account's unit.
    """

    account: str
    budget: str
    limit: int
    since: int
    began: float
    keep: int
    spent: tuple[tuple[int, int, int], ...] = ()
    used: int = 0
    back: int = 0
    need: int = 0
    want: int = 0

    @property
    def changes(self) -> bool:
        """Is anything to be written?"""
        return bool(self.spent or self.used or self.back or self.need or self.want)


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: what this holder now holds, and how the account stands over all holders.

    `unknown` is held by gateways that have died: it counts as spent until its window is over. `limit` is the one that
    holds, where an operator changed it; `oldest` the first period in the window with anything spent.
    """

    account: str
    held: int
    spent: int
    count: int
    others: int
    unknown: int
    limit: int
    oldest: int | None = None

    @property
    def headroom(self) -> int:
        """What nobody has spent or holds."""
        return self.limit - self.spent - self.held - self.others - self.unknown


def slice_of(headroom: int, need: int, want: int, holders: int) -> int:
    """How much of the headroom one of so many holders is given.

    What it wants while there is plenty; when there is not, a share that leaves as much for each of the others, so that
    slices shrink geometrically towards the limit; never less than it needs, and nothing where that cannot be had:
    headroom that helps nobody here may help another.
    """
    if headroom <= 0 or headroom < need:
        return 0
    return min(headroom, max(need, min(want, headroom // (holders + 1))))

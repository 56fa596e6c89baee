"""Where headroom is kept that several gateways share: each holds slices of it, written down before they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from equipoise.core.slices import Ask, Grant


class LeaseStore(Protocol):
    """Sums over all holders, in integers; methods block, call them in a thread. Raises StoreError.

    Between two transactions spent + held + lost <= limit for every account, unless somebody spent more than he held. A
    holder that is silent for longer than it said is dead: what it held is lost, and counts as spent until its window is
    over or an operator says otherwise. Nothing here knows of money: rates can be kept in it as well.
    """

    def renew(
        self, holder: str, turn: int, asks: Sequence[Ask], now: float, seconds: float, *, beat: bool = True
    ) -> list[Grant]:
        """One holder's turn: books what it spent, takes back, gives what it wants while there is any; all or nothing.

        A `turn` that was taken before (its answer was lost) books nothing twice. The holder is alive for `seconds` more.
        Without `beat`, and when nothing is asked for, nothing is written.
        """
        ...

    def leave(self, holder: str, turn: int, asks: Sequence[Ask], now: float) -> None:
        """The holder's last turn; what it does not give back is lost."""
        ...

    def holdings(self, holder: str) -> tuple[float, list[str]]:
        """Until when the holder is alive (Unix seconds; 0 when it is not known), and the accounts it holds anything of."""
        ...

    def give_back(self, holder: str, free: Mapping[str, int], now: float) -> int:
        """Take from a dead holder's slices what is known not to have been spent, by account; gives the sum."""
        ...

    def periods(self, account: str, first: int, before: int) -> list[tuple[int, int, int]]:
        """(period, amount, count) of what was spent in these periods."""
        ...

    def first_to_tell(self, account: str, share: float, until: float, now: float) -> bool:
        """Is it this caller who tells that the share was passed? Once until then (Unix seconds)."""
        ...

    def set_limit(self, budget: str, amount: int | None, instead_of: int, now: float) -> None:
        """From now on this amount instead of the configured one, until that is changed; None takes the word back."""
        ...

    def reset(self, budget: str, now: float, *, lost_only: bool = False) -> int:
        """Forget what was spent from a budget, all its accounts, and what the dead held; gives the sum."""
        ...

    def close(self) -> None:
        """Close it."""
        ...

"""The budgets of a simulated gateway: the real ones, renewed by the only holder there is, and how they went over time."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.core.account import Account
from equipoise.core.budget import Budgets, crossed
from equipoise.core.slices import Ask, Grant, slice_of
from equipoise.stores.leasing import TURN_SECONDS, slot_weights

LEAST_STEP = 0.005
"""Changes of a budget's share that are worth a point in its curve."""


class Treasury:
    """Takes turns for `budgets`: what a store would grant to a gateway that has no neighbours.

    `curves` has, for each account, points (wall, share of the limit that is spent).
    """

    def __init__(self, budgets: Budgets, wall: Callable[[], float]) -> None:
        self.budgets, self._wall = budgets, wall
        self.curves: dict[str, list[tuple[float, float]]] = {}
        self._held: dict[str, int] = {}
        self._spent: dict[str, dict[int, list[int]]] = {}
        self._told: dict[tuple[str, float], float] = {}
        self._turned_at, self._due = float("-inf"), True
        budgets.wake = self._hurry

    def keep_up(self) -> None:
        """A turn, where one is due by now."""
        if self.budgets.active and (self._due or self._wall() - self._turned_at >= TURN_SECONDS):
            self.turn()

    def turn(self) -> None:
        """Book what was spent, grant what is wanted, tell which alert shares were passed, move the prices."""
        budgets, wall = self.budgets, self._wall()
        asks = budgets.asks(wall, min(wall - self._turned_at, 10.0))
        budgets.granted([self._granted(ask) for ask in asks], wall)
        self._turned_at, self._due = wall, False
        for account in list(budgets.accounts.values()):
            self._alert(account, wall)
            self._draw(account, wall)
        for name in budgets.pacers:
            self._pace(name, wall)

    def _hurry(self) -> None:
        self._due = True

    def _granted(self, ask: Ask) -> Grant:
        spent = self._spent.setdefault(ask.account, {})
        for period, amount, count in ask.spent:
            sums = spent.setdefault(period, [0, 0])
            sums[0] += amount
            sums[1] += count
        for period in [period for period in spent if period < ask.keep]:
            del spent[period]
        self._held[ask.account] = max(0, self._held.get(ask.account, 0) - ask.used - ask.back)
        standing = self._standing(ask)
        given = slice_of(standing.headroom, ask.need, ask.want, 1)
        self._held[ask.account] += given
        return self._standing(ask) if given else standing

    def _standing(self, ask: Ask) -> Grant:
        counted = {period: sums for period, sums in self._spent[ask.account].items() if period >= ask.since}
        return Grant(
            account=ask.account,
            held=self._held[ask.account],
            spent=sum(amount for amount, _ in counted.values()),
            count=sum(count for _, count in counted.values()),
            others=0,
            unknown=0,
            limit=ask.limit,
            oldest=min(counted, default=None),
        )

    def _alert(self, account: Account, wall: float) -> None:
        for share in account.passed():
            if self._told.get((account.id, share), float("-inf")) <= wall:
                self._told[account.id, share] = account.told_until(wall)
                self.budgets.tell(crossed(account, share, wall))

    def _draw(self, account: Account, wall: float) -> None:
        if account.standing is None or account.standing.limit <= 0:
            return
        share = account.standing.spent / account.standing.limit
        curve = self.curves.setdefault(account.id, [])
        if not curve or abs(share - curve[-1][1]) >= LEAST_STEP:
            curve.append((wall, share))

    def _pace(self, name: str, wall: float) -> None:
        account, pacer = self.budgets.accounts.get(name), self.budgets.pacers[name]
        if account is None or account.standing is None:
            return
        window = account.window
        window.turn(wall)
        if pacer.starts != window.starts:
            length = window.ends - window.starts
            before = self._spent.get(account.id, {}).items()
            rows = [
                (at, amount, count) for at, (amount, count) in before if window.starts - length <= at < window.starts
            ]
            pacer.begin(window.starts, window.ends, slot_weights(rows, window.starts - length, length))
        pacer.limit = account.standing.limit
        pacer.observed(account.standing.spent, account.standing.count, wall)

"""One budget in one scope, as this process holds it: what is free, reserved, and not yet told to the store."""

from __future__ import annotations

import enum
from collections.abc import MutableSequence

import msgspec

from equipoise.core.model import dollars
from equipoise.core.slices import Ask, Grant
from equipoise.core.window import Window

EACH = "*"
"""In a scope: every tenant (key, backend) has a budget of its own."""
FRESH = 1.0
"""Seconds a store's word that nothing is left is believed without asking again."""
LEAD = 2.0
"""Seconds of demand that a holder likes to have free, so that the next slice is there before it is needed: on one machine."""
GRACE = 600.0
"""Seconds after its deadline that a reservation nobody settled is taken for spent: it may have been billed until then."""
KEEP = 0.8
"""Weight of the past in the averages of demand, each turn."""
SPARE = 4
"""How many of its usual reservations one that is idle keeps room for, where its store may go away."""
SPARE_HALF_LIFE = 600.0
"""Seconds without a question after which one of half the size counts as usual."""
PLENTY = 64
"""Nothing is kept spare when so many idle holders could not do as much."""


class Unit(enum.IntEnum):
    """What a budget counts; its place in the amounts of a reservation."""

    USD = 0
    REQUESTS = 1
    TOKENS = 2

    def written(self, amount: int) -> str:
        """An amount for people."""
        return f"${dollars(amount)}" if self is Unit.USD else f"{amount} {self.name.lower()}"


class BudgetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One budget: how much of what, for whom; the window is given beside.

    `limit` is in the unit (nano-dollars for USD). All of `backend`, `tenant`, `key` and `tag` that are given must match;
    `*` stands for each of them by itself. `lead` is for how many seconds of demand is kept free, `spare` for how many
    reservations when there is none. One that is `named` counts requests whose key names it, `exempt` tenants do not count. `alerts` are shares of the limit.
    """

    name: str
    limit: int
    unit: Unit = Unit.USD
    backend: str | None = None
    tenant: str | None = None
    key: str | None = None
    tag: str | None = None
    named: bool = False
    exempt: frozenset[str] = frozenset()
    alerts: tuple[float, ...] = (0.7, 0.9)
    lead: float = LEAD
    spare: int = 0


class Account:
    """What one budget allows in one scope.

    Of the slice held, `free` is neither spent nor reserved: promises are given only out of it. `used` and `spent` (by
    period) are waiting to be told to the store; `needed` and `waiting` are the largest and the sum of what was refused
    for want of a slice since the last turn. Below `low` it is time for one. `shown[0]` is `free` where it outlives this
    process: at no time more than what is certainly neither spent nor promised.
    """

    __slots__ = (
        "demand", "free", "id", "largest", "lately", "low", "needed", "options", "overrun", "pending", "reserved",
        "shown", "slot_ends", "spent", "standing", "standing_at", "sums", "unit", "used", "usual", "waiting", "window",
    )  # fmt: skip

    def __init__(self, name: str, options: BudgetOptions, window: Window) -> None:
        self.id, self.options, self.window, self.unit = name, options, window, int(options.unit)
        self.free = self.reserved = self.used = 0
        self.shown: MutableSequence[int] = [0]
        self.spent: dict[int, list[int]] = {}
        self.sums, self.slot_ends = [0, 0], float("-inf")
        self.demand = self.largest = self.needed = self.waiting = self.low = 0
        self.lately = self.usual = 0.0
        self.pending: Ask | None = None
        self.standing: Grant | None = None
        self.standing_at = float("-inf")
        self.overrun = False

    def expire(self, reserved: int, at: float) -> None:
        """Take a reservation for spent, in full, at the instant it ended: later nothing of it was held any more."""
        self.reserved -= reserved
        self.used += reserved
        self.note(reserved, 1, at)

    def note(self, amount: int, count: int, at: float) -> None:
        """Write an amount into the period an instant falls in, which may be over."""
        sums = self.spent.setdefault(self.window.slot(at)[0], [0, 0])
        sums[0] += amount
        sums[1] += count

    def open_slot(self, wall: float) -> None:
        """From now on amounts are added to the period of this instant."""
        slot, self.slot_ends = self.window.slot(wall)
        self.sums = self.spent.setdefault(slot, [0, 0])

    def refused(self, need: int) -> None:
        """Somebody could not be served for want of a slice: ask for it at the next turn."""
        self.needed, self.largest = max(self.needed, need), max(self.largest, need)
        self.waiting += need
        self.demand += need

    def may_get(self, need: int, wall: float) -> bool:
        """May this much be had in a moment, from the store or as reservations end? Not when nobody holds so much."""
        standing = self.standing
        if standing is None or wall - self.standing_at > FRESH or self.window.over(self.standing_at, wall):
            return True
        return standing.headroom + standing.others + self.reserved + self.free >= need

    def renews_at(self, wall: float) -> float | None:
        """When it is whole again, or the first of it returns; Unix seconds."""
        oldest = self.standing.oldest if self.standing else None
        return self.window.renews_at(self.window.slot(wall)[0] if oldest is None else oldest, wall)

    def passed(self) -> list[float]:
        """The alert shares that what was spent (or lost) has reached."""
        standing = self.standing
        if standing is None or standing.limit <= 0:
            return []
        gone = standing.spent + standing.unknown
        return [share for share in self.options.alerts if gone >= share * standing.limit]

    def told_until(self, wall: float) -> float:
        """Until when a share that was passed is not told again: the end of the window, or a whole one if it rolls."""
        return wall + self.window.length if self.window.rolls else self.window.ends

    # ---- a turn at the store ----

    def ask(self, wall: float, seconds: float, longest: float = GRACE) -> Ask:
        """What to tell and ask the store, `seconds` after the last turn. The same again until `granted` was called.

        `longest` is for how many seconds anybody's reservation may be open.
        """
        if self.pending is None:
            self.pending = self._composed(wall, seconds, longest)
        return self.pending

    def granted(self, grant: Grant, wall: float) -> None:
        """Take in what the store says we hold; what was used since the turn was composed is still to be told."""
        self.pending, self.standing, self.standing_at = None, grant, wall
        self.free = self.shown[0] = grant.held - self.reserved - self.used

    def calm(self) -> None:
        """Forget what was in demand: nobody will come any more."""
        self.demand, self.largest, self.lately, self.needed, self.waiting = 0, 0, 0.0, 0, 0
        self.usual = 0.0

    def hidden(self) -> Account:
        """Itself, with its place left to another account of that name."""
        self.shown[0] = 0
        self.shown = [0]
        return self

    def farewell(self, wall: float, longest: float = GRACE) -> Ask:
        """The last turn: everything is told and given back; what is promised stays held, for its bill may still come."""
        self.calm()
        ask = self.pending or self._composed(wall, 1.0, longest)
        return msgspec.structs.replace(ask, need=0, want=0)

    @property
    def idle(self) -> bool:
        """Nothing held, promised or untold: it may be forgotten."""
        return not (self.free or self.reserved or self.used or self.spent or self.pending)

    def _composed(self, wall: float, seconds: float, longest: float) -> Ask:
        aim = self._aim(seconds)
        scarce = self.standing is not None and self.standing.headroom < aim
        back = max(0, self.free - max(self.needed, self.largest if scarce else 4 * aim))
        hungry = self.needed or self.free < aim or self.free < 0
        want = max(0, 2 * aim + self.waiting - self.free) if hungry else 0
        self.low = 0 if scarce else aim // 2
        ask = Ask(
            account=self.id,
            budget=self.options.name,
            limit=self.options.limit,
            since=self.window.since(wall),
            began=self.window.began(wall) - longest,
            keep=self.window.keep(wall),
            spent=tuple((period, amount, count) for period, (amount, count) in self.spent.items()),
            used=self.used,
            back=back,
            need=max(0, self.needed - self.free, -self.free),
            want=want,
        )
        self.free -= back
        self.shown[0] = self.free
        self.used, self.spent, self.slot_ends = 0, {}, float("-inf")
        self.needed = self.waiting = 0
        return ask

    def _aim(self, seconds: float) -> int:
        """How much to have free: what the next moments will reserve, and the largest reservation of late twice."""
        self.lately = KEEP * self.lately + (1.0 - KEEP) * self.demand / max(seconds, 1e-3)
        self.usual = max(float(self.largest), self.usual * 0.5 ** (seconds / SPARE_HALF_LIFE))
        self.largest = self.largest if self.demand else int(KEEP * self.largest)
        self.demand = 0
        return max(2 * self.largest, int(self.lately * self.options.lead), self._spare())

    def _spare(self) -> int:
        """What to have free though nobody asks, lest the first who does is turned away for a store that is not there."""
        spare = self.options.spare * round(self.usual)
        return spare if self.standing is not None and self.standing.headroom >= PLENTY * spare else 0

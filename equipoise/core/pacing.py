"""Spreads a budget over its window: a price of money that rises smoothly as spending runs ahead of plan.

The dual variable of a budgeted bandit (docs/money.md): whoever weighs quality against cost subtracts `price() * cost`
from quality. Nothing is refused here; the hard cap is the budget's own.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from equipoise.core.model import NanoUSD

SLOTS = 24
WIDEST = 1e4
"""The price stays within this factor of where it began, either way."""


class PacingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How spending is steered.

    `aim` is the share of the budget that is planned for: the rest is the cap's safety. `step` is how far one request
    moves the price (relative), `longest_step` bounds it: without the bound one dear answer would move it by e^5.
    What is ahead of or behind the plan is made good over `repay` of the window. `start` is the price at which money
    stops being free: quality points for a request that costs exactly the planned average. `memory` is the share of the
    window over which the rate of requests is averaged.
    """

    aim: float = 0.98
    step: float = 0.01
    longest_step: float = 0.1
    repay: float = 0.05
    start: float = 0.02
    memory: float = 0.01


DEFAULTS = PacingOptions()


class Plan:
    """How much of a window's money should be gone when: as much as of the work, of which each slot has its share.

    `weights` are the requests seen in each of equal slots of an earlier window; without any, the plan is a straight
    line. A tenth of the weight is spread evenly, so that no slot is planned to be empty.
    """

    def __init__(self, weights: Sequence[float] = ()) -> None:
        total = sum(weights)
        known = [0.9 * weight / total for weight in weights] if total >= 1 else [0.9 / SLOTS] * SLOTS
        shares = [weight + 0.1 / len(known) for weight in known]
        self._ends = list(accumulate(shares, initial=0.0))
        self.slots = len(shares)

    def share(self, elapsed: float) -> float:
        """The share of the money that should be gone after this share of the window; both in [0, 1]."""
        place = min(max(elapsed, 0.0), 1.0) * self.slots
        slot = min(int(place), self.slots - 1)
        return self._ends[slot] + (place - slot) * (self._ends[slot + 1] - self._ends[slot])

    def slope(self, elapsed: float) -> float:
        """How fast it should go just now: 1.0 is the average over the window."""
        slot = min(bisect_right([i / self.slots for i in range(self.slots)], min(max(elapsed, 0.0), 1.0)), self.slots)
        return (self._ends[slot] - self._ends[slot - 1]) * self.slots


class Pacer:
    """Steers the spending of one budget. Times are Unix seconds, money nano-dollars.

    Call `begin` when a window opens, `observed` when the total of the window is known anew (over all processes), `paid`
    after every answer. Multiplicative dual descent: `price *= exp(clip(step * (cost - target) / planned))`; it is free of
    scale over budgets that differ a thousandfold and never sticks at zero.
    """

    def __init__(self, limit: NanoUSD, options: PacingOptions = DEFAULTS) -> None:
        self.limit, self.options = limit, options
        self.plan = Plan()
        self.starts, self.ends = -math.inf, math.inf
        self._price = 0.0
        self._spent, self._requests, self._seen_at = 0, 0, 0.0
        self._rated, self._weight = 0.0, 0.0

    def begin(self, starts: float, ends: float, weights: Sequence[float] = ()) -> None:
        """A window opens; `weights` are the requests in equal slots of the one before. The price stays: it is known."""
        self.starts, self.ends, self.plan = starts, ends, Plan(weights)
        self._spent, self._requests, self._seen_at = 0, 0, starts

    def observed(self, spent: NanoUSD, requests: int, now: float) -> None:
        """What the window has cost so far, everything reserved left out, and how many requests that were."""
        seconds = now - self._seen_at
        if seconds <= 0:
            return
        keep = math.exp(-seconds / (self.options.memory * self.length))
        fresh = max(0, requests - self._requests) / seconds
        self._rated = keep * self._rated + (1.0 - keep) * fresh
        self._weight = keep * self._weight + (1.0 - keep)
        self._spent, self._requests, self._seen_at = spent, requests, now

    @property
    def length(self) -> float:
        """Seconds the window has."""
        return self.ends - self.starts

    @property
    def rate(self) -> float:
        """Requests a second lately; an exponential average, corrected for having begun at nothing."""
        return self._rated / self._weight if self._weight else 0.0

    def planned(self, now: float) -> NanoUSD:
        """What should be spent by now."""
        return round(self.options.aim * self.limit * self.plan.share((now - self.starts) / self.length))

    def target(self, now: float) -> tuple[float, float]:
        """What a request may cost now so that the plan is kept, and what it may on average; in nano-dollars.

        The first holds what has to be made good: it may be negative when far ahead.
        """
        elapsed = (now - self.starts) / self.length
        average = self.options.aim * self.limit / self.length
        planned = average * self.plan.slope(elapsed)
        carry = (self.planned(now) - self._spent) / (self.options.repay * self.length)
        rate = max(self.rate, 1.0 / self.length)
        return (planned + carry) / rate, planned / rate

    def paid(self, cost: NanoUSD, now: float) -> None:
        """One answer was paid: move the price."""
        if not self._rated:
            return
        target, planned = self.target(now)
        usual = self.options.start / max(planned, 1.0)
        bound = self.options.longest_step
        move = self.options.step * (cost - target) / max(planned, 1.0)
        moved = (self._price or usual) * math.exp(min(bound, max(-bound, move)))
        self._price = min(max(moved, usual / WIDEST), usual * WIDEST)

    def price(self) -> float:
        """What a nano-dollar is worth in quality now; subtract `price() * cost` from a quality in [0, 1]."""
        return self._price

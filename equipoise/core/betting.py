"""Fair bets on two sides: evidence that may be looked at after every observation.

Values lie in [0, 1] and higher is worse. They are gathered in blocks; a block ends as soon as it holds enough values and
both sides. In a block with `a` control and `b` candidate values each value y of a side multiplies the stake by

    y θ_side/θ0 + (1 - y)(1 - θ_side)/(1 - θ0),    θ0 = (a θ_control + b θ_candidate)/(a + b),

with θ fixed before the block. For Bernoulli values that is the likelihood ratio of two rates against one (Turner, Ly and
Grünwald, arXiv 2106.02693); it is linear in y, so its expectation depends on means only. If the candidate's mean is no
higher than the control's, the expectations multiply to at most the (a + b)-th power of their arithmetic mean, which is
1: whatever the rates are, however they drift from block to block, and whichever share the candidate has. So the stake is
a non-negative supermartingale and exceeds 1/α with probability at most α, ever (Ville). Nothing is approximated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

ODDS = (1.25, 1.6, 2.1, 2.8, 4.0, 7.0, 16.0)
PARTS = (0.06, 0.14, 0.26, 0.24, 0.14, 0.1, 0.06)
"""How many times the control's odds the candidate's are bet to be, and the part of the stake on each."""
STAKES = len(ODDS)
KEPT = 0.1
"""The part of the purse that is not bet at the start but put in bit by bit, so that harm which begins late is found."""
PUT_IN = 1.0 / 256
"""The share of what is kept that is put in with every block."""
LEAST_BLOCK, MOST_OF_A_SIDE = 8, 32
MEMORY = 4096.0
"""The weight at which a running level stops growing, so that it follows slow change."""
NOTHING = -1e9
_STARTS = tuple(math.log((1.0 - KEPT) * part) for part in PARTS)
_JOINS = tuple(math.log(PUT_IN * part) for part in PARTS)
_KEPT, _STAYS = math.log(KEPT), math.log1p(-PUT_IN)


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = (a, b) if a > b else (b, a)
    return high + math.log1p(math.exp(low - high))


class Level(msgspec.Struct):
    """A running mean that began at a guess worth so many observations."""

    mean: float
    weight: float

    def take(self, value: float) -> None:
        """One more value."""
        self.weight = min(self.weight + 1.0, MEMORY)
        self.mean += (value - self.mean) / self.weight

    def merge(self, other: Level, guess: Level) -> None:
        """Take in what another level, begun at the same guess, has seen."""
        seen = max(0.0, other.weight - guess.weight)
        total = self.weight + seen
        if seen:
            values = (other.mean * other.weight - guess.mean * guess.weight) / seen
            self.mean += (values - self.mean) * seen / total
        self.weight = min(total, MEMORY)


class Wager(msgspec.Struct):
    """A purse spread over bets, kept as what the blocks so far did to it: results of several processes compose.

    After the blocks, bet j holds `exp(products[j]) · start + exp(joined[j]) · kept`.
    """

    products: list[float]
    joined: list[float]
    blocks: int = 0

    @classmethod
    def fresh(cls) -> Wager:
        """Nothing has been bet."""
        return cls([0.0] * STAKES, [NOTHING] * STAKES)

    def log_e(self) -> float:
        """The logarithm of what the purse holds, as a multiple of what it began with."""
        log_kept = self.blocks * _STAYS
        total = _KEPT + log_kept
        for start, product, joined in zip(_STARTS, self.products, self.joined, strict=True):
            total = log_add(total, log_add(start + product, _KEPT + joined))
        return total

    def play(self, control: Sequence[float], candidate: Sequence[float], level: float, *, worse: bool) -> None:
        """One block; `level` is what was believed of the control before it, `worse` what is bet of the candidate."""
        log_kept = self.blocks * _STAYS
        for j, odds in enumerate(ODDS):
            gain = log_gain(control, candidate, level, odds if worse else 1.0 / odds)
            self.joined[j] = gain + log_add(self.joined[j], log_kept + _JOINS[j])
            self.products[j] += gain
        self.blocks += 1

    def merge(self, later: Wager) -> None:
        """As if the other's blocks had followed these."""
        log_kept = self.blocks * _STAYS
        for j in range(STAKES):
            through = later.products[j] + self.joined[j]
            self.joined[j] = log_add(through, log_kept + later.joined[j])
            self.products[j] += later.products[j]
        self.blocks += later.blocks


def log_gain(control: Sequence[float], candidate: Sequence[float], level: float, odds: float) -> float:
    """The logarithm of what a block multiplies a bet on these odds by."""
    ours = level * odds / (1.0 - level + level * odds)
    a, b = len(control), len(candidate)
    common = (a * level + b * ours) / (a + b)
    return math.log(_product(control, level, common) * _product(candidate, ours, common))


def _product(values: Sequence[float], rate: float, common: float) -> float:
    base = (1.0 - rate) / (1.0 - common)
    slope = rate / common - base
    product = 1.0
    for value in values:
        product *= base + slope * value
    return product


class Block(msgspec.Struct):
    """Values that wait for their block to end. Of a side that has many only the newest count: those nearest in time."""

    control: list[float]
    candidate: list[float]

    @classmethod
    def fresh(cls) -> Block:
        """Empty."""
        return cls([], [])

    def take(self, value: float, *, candidate: bool) -> bool:
        """One more value; True when the block has ended. When it ends depends on the sides only, never on values."""
        side = self.candidate if candidate else self.control
        side.append(value)
        if len(side) > MOST_OF_A_SIDE:
            del side[0]
        whole = len(self.control) + len(self.candidate) >= LEAST_BLOCK
        return whole and bool(self.control) and bool(self.candidate)

    def clear(self) -> None:
        """Begin the next one."""
        self.control.clear()
        self.candidate.clear()

"""What rewards say of one backend, as sums: exact to add, to age, to take back and to merge.

With features x, rewards r and weights w (1 for a reward of the usual certainty), a backend's evidence is
`gram` = sum w x x', `moment` = sum w r x, and three sums in which everything fades by exp(-1 / memory) a tick: `recent`
= sum f w, `recent_x` = sum f w x, `recent_r` = sum f w r. Sums of two processes add.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float64]
Matrix: TypeAlias = npt.NDArray[np.float64]


class SavedEvidence(msgspec.Struct, frozen=True):
    """Evidence as it is kept between processes: little-endian doubles in base64, the gram matrix's upper half only."""

    size: int
    gram: str
    moment: str
    recent_x: str
    recent: float
    recent_r: float
    weight: float
    squares: float
    count: int
    tick: int


class Evidence:
    """Sums over the rewards of one backend. `squares` is sum w r², `weight` sum w, `tick` how far the recent ones aged."""

    __slots__ = ("count", "gram", "moment", "recent", "recent_r", "recent_x", "squares", "tick", "weight")

    def __init__(self, size: int, tick: int = 0) -> None:
        self.gram: Matrix = np.zeros((size, size))
        self.moment: Vector = np.zeros(size)
        self.recent_x: Vector = np.zeros(size)
        self.recent = self.recent_r = self.weight = self.squares = 0.0
        self.count, self.tick = 0, tick

    def age_to(self, tick: int, memory: float) -> None:
        """Let what is recent fade for the ticks that have passed; an earlier tick changes nothing."""
        if tick <= self.tick:
            return
        kept = math.exp((self.tick - tick) / memory)
        self.recent_x *= kept
        self.recent *= kept
        self.recent_r *= kept
        self.tick = tick

    def add(self, x: Vector, reward: float, weight: float, freshness: float = 1.0, count: int = 1) -> None:
        """Take in one reward; a negative weight takes one back. `freshness` is how much of it counts as recent."""
        self.gram += weight * np.outer(x, x)
        self.moment += (weight * reward) * x
        self.recent_x += (freshness * weight) * x
        self.recent += freshness * weight
        self.recent_r += freshness * weight * reward
        self.weight += weight
        self.squares += weight * reward * reward
        self.count += count

    def scale(self, factor: float) -> None:
        """Count everything that is not recent for less: what was learned long ago may be out of date."""
        self.gram *= factor
        self.moment *= factor
        self.weight *= factor
        self.squares *= factor

    def save(self) -> SavedEvidence:
        """Return a copy as plain data."""
        upper = self.gram[np.triu_indices(len(self.moment))]
        return SavedEvidence(
            size=len(self.moment),
            gram=_packed(upper),
            moment=_packed(self.moment),
            recent_x=_packed(self.recent_x),
            recent=self.recent,
            recent_r=self.recent_r,
            weight=self.weight,
            squares=self.squares,
            count=self.count,
            tick=self.tick,
        )


def merged(first: Evidence, second: Evidence, memory: float) -> Evidence:
    """Return what both say together, as of the later tick; neither is changed. Sums commute, so order is no matter."""
    tick = max(first.tick, second.tick)
    both = Evidence(len(first.moment), tick)
    for one in (first, second):
        kept = math.exp((one.tick - tick) / memory)
        both.gram += one.gram
        both.moment += one.moment
        both.recent_x += kept * one.recent_x
        both.recent += kept * one.recent
        both.recent_r += kept * one.recent_r
        both.weight += one.weight
        both.squares += one.squares
        both.count += one.count
    return both


def revived(saved: SavedEvidence) -> Evidence:
    """Take up saved evidence; raises ValueError when it does not fit or a number in it is none."""
    size = saved.size
    evidence = Evidence(size, saved.tick)
    rows, columns = np.triu_indices(size)
    evidence.gram[rows, columns] = evidence.gram[columns, rows] = _unpacked(saved.gram, len(rows))
    evidence.moment, evidence.recent_x = _unpacked(saved.moment, size), _unpacked(saved.recent_x, size)
    evidence.recent, evidence.recent_r = saved.recent, saved.recent_r
    evidence.weight, evidence.squares, evidence.count = saved.weight, saved.squares, saved.count
    if not math.isfinite(saved.recent + saved.recent_r + saved.weight + saved.squares) or saved.weight < 0.0:
        raise ValueError("saved evidence holds something that is no number")
    return evidence


def evidence_of(data: Mapping[str, Any]) -> Evidence:
    """Take up evidence that went through JSON; raises ValueError when it does not fit."""
    return revived(msgspec.convert(dict(data), SavedEvidence))


def _packed(numbers: Vector) -> str:
    return base64.b64encode(numbers.astype("<f8").tobytes()).decode()


def _unpacked(text: str, size: int) -> Vector:
    numbers = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").astype(np.float64)
    if len(numbers) != size or not np.isfinite(numbers).all():
        raise ValueError(f"saved evidence has {len(numbers)} numbers where {size} belong, or some are none")
    return numbers

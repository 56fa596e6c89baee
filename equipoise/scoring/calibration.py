"""From what the rules say of an answer to the quality that a judge or people would see in it, with its variance.

The rules only find fault: until labels say otherwise an answer without fault is as good as the operator thinks its
backend is. Labels then bend that curve, for each backend and again for each kind of question there; it never falls
(isotonic regression by pool adjacent violators, Ayer et al. 1955).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

BINS = 20
FAULTLESS = 0.5
"""Scores from here on are no fault: nine in ten of PubMedQA's own conclusions reach it, and one in ten of the wrong ones."""

UNLABELLED_VARIANCE = 0.0625
"""How far an answer may be from an uncalibrated estimate: 0.25 squared."""

PRIOR_LABELS = 10.0
"""Labels that what is believed already counts for, at each level."""

MEMORY = 200.0
"""Labels that one bin remembers; older ones fade."""

MOST_CELLS = 2_000
STATE_VERSION = 1
ALL = ""


class Estimate(msgspec.Struct, frozen=True):
    """A quality in [0, 1] with its own variance."""

    quality: float
    variance: float


class Cell(msgspec.Struct):
    """Labels by score: for each bin their weight, weighted sum and weighted sum of squares."""

    weight: list[float]
    sum: list[float]
    square: list[float]

    @classmethod
    def empty(cls) -> Cell:
        """Without labels."""
        return cls([0.0] * BINS, [0.0] * BINS, [0.0] * BINS)

    def add(self, place: int, label: float, weight: float) -> None:
        """Take in a label; with a negative weight, take one back (it may have been kept elsewhere already)."""
        self.weight[place] += weight
        self.sum[place] += weight * label
        self.square[place] += weight * label * label
        self._fade(place)

    def join(self, other: Cell) -> None:
        """Add another's labels."""
        for place in range(BINS):
            self.weight[place] += other.weight[place]
            self.sum[place] += other.sum[place]
            self.square[place] += other.square[place]
            self._fade(place)

    def _fade(self, place: int) -> None:
        if self.weight[place] > MEMORY:
            kept = MEMORY / self.weight[place]
            self.weight[place] *= kept
            self.sum[place] *= kept
            self.square[place] *= kept


class Saved(msgspec.Struct, frozen=True):
    """The labels as they are kept between processes, by backend and kind of question."""

    version: int
    cells: dict[str, dict[str, Cell]]


class Calibration:
    """Estimates by backend and kind of question. `priors` is what the operator thinks of each backend's quality."""

    def __init__(self, priors: Mapping[str, float]) -> None:
        self.priors = dict(priors)
        self._cells: dict[str, dict[str, Cell]] = {}
        self._fresh: dict[str, dict[str, Cell]] = {}
        self._curves: dict[tuple[str, str], tuple[list[float], float]] = {}

    def estimate(self, backend_id: str, kind: str, score: float) -> Estimate:
        """The quality of an answer that the rules gave this score; never higher for a lower score."""
        curve, variance = self._curve(backend_id, kind)
        place = min(max(score, 0.0), 1.0) * BINS - 0.5
        low = min(max(math.floor(place), 0), BINS - 2)
        share = min(max(place - low, 0.0), 1.0)
        return Estimate(curve[low] + share * (curve[low + 1] - curve[low]), variance)

    def label(self, backend_id: str, kind: str, score: float, label: float, weight: float = 1.0) -> None:
        """Take in what an answer of this score was really worth; a negative weight takes an earlier label back."""
        place = min(int(min(max(score, 0.0), 1.0) * BINS), BINS - 1)
        for cells in (self._cells, self._fresh):
            for name in {ALL, kind}:
                if (cell := _cell(cells, backend_id, name)) is not None:
                    cell.add(place, label, weight)
        self._curves = {key: curve for key, curve in self._curves.items() if key[0] != backend_id}

    def labels(self, backend_id: str, kind: str = ALL) -> float:
        """How many labels there are (weights summed, faded ones left out)."""
        cell = self._cells.get(backend_id, {}).get(kind)
        return sum(cell.weight) if cell is not None else 0.0

    def take_news(self) -> dict[str, Any]:
        """The labels that are new since the last call, as plain data for whoever keeps them."""
        news, self._fresh = state_of(self._fresh), {}
        return news

    def give_back(self, news: Mapping[str, Any]) -> None:
        """Labels that could not be kept: they are new again."""
        self._fresh = joined(read_state(news), self._fresh)

    def adopt(self, kept: Mapping[str, Any] | None) -> None:
        """Know what was kept (by all processes), and what is new here. Raises ValueError when it does not fit."""
        self._cells = joined(read_state(kept), self._fresh)
        self._curves.clear()

    def take_over(self, previous: Calibration) -> None:
        """Go on with another's labels under priors of one's own."""
        self._cells, self._fresh = previous._cells, previous._fresh
        self._curves.clear()

    @property
    def has_news(self) -> bool:
        """Whether there are labels that nobody has taken to keep."""
        return bool(self._fresh)

    def _curve(self, backend_id: str, kind: str) -> tuple[list[float], float]:
        found = self._curves.get((backend_id, kind))
        if found is None:
            prior = self._prior(backend_id) if kind == ALL else self._curve(backend_id, ALL)
            found = _bent(self._cells.get(backend_id, {}).get(kind), *prior)
            if len(self._curves) < 2 * MOST_CELLS:
                self._curves[backend_id, kind] = found
        return found

    def _prior(self, backend_id: str) -> tuple[list[float], float]:
        best = self.priors.get(backend_id, 1.0)
        curve = [best * min(1.0, (place + 0.5) / BINS / FAULTLESS) for place in range(BINS)]
        return curve, UNLABELLED_VARIANCE


def read_state(saved: Mapping[str, Any] | None) -> dict[str, dict[str, Cell]]:
    """The labels in what was saved. Raises ValueError when it does not fit this version."""
    if saved is None:
        return {}
    found = msgspec.convert(dict(saved), Saved)
    sizes = {
        len(part) for kinds in found.cells.values() for c in kinds.values() for part in (c.weight, c.sum, c.square)
    }
    if found.version != STATE_VERSION or not sizes <= {BINS}:
        raise ValueError(f"calibration saved by version {found.version}")
    return found.cells


def state_of(cells: dict[str, dict[str, Cell]]) -> dict[str, Any]:
    """Labels as plain data, for JSON."""
    builtins: dict[str, Any] = msgspec.to_builtins(Saved(STATE_VERSION, cells))
    return builtins


def joined(known: dict[str, dict[str, Cell]], news: dict[str, dict[str, Cell]]) -> dict[str, dict[str, Cell]]:
    """The first with the second added to it."""
    for backend_id, kinds in news.items():
        for kind, cell in kinds.items():
            if (target := _cell(known, backend_id, kind)) is not None:
                target.join(cell)
    return known


def merged(kept: Mapping[str, Any] | None, news: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept with news added, as plain data. Raises ValueError when either does not fit."""
    return state_of(joined(read_state(kept), read_state(news)))


def _cell(cells: dict[str, dict[str, Cell]], backend_id: str, kind: str) -> Cell | None:
    """The cell, made if need be; None where there are too many already."""
    kinds = cells.get(backend_id)
    if kinds is None:
        if sum(map(len, cells.values())) >= MOST_CELLS:
            return None
        kinds = cells[backend_id] = {}
    if kind not in kinds and len(kinds) >= MOST_CELLS:
        return None
    return kinds.setdefault(kind, Cell.empty())


def _bent(cell: Cell | None, prior: Sequence[float], variance: float) -> tuple[list[float], float]:
    """The prior curve bent by labels, and the variance of a single answer around it."""
    rows = (
        []
        if cell is None
        else [(max(0.0, w), s, q) for w, s, q in zip(cell.weight, cell.sum, cell.square, strict=True)]
    )
    labels = sum(weight for weight, _, _ in rows)
    if labels <= 0.0:
        return list(prior), variance
    share = PRIOR_LABELS / BINS
    means = [min(1.0, max(0.0, (share * p + s) / (share + w))) for p, (w, s, _) in zip(prior, rows, strict=True)]
    curve = pooled(means, [share + w for w, _, _ in rows])
    scatter = sum(max(0.0, q - 2.0 * at * s + at * at * w) for at, (w, s, q) in zip(curve, rows, strict=True))
    around = (PRIOR_LABELS * variance + scatter) / (PRIOR_LABELS + labels)
    return curve, around + around / (PRIOR_LABELS + labels)


def pooled(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing sequence closest to `values` in weighted least squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            before = blocks.pop()
            total = before[1] + block[1]
            block = ((before[0] * before[1] + block[0] * block[1]) / total, total, before[2] + block[2])
        blocks.append(block)
    return [value for value, _, size in blocks for _ in range(size)]

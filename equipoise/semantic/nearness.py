"""Kept questions that ask the same in other words: a matrix of their directions, and a second look at the words.

A product with a few thousand rows of 256 numbers costs less than most indexes would (10,000 rows: 0.2 ms), so there is no
other index. A row lives as long as the answer it leads to; whoever was not asked for the longest goes first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from equipoise.core.caching import asked_alone, family_of
from equipoise.core.intake import Hints
from equipoise.core.model import Request
from equipoise.core.routing import CacheOptions
from equipoise.core.wording import Wording, difference, read_wording

DIMENSIONS = 256
ROW_BYTES, WORD_BYTES = 2_048, 160
"""Counted for a row beside its words: the direction (1 KiB, and as much again while a matrix grows), two keys; a word."""
NEAREST_WORD = 0.5
"""How near two words must be to stand for each other (bench/cache/semantic.py: below 0.45 other things are as near)."""
MOST_COMPARED = 8
"""Of all that are near enough, only so many nearest ones are read word by word."""
FIRST_ROWS = 8
WORDS_REMEMBERED = 4_096

Direction = Callable[[str], Any]


class Asked(msgspec.Struct, frozen=True):
    """A question that stands alone, as others are compared with it: within its `family` only its words may differ."""

    family: bytes
    wording: Wording
    direction: Any


class NearnessOptions(msgspec.Struct, frozen=True):
    """From which likeness on a question may be the same, and how much is remembered of kept ones."""

    threshold: float
    most_entries: int = 10_000
    most_bytes: int = 32 * 1024 * 1024


class Nearness:
    """Finds kept questions by their meaning. `direction` gives a text's direction, or None for one without words."""

    def __init__(self, direction: Direction, options: NearnessOptions) -> None:
        self.options, self.bytes = options, 0
        self._direction = direction
        self._kept: OrderedDict[bytes, Asked] = OrderedDict()
        self._families: dict[bytes, _Rows] = {}
        self._word = lru_cache(WORDS_REMEMBERED)(direction)
        self.refused: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    def asked(self, request: Request, hints: Hints, options: CacheOptions) -> Asked | None:
        """How this question is compared; None for one that only stands for itself. Raises Ambiguous."""
        text = asked_alone(request.question)
        wording = read_wording(text) if text is not None else None
        direction = self._direction(wording.plain) if wording is not None else None
        if wording is None or direction is None:
            return None
        return Asked(family_of(request, hints, options), wording, direction)

    def nearest(self, asked: Asked) -> Iterator[tuple[bytes, float]]:
        """The keys of kept questions that ask the same, with their likeness, nearest first."""
        rows = self._families.get(asked.family)
        for key, likeness in rows.above(asked.direction, self.options.threshold) if rows is not None else ():
            why = difference(asked.wording, self._kept[key].wording, self._alike, NEAREST_WORD)
            if why is None:
                self._kept.move_to_end(key)
                yield key, likeness
            else:
                self.refused[why] += 1

    def of(self, key: bytes) -> Asked | None:
        """What leads to this answer."""
        return self._kept.get(key)

    def add(self, key: bytes, asked: Asked) -> None:
        """From now on this question leads to that answer."""
        self.forget(key)
        self._kept[key] = asked
        self._families.setdefault(asked.family, _Rows()).add(key, asked.direction)
        self.bytes += _size(asked)
        while len(self._kept) > self.options.most_entries or self.bytes > self.options.most_bytes:
            self.forget(next(iter(self._kept)))

    def forget(self, key: bytes) -> None:
        """Nothing leads to this answer any more."""
        asked = self._kept.pop(key, None)
        if asked is None:
            return
        self.bytes -= _size(asked)
        rows = self._families[asked.family]
        rows.remove(key)
        if not rows.keys:
            del self._families[asked.family]

    def status(self) -> dict[str, Any]:
        """How much is remembered, and how often likeness alone would have given another question's answer, by why not."""
        bounds = {"threshold": self.options.threshold, "max_entries": self.options.most_entries}
        return {"entries": len(self), "bytes": self.bytes, **bounds, "refused": dict(sorted(self.refused.items()))}

    def _alike(self, one: str, other: str) -> float:
        mine, yours = self._word(one), self._word(other)
        return -1.0 if mine is None or yours is None else float(mine @ yours)


class _Rows:
    """The directions of one family, one below the other in a matrix that grows by doubling."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self._at: dict[bytes, int] = {}
        self._matrix = np.empty((FIRST_ROWS, DIMENSIONS), dtype=np.float32)

    def above(self, direction: Any, threshold: float) -> list[tuple[bytes, float]]:
        """The nearest of those that are near enough, nearest first."""
        # Not `@`: that product waits for threads, whose cores others may have, and with it everybody on this loop.
        likeness = np.vecdot(self._matrix[: len(self.keys)], direction)
        near = np.flatnonzero(likeness >= threshold)
        ranked = near[np.argsort(-likeness[near], kind="stable")][:MOST_COMPARED]
        return [(self.keys[at], float(likeness[at])) for at in ranked.tolist()]

    def add(self, key: bytes, direction: Any) -> None:
        if len(self.keys) == len(self._matrix):
            self._matrix = np.concatenate([self._matrix, np.empty_like(self._matrix)])
        self._at[key] = len(self.keys)
        self._matrix[len(self.keys)] = direction
        self.keys.append(key)

    def remove(self, key: bytes) -> None:
        """The last row takes the place of the one that goes."""
        at, last = self._at.pop(key), len(self.keys) - 1
        moved = self.keys.pop()
        if at < last:
            self.keys[at], self._at[moved] = moved, at
            self._matrix[at] = self._matrix[last]


def _size(asked: Asked) -> int:
    return ROW_BYTES + WORD_BYTES * len(asked.wording.words)

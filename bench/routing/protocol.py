"""One stream under one policy: some questions that every model answered, then questions of which one answer is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bench.routing.data import Array, Table

Rows = npt.NDArray[np.int64]
Features = tuple[float, ...]


class Router(Protocol):
    """What is compared: told of labelled questions once, then asked and told in turn."""

    def warm(self, table: Table, features: Sequence[Features], kinds: Sequence[str]) -> None: ...

    def choose(self, features: Features, kind: str) -> int: ...

    def learn(self, features: Features, kind: str, model: int, reward: float, cost: float) -> None: ...


@dataclass
class Split:
    """The questions of one table with their features: a part to be labelled from, a part that streams."""

    table: Table
    features: list[Features]
    kinds: list[str]
    matrix: Array
    labelled: Rows
    streamed: Rows


@dataclass
class Stream:
    """One shuffle: rows that are labelled beforehand, rows that come; `changed` has the rewards as they then are."""

    split: Split
    seed: int
    warm: Rows
    rows: Rows
    budget: float
    changed: Mapping[tuple[int, int], float] = field(default_factory=dict)

    def reward(self, step: int, model: int) -> float:
        """What an answer is worth at a step."""
        was = float(self.split.table.rewards[self.rows[step], model])
        return self.changed.get((step, model), was)

    def rewards(self) -> Array:
        """All rewards, a row a step."""
        told = self.split.table.rewards[self.rows].copy()
        for (step, model), reward in self.changed.items():
            told[step, model] = reward
        return told

    def costs(self) -> Array:
        """All costs, a row a step."""
        return self.split.table.costs[self.rows]


@dataclass
class Run:
    """What a policy did with a stream: the models it chose, and what they were worth and cost."""

    chosen: list[int]
    rewards: Array
    costs: Array

    @property
    def quality(self) -> float:
        return float(self.rewards.mean())

    def spent(self, budget: float) -> float:
        """Average cost as a share of the budget."""
        return float(self.costs.mean() / budget)


def shuffled(split: Split, seed: int, warm: int, budget: float, most: int | None = None) -> Stream:
    """A stream in an order of its own, with labels for other rows of the labelled part."""
    chance = np.random.default_rng(1000 + seed)
    rows = chance.permutation(split.streamed)[:most]
    apart = np.setdiff1d(split.labelled, rows) if len(split.labelled) > warm else split.labelled
    return Stream(split, seed, chance.permutation(apart)[:warm], rows, budget)


def run(stream: Stream, router: Router) -> Run:
    """Let a router answer a stream."""
    split = stream.split
    if len(stream.warm):
        table = split.table.rows(stream.warm)
        router.warm(table, [split.features[i] for i in stream.warm], [split.kinds[i] for i in stream.warm])
    chosen: list[int] = []
    for step, row in enumerate(stream.rows):
        features, kind = split.features[row], split.kinds[row]
        model = router.choose(features, kind)
        router.learn(features, kind, model, stream.reward(step, model), float(split.table.costs[row, model]))
        chosen.append(model)
    return replayed(stream, chosen)


def replayed(stream: Stream, chosen: Sequence[int]) -> Run:
    """What a list of choices comes to."""
    rewards = np.array([stream.reward(step, model) for step, model in enumerate(chosen)])
    return Run(list(chosen), rewards, stream.split.table.costs[stream.rows, list(chosen)])


def over(streams: Sequence[Stream], make: Callable[[Stream], Router]) -> list[Run]:
    """One run a stream."""
    return [run(stream, make(stream)) for stream in streams]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t for 8 values or so)."""
    told = np.array(values, dtype=float)
    if len(told) < 2:
        return float(told.mean()), float("nan")
    factor = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}.get(len(told), 2.1)
    return float(told.mean()), float(factor * told.std(ddof=1) / np.sqrt(len(told)))

"""What learning is compared with. Those that know the stream beforehand say so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.routing.data import Array, Table
from bench.routing.protocol import Features, Run, Stream, replayed
from equipoise.core.model import NANO_PER_USD
from equipoise.core.policies.thompson import Price, price_for_budget

RIDGE = 10.0


class LinUCB:
    """Textbook LinUCB, cold: the same features, ridge and pacing as the product, costs by their running means."""

    def __init__(self, models: int, size: int, budget: float, horizon: int, alpha: float = 0.25) -> None:
        self.inverse = [np.eye(size) / RIDGE for _ in range(models)]
        self.moment = [np.zeros(size) for _ in range(models)]
        self.alpha, self.budget = alpha, budget
        self.price = Price(0.3, budget * NANO_PER_USD, repay=0.05 * horizon)
        self.costs = [[budget, 1.0] for _ in range(models)]

    def warm(self, table: Table, features: Sequence[Features], kinds: Sequence[str]) -> None:
        """Cold is cold."""

    def choose(self, features: Features, kind: str) -> int:
        x = np.array([1.0, *features])
        scores = []
        for inverse, moment, (total, count) in zip(self.inverse, self.moment, self.costs, strict=True):
            px = inverse @ x
            bonus = self.alpha * np.sqrt(float(x @ px))
            scores.append(float(px @ moment) + bonus - self.price.value * total / count / self.budget)
        return int(np.argmax(scores))

    def learn(self, features: Features, kind: str, model: int, reward: float, cost: float) -> None:
        x = np.array([1.0, *features])
        px = self.inverse[model] @ x
        self.inverse[model] -= np.outer(px, px) / (1.0 + float(x @ px))
        self.moment[model] += reward * x
        self.costs[model][0] += cost
        self.costs[model][1] += 1.0
        self.price.paid(cost * NANO_PER_USD)


def best_single(stream: Stream) -> Run:
    """The model that is best on this stream among those that fit the budget; knows the stream."""
    rewards, costs = stream.rewards().mean(axis=0), stream.costs().mean(axis=0)
    fits = [m for m in range(len(rewards)) if costs[m] <= 1.001 * stream.budget] or [int(np.argmin(costs))]
    return replayed(stream, [max(fits, key=lambda m: rewards[m])] * len(stream.rows))


def best_of_all(stream: Stream) -> float:
    """The quality of the best single model, whatever it costs."""
    return float(stream.rewards().mean(axis=0).max())


def static_mix(stream: Stream) -> float:
    """The quality of the best mix of two models at the budget, chosen by a coin; knows the stream."""
    rewards, costs, budget = stream.rewards().mean(axis=0), stream.costs().mean(axis=0), stream.budget
    best = max((r for r, c in zip(rewards, costs, strict=True) if c <= budget), default=0.0)
    for i in range(len(rewards)):
        for j in range(len(rewards)):
            if costs[i] <= budget < costs[j]:
                share = (budget - costs[i]) / (costs[j] - costs[i])
                best = max(best, (1.0 - share) * rewards[i] + share * rewards[j])
    return float(best or rewards[int(np.argmin(costs))])


def random(stream: Stream) -> Run:
    """Anybody."""
    models = len(stream.split.table.models)
    return replayed(stream, list(np.random.default_rng(stream.seed).integers(models, size=len(stream.rows))))


def oracle(stream: Stream) -> float:
    """Whoever was right, at any cost: inflated by luck where many guess."""
    return float(stream.rewards().max(axis=1).mean())


def ceiling(stream: Stream) -> Run:
    """Ridge on every label and cost of the other part, at the price that just fits the budget on this stream."""
    split = stream.split
    apart = np.setdiff1d(split.labelled, stream.rows)
    x, rewards, costs = split.matrix[apart], split.table.rewards[apart], split.table.costs[apart]
    here = split.matrix[stream.rows]
    worths = here @ _ridge(x, rewards)
    logarithms = _ridge(x, np.log(costs + 1e-12))
    expected = np.exp(here @ logarithms) * costs.mean(axis=0) / np.exp(x @ logarithms).mean(axis=0)
    price = price_for_budget(worths.tolist(), expected.tolist(), stream.budget)
    return replayed(stream, _greedy(worths, expected, price / stream.budget))


def _ridge(x: Array, y: Array) -> Array:
    strength = RIDGE * np.eye(x.shape[1])
    strength[0, 0] = 1e-6
    return np.asarray(np.linalg.solve(x.T @ x + strength, x.T @ y))


def _greedy(worths: Array, costs: Array, price: float) -> list[int]:
    return [int(model) for model in np.argmax(worths - price * costs, axis=1)]

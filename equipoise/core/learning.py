"""What each backend has proven to be good for: a belief about quality per backend and kind of question, that forgets.

The quality of a backend for a kind is `level + offset(kind)`. The offsets are slow (plain Bayesian averaging), the level
walks (a random walk: backends change under us), so evidence about one kind also moves the others, and a silent change
is followed within some hundred rewards. Both are estimated together by one exact Kalman filter per backend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from equipoise.core.features import KINDS

REWARD_VARIANCE = 0.0225
"""How much single rewards scatter around a backend's mean for a kind: 0.15 squared."""

DRIFT = 5e-6
"""Variance the level gains with each reward anyone gets; it settles at a memory of some 70 own rewards."""

DRIFT_CAP = 0.003
"""The level's variance never drifts beyond this: a backend unseen for long is doubtful, not unknown."""

OFFSET_VARIANCE = 0.01
"""How far kinds are expected to differ within one backend: 0.1 squared."""

STATE_VERSION = 1


class Doubt(ValueError):
    """The belief about a backend is not usable: something in it is no finite number."""


class Belief:
    """One backend's level (index 0) and an offset per kind: means and their covariance."""

    __slots__ = ("covariance", "means", "observed", "tick")

    def __init__(self, mean: float, sd: float, tick: int) -> None:
        size = len(KINDS) + 1
        self.means = [mean] + [0.0] * len(KINDS)
        self.covariance = [[0.0] * size for _ in range(size)]
        self.covariance[0][0] = sd * sd
        for i in range(1, size):
            self.covariance[i][i] = OFFSET_VARIANCE
        self.observed = 0
        self.tick = tick

    def drift_to(self, tick: int) -> None:
        """Let the level walk for the rewards others got meanwhile."""
        variance = self.covariance[0][0]
        if tick > self.tick and variance < DRIFT_CAP:
            self.covariance[0][0] = min(DRIFT_CAP, variance + DRIFT * (tick - self.tick))
        self.tick = tick

    def about(self, kind: int) -> tuple[float, float]:
        """Return mean and standard deviation of the quality for a kind (0: none in particular)."""
        level, covariance = self.means[0], self.covariance
        if kind == 0:
            mean, variance = level, covariance[0][0] + OFFSET_VARIANCE
        else:
            mean = level + self.means[kind]
            variance = covariance[0][0] + 2.0 * covariance[0][kind] + covariance[kind][kind]
        if not (math.isfinite(mean) and 0.0 <= variance < math.inf):
            raise Doubt(f"quality {mean} with variance {variance}")
        return mean, math.sqrt(variance)

    def update(self, kind: int, reward: float, variance: float) -> None:
        """Take one reward into account: x += K (r - h'x), P -= K h'P with K = P h / (h'P h + R)."""
        covariance, means = self.covariance, self.means
        gain = [row[0] + row[kind] for row in covariance] if kind else [row[0] for row in covariance]
        spread = variance + (gain[0] + gain[kind] if kind else gain[0] + OFFSET_VARIANCE)
        surprise = reward - means[0] - (means[kind] if kind else 0.0)
        for i, row in enumerate(covariance):
            share = gain[i] / spread
            means[i] += share * surprise
            for j, other in enumerate(gain):
                row[j] -= share * other
        self.observed += 1


class SavedBelief(msgspec.Struct, frozen=True):
    """A belief as it is kept between processes."""

    means: list[float]
    covariance: list[list[float]]
    observed: int
    age: int


class SavedLearner(msgspec.Struct, frozen=True):
    """Everything a learner knows, as it is kept between processes."""

    version: int
    kinds: list[str]
    tick: int
    beliefs: dict[str, SavedBelief]


class Learner:
    """Believe, per backend and kind of question, in a quality with an uncertainty; learn from rewards in [0, 1]."""

    def __init__(self) -> None:
        self._kinds = {kind: number for number, kind in enumerate(KINDS, start=1)}
        self._beliefs: dict[str, Belief] = {}
        self._tick = 0

    def about(self, backend_id: str, kind: str, prior_mean: float, prior_sd: float) -> tuple[float, float]:
        """Return the believed mean and standard deviation; the prior counts the first time a backend is seen.

        Raises Doubt when the belief or the prior is no finite number.
        """
        belief = self._beliefs.get(backend_id)
        if belief is None:
            belief = self._begin(backend_id, prior_mean, prior_sd)
        if belief.tick != self._tick:
            belief.drift_to(self._tick)
        return belief.about(self._kinds.get(kind, 0))

    def _begin(self, backend_id: str, mean: float, sd: float) -> Belief:
        if not (math.isfinite(mean) and math.isfinite(sd)):
            raise Doubt(f"{backend_id} has no prior quality: {mean} ± {sd}")
        return self._beliefs.setdefault(backend_id, Belief(mean, sd, self._tick))

    def learn(self, backend_id: str, kind: str, reward: float, variance: float = 0.0) -> None:
        """Take in how good an answer was; `variance` says how uncertain that reward is.

        A backend never asked about has no belief to correct: it begins at one half, knowing nothing. Raises ValueError
        for a reward outside [0, 1] or a variance that is none.
        """
        if not (0.0 <= reward <= 1.0 and 0.0 <= variance < math.inf):
            raise ValueError(f"a reward lies in [0, 1] and its variance is not negative: {reward} ± {variance}")
        belief = self._beliefs.get(backend_id) or self._begin(backend_id, 0.5, 0.3)
        self._tick += 1
        belief.drift_to(self._tick)
        belief.update(self._kinds.get(kind, 0), reward, REWARD_VARIANCE + variance)

    def observed(self, backend_id: str) -> int:
        """Return how many rewards a backend's belief rests on."""
        belief = self._beliefs.get(backend_id)
        return belief.observed if belief else 0

    def forget(self, backend_id: str) -> None:
        """Drop the belief about a backend that was removed."""
        self._beliefs.pop(backend_id, None)

    def state(self) -> dict[str, Any]:
        """Return everything known as plain data, for JSON."""
        saved = {
            name: SavedBelief(b.means, b.covariance, b.observed, self._tick - b.tick)
            for name, b in self._beliefs.items()
        }
        builtins: dict[str, Any] = msgspec.to_builtins(SavedLearner(STATE_VERSION, list(KINDS), self._tick, saved))
        return builtins

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned earlier, all of it or nothing; raises ValueError when it does not fit."""
        saved = msgspec.convert(dict(state), SavedLearner)
        if saved.version != STATE_VERSION or saved.kinds != list(KINDS):
            raise ValueError(f"saved by version {saved.version} for the kinds {', '.join(saved.kinds)}")
        self._beliefs = {name: _revived(belief, saved.tick) for name, belief in saved.beliefs.items()}
        self._tick = saved.tick


def _revived(saved: SavedBelief, tick: int) -> Belief:
    size = len(KINDS) + 1
    if len(saved.means) != size or [len(row) for row in saved.covariance] != [size] * size:
        raise ValueError(f"a belief has {size} numbers, this one {len(saved.means)}")
    belief = Belief(0.0, 0.0, tick - saved.age)
    belief.means, belief.covariance = list(saved.means), [list(row) for row in saved.covariance]
    belief.observed = saved.observed
    for kind in range(size):
        belief.about(kind)
    return belief

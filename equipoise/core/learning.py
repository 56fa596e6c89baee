"""What each backend has proven to be good for: a belief about quality per backend and kind of question, that forgets.

The quality of a backend for a kind is `base + swing + offset(kind)`. Base and offsets are slow, nearly plain Bayesian
averages. The swing is quick: it walks with every reward anyone gets and is drawn back to zero, so a silent change is
followed within a hundred rewards, evidence about one kind also moves the others, and what was long unseen becomes
doubtful again, to a limit. All are estimated together by one exact Kalman filter per backend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from equipoise.core.features import KINDS

REWARD_VARIANCE = 0.0225
"""How much single rewards scatter around a backend's mean for a kind: 0.15 squared."""

SWING_VARIANCE = 0.003
"""How far a backend swings around its usual quality, left to itself: a standard deviation of 0.055."""

SWING_MEMORY = 1200.0
"""Rewards (of anyone) after which a swing has faded to 1/e; SWING_VARIANCE * 2 / SWING_MEMORY = 5e-6 is new each time."""

SLOW_DRIFT = 5e-8
"""Variance the base gains with each reward: what was learned long ago fades too, over some 700 own rewards."""

OFFSET_VARIANCE = 0.01
"""How far kinds are expected to differ within one backend: 0.1 squared."""

STATE_VERSION = 1


class Doubt(ValueError):
    """The belief about a backend is not usable: something in it is no finite number."""


BASE, SWING, FIRST_KIND = 0, 1, 2
SIZE = FIRST_KIND + len(KINDS)


class Belief:
    """One backend's base, swing and an offset per kind: means and their covariance."""

    __slots__ = ("covariance", "means", "observed", "prior_variance", "tick")

    def __init__(self, mean: float, sd: float, tick: int) -> None:
        self.prior_variance = sd * sd
        variances = [self.prior_variance, SWING_VARIANCE] + [OFFSET_VARIANCE] * len(KINDS)
        self.means = [mean] + [0.0] * (SIZE - 1)
        self.covariance = [[variance if i == j else 0.0 for j in range(SIZE)] for i, variance in enumerate(variances)]
        self.observed = 0
        self.tick = tick

    def drift_to(self, tick: int) -> None:
        """Let swing and base move on for the rewards others got meanwhile."""
        passed, self.tick = tick - self.tick, tick
        kept = math.exp(-passed / SWING_MEMORY)
        covariance = self.covariance
        row = covariance[SWING] = [kept * value for value in covariance[SWING]]
        for i, value in enumerate(row):
            covariance[i][SWING] = value
        row[SWING] = kept * row[SWING] + SWING_VARIANCE * (1.0 - kept * kept)
        self.means[SWING] *= kept
        base = covariance[BASE]
        base[BASE] = max(base[BASE], min(self.prior_variance, base[BASE] + SLOW_DRIFT * passed))

    def about(self, kind: int) -> tuple[float, float]:
        """Return mean and standard deviation of the quality for a kind (0: none in particular)."""
        base, swing = self.covariance[BASE], self.covariance[SWING]
        mean = self.means[BASE] + self.means[SWING]
        variance = base[BASE] + 2.0 * base[SWING] + swing[SWING]
        if kind:
            mean += self.means[kind]
            variance += 2.0 * (base[kind] + swing[kind]) + self.covariance[kind][kind]
        else:
            variance += OFFSET_VARIANCE
        if not (math.isfinite(mean) and 0.0 <= variance < math.inf):
            raise Doubt(f"quality {mean} with variance {variance}")
        return mean, math.sqrt(variance)

    def update(self, kind: int, reward: float, variance: float) -> None:
        """Take one reward into account: x += K (r - h'x), P -= K h'P with K = P h / (h'P h + R)."""
        seen = (BASE, SWING, kind) if kind else (BASE, SWING)
        means, covariance = self.means, self.covariance
        gain = [sum([row[i] for i in seen]) for row in covariance]
        spread = sum([gain[i] for i in seen]) + variance + (0.0 if kind else OFFSET_VARIANCE)
        surprise = reward - sum([means[i] for i in seen])
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
    prior_variance: float
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
        self._kinds = {kind: number for number, kind in enumerate(KINDS, start=FIRST_KIND)}
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

    def table(self, backends: Iterable[str], observed: int) -> dict[str, dict[str, float]]:
        """Return the believed quality by kind of question, of backends whose belief rests on so many rewards."""
        known = [name for name in backends if self.observed(name) >= observed]
        kinds = self._kinds if known else {}
        return {kind: {name: self._beliefs[name].about(number)[0] for name in known} for kind, number in kinds.items()}

    def forget(self, backend_id: str) -> None:
        """Drop the belief about a backend that was removed."""
        self._beliefs.pop(backend_id, None)

    def state(self) -> dict[str, Any]:
        """Return everything known as plain data, for JSON."""
        saved = {
            name: SavedBelief(b.means, b.covariance, b.prior_variance, b.observed, self._tick - b.tick)
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
    if len(saved.means) != SIZE or [len(row) for row in saved.covariance] != [SIZE] * SIZE:
        raise ValueError(f"a belief has {SIZE} numbers, this one {len(saved.means)}")
    belief = Belief(0.0, 0.0, tick - saved.age)
    belief.means, belief.covariance = list(saved.means), [list(row) for row in saved.covariance]
    belief.prior_variance, belief.observed = saved.prior_variance, saved.observed
    for kind in (0, *range(FIRST_KIND, SIZE)):
        belief.about(kind)
    return belief

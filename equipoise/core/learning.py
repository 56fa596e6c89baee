"""What each backend has proven to be good for: beliefs about its answers per question, which are learned and forgotten.

Three regressions a backend: how good an answer is (known of those that were scored, later), how often a question like
this is answered at all, and how its cost compares with what was expected (both known of every attempt). Worth is quality
times the chance of an answer. Kept apart, answers that nobody scored are missing, not bad: failures, of which all are
known, are weighed against all answers and not against the scored.
"""

from __future__ import annotations

import copy
import math

import msgspec
import numpy as np

from equipoise.core.arms import PRIOR_ANSWERS, STATE_VERSION, Arm, Compared, SavedArm, SavedKind, SavedLearner
from equipoise.core.evidence import Vector, revived
from equipoise.core.features import FEATURES_VERSION
from equipoise.core.merging import as_of, check
from equipoise.core.regression import Doubt, Regression, Terms
from equipoise.core.shrinkage import common, likeliest_ridge, telling

NEWCOMER_ANSWERS = 5.0
"""Answers that the mean of its kind counts for where a backend joins others that are known."""

NEW = 50
"""Below so many scored answers a backend is a newcomer, beside others that have more."""

USUAL_VARIANCE = 0.0225
"""How much single rewards are believed to scatter until they have shown it: 0.15 squared, worth USUAL_WEIGHT rewards."""

USUAL_WEIGHT = 50.0
LEAST_VARIANCE = 1e-4
RELIABLE_VARIANCE = 0.0025

LOOK = 64
"""Rewards between two looks at how much questions differ; later, a quarter of all there were."""


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """What asking a backend is worth: the mean, the variance of the slow part and that of what changed of late."""

    mean: float
    slow: float
    level: float

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        return math.sqrt(self.slow + self.level)


class Given(msgspec.Struct, frozen=True, gc=False):
    """A reward that was learned, so that a better one can replace it."""

    reward: float
    weight: float
    tick: int


class Learner:
    """Believe, per backend and question, in a worth with an uncertainty; learn from what was answered and how well.

    The number of features is that of the first question; another raises Doubt from then on.
    """

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or Terms()
        self.arms: dict[str, Arm] = {}
        self.size = 0
        self._tick = self._attempts = 0
        self._kinds: dict[str, tuple[int, Vector]] = {}
        self.variance, self.ridge = USUAL_VARIANCE, self.terms.ridge
        self._next_look = LOOK
        self.common: Vector = np.zeros(0)

    def vector(self, features: tuple[float, ...]) -> Vector:
        """Return 1 and the features; a question of which none are known is an average one. Raises Doubt."""
        if not self.size:
            self.size = len(features) + 1
        x = np.zeros(self.size)
        x[0] = 1.0
        if features:
            if len(features) + 1 != self.size:
                raise Doubt(f"a question with {len(features)} features where {self.size - 1} were learned from")
            x[1:] = features
        return x

    def about(self, backend_id: str, x: Vector, prior: float, kind: str = "") -> Estimate:
        """Return what is believed; the prior, and the type of backend, count the first time it is seen. Raises Doubt."""
        arm = self.arms.get(backend_id) or self._begin(backend_id, prior, kind)
        mean, slow, level = arm.quality.about(x, self._tick)
        slow, level = slow * self.variance, level * self.variance
        if not arm.failures:
            return Estimate(mean, slow, level)
        share, its_slow, its_level = arm.answering.about(x, self._attempts)
        share = min(1.0, max(0.0, share))
        scatter = max(RELIABLE_VARIANCE, share * (1.0 - share)) * mean * mean
        return Estimate(
            share * mean, share * share * slow + scatter * its_slow, share * share * level + scatter * its_level
        )

    def cost_factor(self, backend_id: str, x: Vector) -> float:
        """Return how much dearer this question is believed to be there than the backend's questions are expected to be."""
        arm = self.arms.get(backend_id)
        return 1.0 if arm is None else arm.cost_factor(x, self._attempts)

    def attempted(self, backend_id: str, kind: str, x: Vector, *, answered: bool, cost_ratio: float = 0.0) -> None:
        """Take in whether a backend answered at all, and what it cost, as a share of what was expected (0: not known)."""
        arm = self.arms.get(backend_id) or self._begin(backend_id, 0.5, "")
        self._attempts += 1
        arm.failures += not answered
        arm.answering.learn(x, float(answered), 1.0, self._attempts)
        if answered and cost_ratio > 0.0:
            arm.paid(x, cost_ratio, self._attempts)
        count, total = self._kinds.get(kind, (0, 0.0))
        self._kinds[kind] = (count + 1, total + x)

    def learn(
        self, backend_id: str, x: Vector, reward: float, variance: float = 0.0, before: Given | None = None
    ) -> Given:
        """Take in how good an answer was; `variance` is the reward's own, `before` what was learned of this answer.

        Raises ValueError for a reward outside [0, 1] or a variance that is none.
        """
        if not (0.0 <= reward <= 1.0 and 0.0 <= variance < math.inf):
            raise ValueError(f"a reward lies in [0, 1] and its variance is not negative: {reward} ± {variance}")
        arm = self.arms.get(backend_id) or self._begin(backend_id, 0.5, "")
        weight = self.variance / (self.variance + variance)
        if before is not None:
            arm.quality.replace(x, (before.reward, before.weight, before.tick), reward, weight, self._tick)
            return Given(reward, weight, before.tick)
        self._tick += 1
        arm.quality.learn(x, reward, weight, self._tick)
        if self._tick % 16 == 0:
            self._measure()
        return Given(reward, weight, self._tick)

    def newcomers(self) -> list[str]:
        """Return those of whom little is known, beside others of whom more is."""
        if not any(arm.scored >= NEW for arm in self.arms.values()):
            return []
        return [name for name, arm in self.arms.items() if arm.scored < NEW and arm.answers == NEWCOMER_ANSWERS]

    def by_kind(self, least: int) -> dict[str, dict[str, tuple[float, float, int]]]:
        """Return mean, standard deviation and scored answers by kind of question and backend, of those with `least`."""
        known = {name: arm for name, arm in self.arms.items() if arm.scored >= least}
        table: dict[str, dict[str, tuple[float, float, int]]] = {}
        for kind, (count, total) in self._kinds.items():
            x = total / count
            rows = {name: self.about(name, x, arm.prior) for name, arm in known.items()}
            table[kind] = {name: (of.mean, of.sd, known[name].scored) for name, of in rows.items()}
        return table

    def forget(self, backend_id: str) -> None:
        """Drop what is known of a backend that was removed."""
        self.arms.pop(backend_id, None)

    def twin(self) -> Learner:
        """Return one that believes the same, to be asked but not to be taught."""
        twin = copy.copy(self)
        twin.arms = dict(self.arms)
        return twin

    def save(self) -> SavedLearner:
        """Return what this process has learned itself, without what it took in from others."""
        kinds = {kind: SavedKind(count, total.tolist()) for kind, (count, total) in self._kinds.items()}
        arms = {name: arm.save() for name, arm in self.arms.items()}
        return SavedLearner(
            STATE_VERSION, FEATURES_VERSION, self.size, self._tick, self._attempts, self._compared(), arms, kinds
        )

    def restore(self, saved: SavedLearner) -> None:
        """Take up what was saved earlier, all of it or nothing; raises ValueError when it does not fit."""
        check(saved)
        if self.size and saved.size != self.size:
            raise ValueError(f"learned from {saved.size - 1} features where {self.size - 1} are known here")
        arms = {name: self._revived(arm, saved) for name, arm in saved.arms.items()}
        of = saved.compared
        self.size, self.arms = saved.size, arms
        self.variance, self.ridge, self._next_look = of.variance, of.ridge, of.looks
        self._expect(np.array(of.common))
        self._tick, self._attempts = saved.tick, saved.attempts
        self._kinds = {kind: (seen.count, np.array(seen.features)) for kind, seen in saved.kinds.items()}

    def take_in(self, others: SavedLearner) -> None:
        """Go by what other processes know as well, in place of what they knew before. Raises ValueError."""
        check(others)
        if self.size and others.size != self.size:
            raise ValueError(f"learned from {others.size - 1} features where {self.size - 1} are known here")
        self.size = others.size
        for name, saved in others.arms.items():
            arm = self.arms.get(name) or self._begin(name, saved.prior, saved.type, saved.answers)
            arm.quality.take_in(as_of(saved.quality, self._tick))
            arm.answering.take_in(as_of(saved.answering, self._attempts))
            arm.spending.take_in(as_of(saved.spending, self._attempts))
            arm.failures = max(arm.failures, int(saved.failures > 0))
        self._measure()

    def _begin(self, backend_id: str, prior: float, kind: str, answers: float | None = None) -> Arm:
        """A backend that joins known ones is believed to be like those of its type, else what the operator says."""
        if not math.isfinite(prior):
            raise Doubt(f"{backend_id} has no prior quality: {prior}")
        peers = [arm for arm in self.arms.values() if arm.scored >= NEW]
        alike = [arm.quality.about(self._average(), self._tick)[0] for arm in peers if arm.type == kind and kind]
        if answers is None:
            answers = NEWCOMER_ANSWERS if peers else PRIOR_ANSWERS
            prior = sum(alike) / len(alike) if alike else prior
        arm = Arm(prior, answers, kind, self.size or 1, self.terms, (self._tick, self._attempts))
        if len(self.common):
            arm.quality.expect(self.common)
            arm.quality.shrink(self.ridge)
        return self.arms.setdefault(backend_id, arm)

    def _average(self) -> Vector:
        x = np.zeros(self.size)
        x[0] = 1.0
        return x

    def _measure(self) -> None:
        """How much single rewards scatter over all backends, and, now and then, how much questions differ."""
        if self._tick >= self._next_look:
            self._next_look = self._tick + max(LOOK, self._tick // 4)
            self._compare(telling(arm.quality for arm in self.arms.values()))
        squares, weight = USUAL_VARIANCE * USUAL_WEIGHT, USUAL_WEIGHT
        for arm in self.arms.values():
            own, its_weight = arm.quality.residual_squares()
            squares, weight = squares + own, weight + its_weight
        self.variance = max(LEAST_VARIANCE, squares / weight)

    def _compare(self, regressions: list[Regression]) -> None:
        """Learn from all backends together what each is expected to find hard."""
        if self.size > 1 and regressions:
            self.common = common(regressions, self.terms.ridge)
            for regression in regressions:
                regression.expect(self.common)
            self.ridge = likeliest_ridge(regressions)
            self._expect(self.common)

    def _expect(self, common: Vector) -> None:
        self.common = common
        if len(common):
            for arm in self.arms.values():
                arm.quality.expect(common)
                arm.quality.shrink(self.ridge)

    def _compared(self) -> Compared:
        return Compared(self.variance, self.ridge, self.common.tolist(), self._next_look)

    def _revived(self, saved: SavedArm, whole: SavedLearner) -> Arm:
        arm = Arm(saved.prior, saved.answers, saved.type, whole.size, self.terms, (whole.tick, whole.attempts))
        arm.failures, arm.billed, arm.foreseen = saved.failures, saved.billed, saved.foreseen
        if not (0.0 < saved.billed < math.inf and 0.0 < saved.foreseen < math.inf):
            raise ValueError(f"saved costs of {saved.billed} where {saved.foreseen} were foreseen")
        parts = (arm.quality, saved.quality), (arm.answering, saved.answering), (arm.spending, saved.spending)
        for regression, evidence in parts:
            if evidence.size != whole.size:
                raise ValueError(f"evidence about {evidence.size} features where {whole.size} belong")
            regression.own = revived(evidence)
            regression.take_in(None)
        return arm

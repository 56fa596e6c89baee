"""Questions to two sides, and the product's own decision after each of them.

Latency is lognormal with a logarithm's deviation of 0.8, as recorded calls of language models have it; cost follows
latency; quality lies around 0.75 with a deviation of 0.2. What is not said to differ is the same on both sides.
"""

from __future__ import annotations

import math
import random

import msgspec

from equipoise.core.canary import QUALITY, Analysis, Finding, Observation, Rules, measures

RULES = Rules(measures=measures())
ENDS = (Finding.HARM, Finding.BROKEN, Finding.MISMATCH)
Z, LEAST = 1.645, 30
"""One-sided 5 percent, looked at from so many of the candidate's questions on."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate is like, and how many questions are asked of both sides at most."""

    name: str
    requests: int
    share: float = 0.1
    errors: tuple[float, float] = (0.025, 0.025)
    slower: float = 1.0
    quality_lost: float = 0.0
    quality_deviation: float = 0.2


class Told(msgspec.Struct, frozen=True):
    """After how many of the candidate's questions each test rolled back, and by which measure; None where it never did."""

    after: int | None
    measure: str
    peeked: int | None


class Peeked:
    """What people do: a z-test of both error rates, looked at after every question of the candidate's."""

    def __init__(self) -> None:
        self.asked, self.failed = [0, 0], [0, 0]
        self.after: int | None = None

    def take(self, *, candidate: bool, failed: bool) -> None:
        """One question."""
        self.asked[candidate] += 1
        self.failed[candidate] += failed
        if candidate and self.after is None and self.asked[1] >= LEAST and self._z() > Z:
            self.after = self.asked[1]

    def _z(self) -> float:
        (a, b), (x, y) = self.asked, self.failed
        pooled = (x + y) / (a + b)
        error = math.sqrt(pooled * (1.0 - pooled) * (1.0 / max(a, 1) + 1.0 / b))
        return (y / b - x / max(a, 1)) / error if error else 0.0


def told(story: Story, seed: int) -> Told:
    """One run: the product's verdict and the z-test's, on the same questions."""
    chance, analysis, peeked = random.Random(seed), Analysis.of(RULES), Peeked()
    after, by = None, ""
    for _ in range(story.requests):
        candidate = chance.random() < story.share
        failed = chance.random() < story.errors[candidate]
        peeked.take(candidate=candidate, failed=failed)
        if after is None and _looked(analysis, story, chance, candidate=candidate, failed=failed):
            judged = analysis.judge(RULES)
            if judged.finding in ENDS:
                after, by = analysis.candidate, judged.measure
        if after is not None and peeked.after is not None:
            break
    return Told(after, by, peeked.after)


def _looked(analysis: Analysis, story: Story, chance: random.Random, *, candidate: bool, failed: bool) -> bool:
    if failed:
        return analysis.observe(RULES, Observation(candidate=candidate, failed=True))
    seconds = chance.lognormvariate(0.7, 0.8) * (story.slower if candidate else 1.0)
    lost = story.quality_lost if candidate else 0.0
    quality = min(1.0, max(0.0, chance.gauss(0.75 - lost, story.quality_deviation)))
    seen = Observation(
        candidate=candidate, latency=seconds, first_token=seconds * chance.uniform(0.1, 0.4), cost=seconds * 1e-3
    )
    return analysis.observe(RULES, seen) | analysis.took(RULES, QUALITY, 1.0 - quality, candidate=candidate)

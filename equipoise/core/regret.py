"""What was lost against asking always the one backend that is best of all: the regret of whoever chose, and who that is.

Lattimore and Szepesvari, Bandit Algorithms (2020), 4.1, by the record instead of the truth, which nobody knows: what a
backend alone would have come to is estimated as replay does it, and not at all where the record cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from equipoise.core import replay
from equipoise.core.replay import Interval, Recorded


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """One backend, had it been asked whenever it could be: mean quality, and how much more an answer than what was done.

    `effective` is how many decisions the estimate is worth; with a `refusal` the numbers are no ground for anything.
    """

    backend_id: str
    quality: Interval
    gain: Interval
    effective: float
    refusal: str | None = None


class Step(msgspec.Struct, frozen=True):
    """From `moment` on: how many scored decisions, their mean quality, and the regret summed up to the step's end."""

    moment: float
    scored: int
    quality: float
    regret: float


def alone(log: Sequence[Recorded]) -> list[Alone]:
    """Every backend that ever could be asked, the best first; none where nothing was scored."""
    found = []
    for name in sorted({name for one in log for name in one.able.union(one.probabilities)}):
        finding = replay.alone(name, log).get("quality")
        if finding is not None:
            quality, gain = finding.doubly_robust, finding.change
            found.append(
                Alone(backend_id=name, quality=quality, gain=gain, effective=finding.effective, refusal=finding.refusal)
            )
    return sorted(found, key=lambda one: (one.refusal is not None, -one.quality.value))


def best(arms: Sequence[Alone]) -> Alone | None:
    """Who would have been best alone, by the record; None where it tells of nobody, or contradicts itself."""
    return next((one for one in arms if one.refusal is None), None)


def summed(log: Sequence[Recorded], moments: Sequence[float], against: Alone, seconds: float) -> list[Step]:
    """The regret over time, in steps of so many seconds; `moments` (Unix seconds, rising) is one a decision."""
    steps: list[Step] = []
    values: list[float] = []
    total = 0.0
    for i, quality in sorted(replay.known("quality", log).items()):
        moment = moments[i] // seconds * seconds
        if not steps or steps[-1].moment != moment:
            values = []
            steps.append(Step(moment, 0, 0.0, total))
        values.append(quality)
        total += against.quality.value - quality
        steps[-1] = Step(moment, len(values), sum(values) / len(values), total)
    return steps

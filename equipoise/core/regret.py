"""What was lost against asking always the one backend that is best of all: the regret of whoever chose, and who that is.

Lattimore and Szepesvari, Bandit Algorithms (2020), 4.1, by the record instead of the truth, which nobody knows: what a
backend alone would have come to is estimated as replay does it, and not at all where the record cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from equipoise.core import replay
from equipoise.core.replay import Interval, Recorded

WHERE = 0.5
"""In this share of the decisions a backend must have had a chance to be measured against."""


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """One backend, had it been asked wherever it had a chance: mean quality, and how much more an answer than what was done.

    `share` is in how many of the decisions it had one: where a quality floor left it out, what was done stays done.
    `effective` is how many decisions the estimate is worth; with a `refusal` the numbers are no ground for anything.
    """

    backend_id: str
    share: float
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
    with_a_chance = [_without_a_chance_left_out(one) for one in log]
    found = [
        _alone(name, with_a_chance) for name in sorted({n for one in log for n in one.able.union(one.probabilities)})
    ]
    return sorted(filter(None, found), key=lambda one: (one.refusal is not None, -one.quality.value))


def _without_a_chance_left_out(one: Recorded) -> Recorded:
    chances = {name: chance for name, chance in one.probabilities.items() if chance > 0.0}
    return msgspec.structs.replace(one, probabilities=chances, able=frozenset(chances))


def _alone(name: str, log: Sequence[Recorded]) -> Alone | None:
    finding = replay.alone(name, log, WHERE, ["quality"]).get("quality")
    if finding is None:
        return None
    return Alone(
        backend_id=name,
        share=sum(name in one.able for one in log) / len(log),
        quality=finding.doubly_robust,
        gain=finding.change,
        effective=finding.effective,
        refusal=finding.refusal,
    )


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

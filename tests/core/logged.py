"""A world with a known truth, logged under a policy that explores: for judging judges."""

from __future__ import annotations

import random
from collections.abc import Sequence

from equipoise.core.replay import Recorded

KINDS = ("metabolomics", "review", "general")
BASE = {"metabolomics": (0.8, 0.5, 0.4), "review": (0.45, 0.75, 0.5), "general": (0.5, 0.55, 0.7)}
SLOPE = (0.12, -0.08, 0.05)
NAMES = ("a", "b", "c")


class World:
    """Three backends, three kinds of question, one feature. The log prefers `a`; the judged policy knows the best.

    `told` is the floor written into the record when it is not the one that was used.
    """

    def __init__(self, floor: float, told: float | None = None) -> None:
        self.floor, self.told = floor, floor if told is None else told

    def log(self, count: int, seed: int) -> tuple[list[Recorded], list[dict[str, float]]]:
        """So many decisions, and what the judged policy would have chosen for each."""
        chance = random.Random(seed)
        log, target = [], []
        for _ in range(count):
            kind, x = chance.choice(KINDS), chance.gauss(0.0, 1.0)
            values = _values(kind, x)
            name = chance.choices(NAMES, self._chances(self.floor))[0]
            log.append(
                Recorded(
                    backend_id=name,
                    probabilities=dict(zip(NAMES, self._chances(self.told), strict=True)),
                    kind=kind,
                    features=(x,),
                    quality=float(chance.random() < values[NAMES.index(name)]),
                )
            )
            target.append({_best(values): 1.0})
        return log, target

    def truth(self, count: int) -> float:
        """What the judged policy is worth."""
        chance = random.Random(99)
        return sum(max(_values(chance.choice(KINDS), chance.gauss(0.0, 1.0))) for _ in range(count)) / count

    def _chances(self, floor: float) -> tuple[float, ...]:
        return (1.0 - floor + floor / 3, floor / 3, floor / 3)


def _values(kind: str, x: float) -> tuple[float, ...]:
    return tuple(min(0.98, max(0.02, base + slope * x)) for base, slope in zip(BASE[kind], SLOPE, strict=True))


def _best(values: Sequence[float]) -> str:
    return NAMES[max(range(3), key=lambda i: values[i])]

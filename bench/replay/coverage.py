"""Do the intervals of `policy replay` cover the truth? In simulated records whose truth is known, of growing difficulty.

Run `python -m bench.replay.coverage`; exit 1 when the doubly robust interval covers less than 93 % where a verdict is given.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence

from equipoise.core.replay import Finding, Interval, Recorded, finding

KINDS, NAMES = ("a", "b", "c"), ("v", "w", "x", "y", "z")
RUNS = 200
CASES = ((2500, 0.1), (2500, 0.15), (2500, 0.3), (1000, 0.5), (10_000, 0.1), (20_000, 0.05))
"""Decisions, and the floor under which they were made."""
PROMISED = 0.93


class World:
    """Five backends, three kinds of question, four features; the recorded policy prefers one, the judged one knows all."""

    def __init__(self, seed: int = 1) -> None:
        chance = random.Random(seed)
        self.base = [[chance.uniform(0.3, 0.9) for _ in NAMES] for _ in KINDS]
        self.slope = [[chance.gauss(0.0, 0.15) for _ in range(4)] for _ in NAMES]

    def values(self, kind: int, x: Sequence[float]) -> list[float]:
        """What each backend's answer is worth."""
        bent = [sum(s * v for s, v in zip(slope, x, strict=True)) for slope in self.slope]
        return [min(0.98, max(0.02, base + b)) for base, b in zip(self.base[kind], bent, strict=True)]

    def record(self, count: int, floor: float, chance: random.Random) -> tuple[list[Recorded], list[dict[str, float]]]:
        """So many decisions under a floor, and what the judged policy would have chosen."""
        log, target = [], []
        usual = [floor / 5] * 5
        usual[0] += 1.0 - floor
        for _ in range(count):
            kind, x = chance.randrange(3), tuple(chance.gauss(0.0, 1.0) for _ in range(4))
            values = self.values(kind, x)
            chosen = chance.choices(range(5), usual)[0]
            log.append(
                Recorded(
                    backend_id=NAMES[chosen],
                    probabilities=dict(zip(NAMES, usual, strict=True)),
                    kind=KINDS[kind],
                    features=x,
                    quality=float(chance.random() < values[chosen]),
                )
            )
            target.append({NAMES[values.index(max(values))]: 1.0})
        return log, target

    def truth(self, count: int = 200_000) -> float:
        """What the judged policy is worth."""
        chance = random.Random(99)
        draws = ((chance.randrange(3), [chance.gauss(0.0, 1.0) for _ in range(4)]) for _ in range(count))
        return sum(max(self.values(kind, x)) for kind, x in draws) / count


def main() -> int:
    """Print coverage and errors; 1 when a promise is broken."""
    world = World()
    truth, kept = world.truth(), True
    print(
        f"{'decisions':>9}{'floor':>7}{'worth':>7}{'judged':>8}{'DR covers':>11}{'DR rmse':>9}{'SNIPS covers':>14}{'rmse':>8}"
    )
    for count, floor in CASES:
        chance = random.Random(7)
        found = [
            finding("quality", *world.record(count, floor, chance)) for _ in range(RUNS if count < 9000 else RUNS // 4)
        ]
        judged = [one for one in found if one is not None and one.refusal is None]
        worth = sum(one.effective for one in found if one is not None) / len(found)
        told = f"{count:>9}{floor:>7.0%}{worth:>7.0f}{len(judged) / len(found):>8.0%}"
        if not judged:
            print(f"{told}   refused: too little support")
            continue
        covered = [sum(e.low <= truth <= e.high for e in side) / len(judged) for side in _sides(judged)]
        errors = [(sum((e.value - truth) ** 2 for e in side) / len(judged)) ** 0.5 for side in _sides(judged)]
        kept = kept and covered[0] >= PROMISED
        print(f"{told}{covered[0]:>11.1%}{errors[0]:>9.4f}{covered[1]:>14.1%}{errors[1]:>8.4f}")
    print(
        f"{'kept' if kept else 'BROKEN'}: where a verdict is given, the doubly robust interval covers at least {PROMISED:.0%}"
    )
    return 0 if kept else 1


def _sides(judged: Sequence[Finding]) -> tuple[list[Interval], list[Interval]]:
    return [one.doubly_robust for one in judged], [one.snips for one in judged]


if __name__ == "__main__":
    sys.exit(main())

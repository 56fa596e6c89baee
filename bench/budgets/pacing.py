"""Pacing on real arrivals, stretched to a day: `python -m bench.budgets.pacing --data DIR` (traces/AzureLLMInferenceTrace_conv.csv).

Three days of the same arrivals over three modelled backends; costs follow the trace's own answer lengths. Reported: the
largest distance from the plan, what was spent of the cap, who was refused, and quality: of all requests (refused ones count
0), paced and with the cap alone, against no budget at all.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from datetime import datetime
from pathlib import Path

import msgspec

from equipoise.core.model import Candidate, Question, Request
from equipoise.core.pacing import SLOTS, Pacer
from equipoise.core.policies.quality_based import QualityBased

DAY = 86_400.0
FILE = "traces/AzureLLMInferenceTrace_conv.csv"
BACKENDS = {
    "cheap": (0.60, 0.2),
    "middle": (0.80, 2.0),
    "dear": (0.90, 10.0),
}  # quality; dollars per million tokens out
REQUEST = Request(id="r", question=Question(messages=[]))
BLANK = Candidate("", 1.0, 0, 1e9, 1.0, 1.0, 1.0, 0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.02)


def arrivals(data: Path) -> list[tuple[float, int]]:
    """(share of the day, output tokens) of each request."""
    with (data / FILE).open() as file:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp(), int(row["GeneratedTokens"]))
            for row in csv.DictReader(file)
        ]
    first, last = rows[0][0], rows[-1][0]
    return [((at - first) / (last - first + 1.0), tokens) for at, tokens in rows]


class Lived(msgspec.Struct):
    """What came of one day."""

    spent: int = 0
    answered: int = 0
    refused: int = 0
    quality: float = 0.0
    worst: float = 0.0
    slots: list[float] = msgspec.field(default_factory=lambda: [0.0] * SLOTS)


def lived(day: int, trace: list[tuple[float, int]], pacer: Pacer | None, cap: int, chance: random.Random) -> Lived:
    """One day. Each request is worth a little more or less to each backend, as questions are."""
    policy, seen, told = QualityBased(chance=chance), Lived(), -1.0
    for share, tokens in trace:
        now = (day + share) * DAY
        if pacer is not None and now - told > 0.5:
            pacer.observed(seen.spent, seen.answered, now)
            told = now
        money = pacer.price() if pacer is not None else 0.0
        offers = [
            msgspec.structs.replace(
                BLANK, backend_id=name, quality_low=quality + chance.gauss(0, 0.1), penalty=money * 200 * rate * 1e3
            )
            for name, (quality, rate) in BACKENDS.items()
        ]
        chosen = policy.choose(offers, REQUEST).backend_id
        cost = round(tokens * BACKENDS[chosen][1] * 1e3)
        if seen.spent + cost > cap:
            seen.refused += 1
            continue
        if pacer is not None:
            pacer.paid(cost, now)
        seen.spent, seen.answered = seen.spent + cost, seen.answered + 1
        seen.quality += next(offer.quality_low for offer in offers if offer.backend_id == chosen)
        seen.slots[int(share * SLOTS)] += 1
        if pacer is not None:
            seen.worst = max(seen.worst, abs(seen.spent - pacer.planned(now)) / cap)
    return seen


def main(arguments: list[str] | None = None) -> int:
    """Three budgets, as shares of what the dearest would cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    said = parser.parse_args(arguments)
    if said.data is None or not (said.data / FILE).is_file():
        print(f"pacing on real arrivals: not measured; name the data with --data DIR (it holds {FILE})")
        return 0
    trace, missed = arrivals(said.data), 0
    free = lived(0, trace, None, 10**18, random.Random(3))
    print(
        f"{len(trace)} requests a day; without a budget ${free.spent / 1e9:.2f}, quality {free.quality / len(trace):.4f}"
    )
    for part in (0.1, 0.3, 0.6):
        cap = round(free.spent * part)
        pacer, weights, wall = Pacer(cap), [0.0] * SLOTS, lived(0, trace, None, cap, random.Random(3))
        print(f"cap ${cap / 1e9:.2f} alone: quality {wall.quality / len(trace):.4f}, {wall.refused} refused")
        for day in range(3):
            pacer.begin(day * DAY, (day + 1) * DAY, weights)
            seen = lived(day, trace, pacer, cap, random.Random(day))
            weights = seen.slots
            missed += seen.spent > cap or (day > 0 and seen.worst > 0.05)
            print(
                f"  paced, day {day + 1}: quality {seen.quality / len(trace):.4f}, {seen.refused} refused, "
                f"spent {seen.spent / cap:.2%}, at most {seen.worst:.2%} off the plan"
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

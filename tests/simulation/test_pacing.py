"""A day with a night and two peaks, paced: on plan, under the cap, and better than a wall at noon."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from equipoise.core.model import Question, Request
from equipoise.core.pacing import SLOTS, Pacer
from equipoise.core.policies.quality_based import QualityBased
from tests.core.policies.candidates import candidate

DAY = 86_400.0
BACKENDS = {"cheap": (0.60, 100_000), "middle": (0.80, 1_000_000), "dear": (0.90, 10_000_000)}
REQUEST = Request(id="r", question=Question(messages=[]))


def arrivals(day: int, count: int, chance: random.Random) -> list[float]:
    """Two peaks and a quiet night: a base wave with half of another twice as fast."""
    times = []
    while len(times) < count:
        at = chance.random()
        if chance.random() * 2.2 < 1 + 0.8 * math.sin(2 * math.pi * (at - 0.3)) + 0.4 * math.sin(4 * math.pi * at):
            times.append((day + at) * DAY)
    return sorted(times)


@dataclass
class Day:
    spent: int = 0
    answered: int = 0
    refused: int = 0
    quality: float = 0.0
    worst: float = 0.0
    slots: list[float] = field(default_factory=lambda: [0.0] * SLOTS)


def lived(day: int, pacer: Pacer, paced: bool, chance: random.Random, count: int = 3_000) -> Day:
    """One day's requests, their costs varying as answers do, against the hard cap and along the plan."""
    policy, seen, told = QualityBased(chance=chance), Day(), -1.0
    for now in arrivals(day, count, chance):
        if now - told > 1.0:
            pacer.observed(seen.spent, seen.answered, now)
            told = now
        money = pacer.price() if paced else 0.0
        offers = [
            candidate(name, quality_low=quality + chance.gauss(0, 0.1), expected_cost=cost, penalty=money * cost)
            for name, (quality, cost) in BACKENDS.items()
        ]
        chosen = policy.choose(offers, REQUEST).backend_id
        cost = int(BACKENDS[chosen][1] * chance.lognormvariate(0, 0.5))
        if seen.spent + cost > pacer.limit:
            seen.refused += 1
            continue
        pacer.paid(cost, now)
        seen.spent, seen.answered = seen.spent + cost, seen.answered + 1
        seen.quality += next(c.quality_low for c in offers if c.backend_id == chosen)
        seen.slots[int((now / DAY - day) * SLOTS)] += 1
        seen.worst = max(seen.worst, abs(seen.spent - pacer.planned(now)) / pacer.limit)
    return seen


def days(paced: bool, limit: int) -> list[Day]:
    chance, pacer, weights, found = random.Random(11), Pacer(limit), [0.0] * SLOTS, []
    for day in range(3):
        pacer.begin(day * DAY, (day + 1) * DAY, weights)
        found.append(lived(day, pacer, paced, chance))
        weights = found[-1].slots
    return found


def test_spending_keeps_to_the_plan_all_day() -> None:
    """From the second day on, when the shape of a day is known: within 5 % of the plan at every instant, nobody refused."""
    first, *later = days(paced=True, limit=3_000 * 1_000_000)
    assert first.refused == 0
    for day in later:
        assert day.worst < 0.05
        assert day.refused == 0
        assert 0.9 * 3_000_000_000 < day.spent <= 3_000_000_000


def test_without_pacing_the_same_money_is_a_wall() -> None:
    """The best answers for some and none for the rest: over the whole day pacing is worth more."""
    paced, unpaced = days(paced=True, limit=3_000_000_000)[1], days(paced=False, limit=3_000_000_000)[1]
    assert unpaced.refused > 1_000
    assert paced.quality > 1.5 * unpaced.quality

"""What a decision costs: `acquire` and `settle` over 5 and 1,000 backends, per strategy, as medians in microseconds.

Run `python -m bench.decision.decide`. The requests are of all kinds, the backends differ, each keeps a few requests in
flight, and one attempt in fifty fails.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from random import Random

from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerOptions
from equipoise.core.features import KINDS, classify
from equipoise.core.model import BackendType, Outcome, Question, Request, Usage, Verdict
from equipoise.core.policies import STRATEGIES, make_policy
from equipoise.core.pricing import Price
from equipoise.core.routing import Route
from equipoise.core.selection import Lease, Selection

TARGETS = {5: 20.0, 1000: 100.0}
LEARNING_TARGET = 1000.0
QUESTION = (
    "What is the relationship between plasma lipidomics profiles and insulin resistance in patients with type 2 "
    "diabetes, and which metabolic pathways could explain the difference found in the cohort?"
)


@dataclass
class Clock:
    """Time that passes by a fifth of a second a question."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1.7e9 + self.now


@dataclass
class Timings:
    """Seconds of each acquire, each settle, and both."""

    acquire: list[float] = field(default_factory=list)
    settle: list[float] = field(default_factory=list)

    def row(self) -> tuple[float, float, float, float]:
        """Medians of acquire, settle and their sum, and the sum's 99th percentile, in microseconds."""
        both = sorted(a + s for a, s in zip(self.acquire, self.settle, strict=True))
        medians = [statistics.median(values) * 1e6 for values in (self.acquire, self.settle, both)]
        return medians[0], medians[1], medians[2], both[int(0.99 * len(both))] * 1e6


def backends(count: int, chance: Random) -> list[Backend]:
    """So many backends of differing weight, price, quality and speed; the breaker stays out of the way."""
    return [
        Backend(
            BackendOptions(
                id=f"backend-{i:04d}",
                type=BackendType.OPENAI_DIRECT,
                weight=1.0 + i % 3,
                price=Price(input=chance.randint(1, 30) * 10**8, output=chance.randint(4, 90) * 10**8),
                quality=chance.uniform(0.6, 0.95),
                expected_seconds=chance.uniform(0.5, 4.0),
                breaker=BreakerOptions(enabled=False),
            ),
            chance,
        )
        for i in range(count)
    ]


def outcome(chance: Random) -> Outcome:
    """An answer of some length, or now and then a failure."""
    if chance.random() < 0.02:
        return Outcome(verdict=Verdict.FAILURE, duration=0.05, error="refused", status=500)
    tokens = chance.randint(50, 600)
    return Outcome(
        verdict=Verdict.SUCCESS,
        duration=0.3 + 0.01 * tokens,
        first_token=0.3,
        usage=Usage(input_tokens=300, output_tokens=tokens),
        cost=1_000 * tokens,
    )


def measure(strategy: str, count: int, rounds: int) -> Timings:
    """Time so many decisions, with three requests a backend (at most 15) in flight."""
    chance, clock, timings = Random(1), Clock(), Timings()
    everyone = backends(count, chance)
    route = Route(name="auto", backends=tuple(b.id for b in everyone), strategy=strategy)
    selection = Selection(
        everyone, {"auto": route}, lambda route, name: make_policy(name, chance=chance), clock=clock, chance=chance
    )
    question, open_leases = Question(messages=[]), deque[Lease]()
    for number in range(rounds + 200):
        clock.now += 0.2
        request = Request(id="r", question=question, input_tokens=300, min_quality=0.5, kind=chance.choice(KINDS))
        began = time.perf_counter()
        open_leases.append(selection.acquire(request))
        acquired = time.perf_counter() - began
        if len(open_leases) > min(15, 3 * count):
            lease, result = open_leases.popleft(), outcome(chance)
            began = time.perf_counter()
            selection.settle(lease, result)
            settled = time.perf_counter() - began
            if number >= 200:
                timings.acquire.append(acquired)
                timings.settle.append(settled)
    return timings


def target_of(strategy: str, count: int) -> float:
    """The median that is allowed, in microseconds."""
    return LEARNING_TARGET if strategy == "adaptive_learning" else TARGETS[count]


def classification(rounds: int) -> float:
    """The median of classifying one question of typical length, in microseconds."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        classify(QUESTION)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e6


def main() -> int:
    """Print the table; exit 1 when a median misses its target."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3000, help="decisions a line (default 3000)")
    parser.add_argument("--strategy", choices=sorted(STRATEGIES), help="only this one")
    arguments = parser.parse_args()
    missed = 0
    print(
        f"{'strategy':22}{'backends':>9}{'acquire':>9}{'settle':>9}{'both':>9}{'p99':>9}{'target':>9}   (medians, µs)"
    )
    for count in TARGETS:
        for strategy in [arguments.strategy] if arguments.strategy else STRATEGIES:
            acquire, settle, both, worst = measure(strategy, count, arguments.rounds).row()
            target = target_of(strategy, count)
            missed += both > target
            verdict = "missed" if both > target else "ok"
            print(f"{strategy:22}{count:9}{acquire:9.1f}{settle:9.1f}{both:9.1f}{worst:9.1f}{target:9.0f}   {verdict}")
    print(f"classifying a question of {len(QUESTION)} characters: {classification(arguments.rounds):.1f} µs")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

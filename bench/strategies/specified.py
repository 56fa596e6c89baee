"""The specification's rules beside ours on real arrivals: `python -m bench.strategies.specified --data DIR`.

The servers are those of the replay; in addition the faster ones are better and dearer (quality .95 to .75, price 9 to 1),
and the floor of quality is .7. The throughput of the specification's performance score is taken as 1 at 100 tokens a second.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.strategies.crowd import Arrival, Crowd, Server
from bench.strategies.replay import RATES, TRACE, TROUBLE, TROUBLE_SECONDS, read_trace
from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies import Configured, PolicyMaker
from equipoise.core.policies.specified import performance_score, report, speed_score

QUALITY = {"a": 0.95, "b": 0.9, "c": 0.85, "d": 0.8, "e": 0.75}
PRICE = {"a": 9, "b": 7, "c": 5, "d": 3, "e": 1}
FLOOR, SPEED, FULL_THROUGHPUT = 0.7, 2.0, 100.0


class Highest(Configured):
    """Whoever has the highest score."""

    def score(self, candidate: Candidate) -> float:
        """Return the health score."""
        return report(candidate)["health_score"]

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        scores = {c.backend_id: self.score(c) for c in candidates}
        return Choice(max(scores, key=scores.__getitem__), scores, "highest score")


class HighestQuality(Highest):
    """By the quality score."""

    def score(self, candidate: Candidate) -> float:
        """Return the quality score."""
        return report(candidate)["quality_score"]


class LowestCost(Highest):
    """By the cost efficiency, of which less is better."""

    def score(self, candidate: Candidate) -> float:
        """Return the negative cost efficiency."""
        return -report(candidate)["cost_efficiency"]


class HighestPerformance(Highest):
    """By the performance score."""

    def score(self, candidate: Candidate) -> float:
        """Return the performance score."""
        return performance_score(
            response_time=speed_score(candidate.response_time * 1000.0),
            throughput=min(1.0, 1.0 / (candidate.seconds_per_token * FULL_THROUGHPUT)),
            availability=candidate.success_rate,
        )


RULES: dict[str, PolicyMaker] = {
    "health_aware": Highest,
    "quality_based": HighestQuality,
    "cost_optimized": LowestCost,
    "performance_based": HighestPerformance,
}


def line(rule: str | PolicyMaker, arrivals: Sequence[Arrival], *, slow: bool) -> str:
    """What became of the arrivals under one rule."""
    servers = {name: Server(rate, price=PRICE[name], quality=QUALITY[name]) for name, rate in RATES.items()}
    crowd = Crowd(rule, servers, breaker=True, min_quality=FLOOR)
    if slow:
        crowd.at(TROUBLE, lambda: setattr(servers["a"], "rate", RATES["a"] / 5))
        crowd.at(TROUBLE + TROUBLE_SECONDS, lambda: setattr(servers["a"], "rate", RATES["a"]))
    story = crowd.run([Arrival(arrival.at / SPEED, arrival.tokens) for arrival in arrivals])
    count = sum(story.asked.values())
    quality = sum(QUALITY[name] * asked for name, asked in story.asked.items()) / count
    below = sum(asked for name, asked in story.asked.items() if QUALITY[name] == QUALITY["e"]) / count
    return f"{story.percentile(0.95):9.1f}{quality:9.3f}{story.cost / 1e6:9.1f}{below:12.1%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit 2 when the data are absent."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="the directory that holds the traces")
    options = parser.parse_args(arguments)
    arrivals = read_trace(options.data) if options.data else None
    if arrivals is None:
        print(f"not measured: there is no {TRACE} in {options.data or 'any directory named with --data'}")
        return 2
    for slow in (False, True):
        words = ", one 5x slow 400 s" if slow else ""
        print(f"\n{len(arrivals)} questions, x{SPEED}{words}")
        print(f"{'':32}{'p95 s':>9}{'quality':>9}{'bill':>9}{'below floor':>12}")
        for name, theirs in RULES.items():
            print(f"{name + ', as specified':32}{line(theirs, arrivals, slow=slow)}")
            print(f"{name + ', ours':32}{line(name, arrivals, slow=slow)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

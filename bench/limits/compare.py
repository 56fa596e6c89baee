"""Which limit on attempts at once is best? One modelled LLM server, questions by a Poisson process, virtual time.

Run `python -m bench.limits.compare`. Two kinds of server (slots with a queue behind them; a batch that all share), of 1 to
24 slots, asked for 50, 90 and 150 % of what they can do; half-way through a third of the time the server is three times
as slow. Whoever does not fit waits up to five seconds before the limit and is then refused. An answer is good when it
came within ten times its own length at an idle server. Printed: good answers a second as a share of what was possible.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bench.limits.candidates import Everything, Fixed, Gradient2, Limit, RoundAIMD, SingleAIMD, Vegas
from equipoise.core.limit import AdaptiveCap

FIRST_TOKEN, RATE, MEAN_TOKENS = 0.3, 60.0, 120
NOISE = 0.3
"""Deviation of the logarithm of an answer's time from its length's."""
PATIENCE, GOOD, SECONDS = 5.0, 10.0, 300.0
CANDIDATES: dict[str, Callable[[], Limit]] = {
    "no limit": Everything,
    "fixed at 16": Fixed,
    "AIMD, single": SingleAIMD,
    "AIMD, a round": RoundAIMD,
    "Gradient2": Gradient2,
    "Vegas": Vegas,
    "AIMD, ours": AdaptiveCap,
}


@dataclass
class Asked:
    """A question: when it came, when it was let through, how much of it is left to write (seconds alone)."""

    came: float
    tokens: int
    luck: float = 1.0
    began: float = 0.0
    left: float = 0.0

    @property
    def alone(self) -> float:
        return (FIRST_TOKEN + self.tokens / RATE) * self.luck


@dataclass
class Server:
    """So many slots; `shared`: all in flight are written at once and share what the slots can do."""

    slots: int
    shared: bool
    speed: float = 1.0
    running: list[Asked] = field(default_factory=list)
    queue: deque[Asked] = field(default_factory=deque)

    def each(self) -> float:
        """Seconds of work done on each running answer in a second."""
        crowd = len(self.running)
        return self.speed * (min(1.0, self.slots / crowd) if self.shared and crowd else 1.0)

    def take(self, asked: Asked) -> None:
        asked.left = asked.alone
        (self.running if self.shared or len(self.running) < self.slots else self.queue).append(asked)

    def work(self, seconds: float) -> list[Asked]:
        """Let time pass; returns those whose answers are done."""
        done_work = seconds * self.each()
        for asked in self.running:
            asked.left -= done_work
        done = [asked for asked in self.running if asked.left <= 1e-9]
        self.running = [asked for asked in self.running if asked.left > 1e-9]
        while self.queue and len(self.running) < self.slots:
            self.running.append(self.queue.popleft())
        return done

    def next_end(self) -> float:
        return min((asked.left for asked in self.running), default=float("inf")) / self.each()


@dataclass
class Result:
    good: int = 0
    late: int = 0
    refused: int = 0
    limits: list[float] = field(default_factory=list)


def run(limit: Limit, slots: int, load: float, *, shared: bool, seed: int) -> Result:
    """The story of one server behind one limit."""
    chance, result, server = Random(seed), Result(), Server(slots, shared)
    waiting = deque[Asked]()
    per_second = load * slots / (FIRST_TOKEN + MEAN_TOKENS / RATE)
    now, arrival, in_flight = 0.0, chance.expovariate(per_second), 0
    while now < SECONDS:
        server.speed = 1 / 3 if SECONDS / 3 <= now < SECONDS * 2 / 3 else 1.0
        end = now + server.next_end()
        step = min(arrival, end, now + 1.0)
        done = server.work(step - now)
        now = step
        for asked in done:
            limit.answered(now - asked.began, asked.tokens, in_flight)
            in_flight -= 1
            if now - asked.came <= GOOD * asked.alone:
                result.good += 1
            else:
                result.late += 1
        if now >= arrival:
            tokens = max(1, int(chance.expovariate(1 / MEAN_TOKENS)))
            waiting.append(Asked(now, tokens, chance.lognormvariate(-(NOISE**2) / 2, NOISE)))
            arrival = now + chance.expovariate(per_second)
        while waiting and now - waiting[0].came > PATIENCE:
            waiting.popleft()
            result.refused += 1
        while waiting and in_flight < max(1, int(limit.value)):
            asked = waiting.popleft()
            asked.began = now
            server.take(asked)
            in_flight += 1
        result.limits.append(min(limit.value, 1e4))
    return result


def possible(slots: int, load: float) -> float:
    """Answers that came or could be given: what was asked, or the server's capacity with its slow third."""
    full = slots / (FIRST_TOKEN + MEAN_TOKENS / RATE) * SECONDS
    return min(load, 1.0) * full * 2 / 3 + min(load, 1 / 3) * full / 3


def main() -> int:
    """Print the table and the mean of each candidate."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=2, help="stories a cell (default 2)")
    arguments = parser.parse_args()
    print(f"{'server':>8} {'slots':>5} {'load':>5}  " + "".join(f"{name:>14}" for name in CANDIDATES))
    sums: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for shared in (False, True):
        for slots in (1, 4, 24):
            for load in (0.5, 0.9, 1.5):
                cells = []
                for name, make in CANDIDATES.items():
                    stories = [run(make(), slots, load, shared=shared, seed=s) for s in range(arguments.seeds)]
                    share = sum(s.good for s in stories) / len(stories) / possible(slots, load)
                    sums[name].append(share)
                    cells.append(f"{share:>14.3f}")
                print(f"{'batch' if shared else 'slots':>8} {slots:>5} {load:>5}  " + "".join(cells))
    print(f"{'mean':>21}  " + "".join(f"{sum(of) / len(of):>14.3f}" for of in sums.values()))
    print(f"{'worst':>21}  " + "".join(f"{min(of):>14.3f}" for of in sums.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

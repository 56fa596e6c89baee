"""Four gateways of two workers on one budget, a killed one and a Redis that says nothing in the middle.

    python -m bench.fleet --rate 400 --seconds 20

Each gateway has a state directory of its own, as hosts have; they share a Redis (Debian's redis-server), which is frozen for a
quarter of the time; meanwhile one gateway is killed with all its processes. Afterwards it goes on until the budget is used up.
Asserted: the upstream never billed more than the cap; no question failed but those under way at the killed gateway, and these
were answered when they were asked again; the time added while Redis is gone is under the operation timeout; every bill stands in a
ledger, those of questions lost with the killed gateway as possible cost; nothing is left in doubt but what was promised then.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import redis

from bench.fleet.gateways import Gateway, fleet
from bench.fleet.load import Answered, Load
from bench.fleet.server import RedisServer, redis_server
from bench.fleet.upstream import MEAN_COST, Upstream
from equipoise.core.model import dollars
from equipoise.http import Server

FROZEN, KILLED, THAWED = 0.3, 0.4, 0.55
"""When Redis is frozen, one gateway killed, and Redis thawed, as parts of the time."""
SHARE = 3
"""How often the budget would do for what is asked in that time; then it is used up."""
TIMEOUT = 0.1
LEASE, MOST_SECONDS = 11.0, 150.0


class Told(msgspec.Struct):
    """What came of one run; money in nano-dollars, times in seconds."""

    cap: int
    rate: float
    answers: dict[str, int]
    repeated: int
    failed: dict[str, int]
    added: dict[str, tuple[float, float]]
    billed: int
    spent: int
    in_doubt: int
    given_back: int
    exact: int
    possible: int
    missing: int
    wrong: int


async def run(
    folder: Path, program: str, rate: float, seconds: float, gateways: int = 4, workers: int = 2, *, doubt: bool = True
) -> Told:
    """Start all, ask, freeze, kill, thaw, use the budget up, stop, and look. Without `doubt` nobody waits until the killed
    one is known to be dead; its next start then books what was under way, and its slices stay in doubt."""
    upstream = Upstream()
    server = Server(upstream.handle)
    await server.start("127.0.0.1", 0)
    cap = int(SHARE * rate * seconds * MEAN_COST)
    with redis_server(folder, program) as shared:
        running = fleet(folder, gateways, server.port, shared.url, cap)
        try:
            await asyncio.gather(*(gateway.start(workers) for gateway in running))
            load = Load(running, upstream)
            await _asked(load, shared, running[0], rate, seconds)
            steady = list(load.answered)
            reached = len(steady) / load.now
            await _used_up(load, 2 * rate)
            await load.close()
        finally:
            for gateway in running[1:]:
                await gateway.stop()
        spent, lost = sums(shared)
        await asyncio.sleep(LEASE if doubt else 0.0)
        await running[0].start(1)
        await asyncio.sleep(4.0 if doubt else 0.0)  # it looks after what the killed left, at its next beat
        await running[0].stop()
        spent, in_doubt = sums(shared)
    await server.drain(1.0)
    exact, possible, missing, wrong = compared(upstream, running)
    return Told(
        cap=cap,
        rate=reached,
        answers=Counter(each.code for each in load.answered),
        repeated=sum(each.tries > 0 for each in load.answered),
        failed=Counter(each.code for each in steady if each.code != "ok"),
        added={name: _added(steady, *part) for name, part in parts(seconds).items()},
        billed=upstream.billed,
        spent=spent,
        in_doubt=in_doubt,
        given_back=lost - in_doubt,
        exact=exact,
        possible=possible,
        missing=missing,
        wrong=wrong,
    )


async def _asked(load: Load, shared: RedisServer, victim: Gateway, rate: float, seconds: float) -> None:
    asking = asyncio.create_task(load.at_rate(rate, seconds))
    for at, action in ((FROZEN, shared.freeze), (KILLED, victim.kill), (THAWED, shared.thaw)):
        await asyncio.sleep(max(0.0, at * seconds - load.now))
        action()
    await asking
    await load.finish()


async def _used_up(load: Load, rate: float) -> None:
    """Until nobody gets anything any more; a budget that is nearly empty is still sliced."""
    while load.now < MOST_SECONDS:
        before = len(load.answered)
        await load.at_rate(rate, 0.5)
        await load.finish()
        if all(each.code != "ok" for each in load.answered[before:]):
            return


def parts(seconds: float) -> dict[str, tuple[float, float]]:
    """The stretches that are looked at apart, after a moment to get warm."""
    return {
        "before": (0.1 * seconds, FROZEN * seconds),
        "without Redis": (FROZEN * seconds, THAWED * seconds),
        "after": (THAWED * seconds, seconds),
    }


def _added(answered: list[Answered], first: float, last: float) -> tuple[float, float]:
    """Median and 99th percentile of what was added to the upstream's time, of questions that were not asked again."""
    found = sorted(each.added for each in answered if first <= each.at < last and not each.tries)
    return found[len(found) // 2], found[int(len(found) * 0.99)]


def sums(shared: RedisServer) -> tuple[int, int]:
    """Spent, and held by anybody: after all have left only what is in doubt."""
    with redis.Redis.from_url(shared.url) as client:
        spent = sum(map(int, client.hvals("equipoise:budgets:spent:all")))
        return spent, sum(map(int, client.hvals("equipoise:budgets:held:all")))


def compared(upstream: Upstream, gateways: list[Gateway]) -> tuple[int, int, int, int]:
    """Bills that stand in a ledger to the nano-dollar, that are booked as a possible cost (of what was under way an
    estimate), that stand nowhere; and records that nobody billed so."""
    exact = possible = missing = wrong = 0
    records = booked(gateways)
    for question, bills in upstream.bills.items():
        known, lost = records.pop(question, (Counter(), []))
        exact += (Counter(bills) & known).total()
        wrong += (known - Counter(bills)).total()
        left = (Counter(bills) - known).total()
        covered = min(left, len(lost))
        possible, missing = possible + covered, missing + left - covered
    return exact, possible, missing, wrong + sum(known.total() for known, _ in records.values())


def booked(gateways: list[Gateway]) -> dict[str, tuple[Counter[int], list[int]]]:
    """By question: costs that were booked, and possible ones."""
    found: dict[str, tuple[Counter[int], list[int]]] = {}
    for gateway in gateways:
        for request, cost, lost in gateway.recorded():
            known, possible = found.setdefault(f"question {request.split('-')[1]}", (Counter(), []))
            if lost:
                possible.append(cost)
            elif cost:
                known[cost] += 1
    return found


def problems(told: Told) -> list[str]:
    """What was promised and not kept."""
    slow = told.added["without Redis"][1] - told.added["before"][1]
    used = told.billed + told.in_doubt + told.given_back
    kept = {
        f"the upstream billed ${dollars(told.billed)}, the cap is ${dollars(told.cap)}": told.billed <= told.cap,
        "the budget's own sums exceed its cap": told.spent + told.in_doubt <= told.cap,
        "what was billed is not covered by what was spent or is in doubt": told.billed <= told.spent + told.in_doubt,
        f"questions failed: {dict(told.failed)}": not told.failed,
        f"without Redis {slow * 1000:.0f} ms were added": slow < TIMEOUT,
        f"{told.wrong} records say what nobody billed": not told.wrong,
        f"{told.missing} bills stand in no ledger": not told.missing,
        f"only {used / told.cap:.1%} of the budget could be used": used >= 0.95 * told.cap,
    }
    return [problem for problem, good in kept.items() if not good]


def report(told: Told) -> None:
    """The figures."""
    print(
        f"{told.rate:.0f} questions a second; answers {dict(told.answers)}; {told.repeated} asked again after the kill"
    )
    for name, (median, worst) in told.added.items():
        print(f"added {name:>13}: median {median * 1000:6.1f} ms, 99 % {worst * 1000:6.1f} ms")
    print(f"cap ${dollars(told.cap)}; billed by the upstream ${dollars(told.billed)} ({told.billed / told.cap:.3%})")
    print(
        f"budget: spent ${dollars(told.spent)}, in doubt ${dollars(told.in_doubt)}; of what the killed held "
        f"${dollars(told.given_back)} was given back"
    )
    print(
        f"ledgers: {told.exact} bills exact, {told.possible} as possible cost, {told.missing} in none, "
        f"{told.wrong} wrong"
    )


def main(arguments: list[str] | None = None) -> int:
    """One run at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=400.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--gateways", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    said = parser.parse_args(arguments)
    program = shutil.which("redis-server")
    if program is None:
        print("redis-server is not installed: apt-get install redis-server", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(run(Path(folder), program, said.rate, said.seconds, said.gateways, said.workers))
    report(told)
    bad = problems(told)
    for problem in bad:
        print(f"NOT KEPT: {problem}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

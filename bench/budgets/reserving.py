"""Microseconds to reserve and settle, under one budget and under five: `python -m bench.budgets.reserving`.

What is free stands in memory that outlives the process, as it does in a gateway.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from equipoise.core.account import BudgetOptions
from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.budget import Budgets
from equipoise.core.model import BackendType, Question, Request
from equipoise.core.pricing import Price
from equipoise.core.slices import Grant
from equipoise.core.window import Window
from equipoise.stores.remains import Remains

ROUNDS, LOOPS = 40, 5_000
NEEDS = (5_000_000, 1, 1_200)
GOALS = {1: 2.0, 5: 5.0}
REQUEST = Request(id="r", question=Question(messages=[]), tenant="bio", key="one")


def budgets(count: int, folder: Path) -> Budgets:
    """So many budgets that all count the same request, each with plenty."""
    scopes = [{}, {"tenant": "bio"}, {"key": "one"}, {"backend": "a"}, {"tenant": "*"}][:count]
    options = [BudgetOptions(name=f"b{i}", limit=10**18, **scope) for i, scope in enumerate(scopes)]
    found = Budgets(options, {of.name: Window(length=86_400.0) for of in options})
    found.stack("a", REQUEST)
    places = Remains(folder, f"bench-{count}-{time.monotonic_ns()}")
    for account in found.accounts.values():
        account.shown = places.place(account.id)
    wall = time.time()
    found.granted(
        [
            Grant(account=ask.account, held=10**18, spent=0, count=0, others=0, unknown=0, limit=10**18)
            for ask in found.asks(wall, 1.0)
        ],
        wall,
    )
    return found


def microseconds(count: int, folder: Path) -> float:
    """The least over rounds of what one reservation and its settlement take: the others are the machine's other work."""
    found, rounds = budgets(count, folder), []
    actual = (3_000_000, 1, 700)
    for _ in range(ROUNDS):
        wall = time.time()
        began = time.perf_counter()
        for _ in range(LOOPS):
            reservation = found.hold(found.stack("a", REQUEST), NEEDS, wall + 600.0)
            found.settle(reservation, actual, wall)
        rounds.append((time.perf_counter() - began) / LOOPS * 1e6)
    return min(rounds)


def whole(count: int, folder: Path) -> float:
    """The same with the question whether it fits, and the worst case computed for both: what an attempt pays in all."""
    options = BackendOptions(id="a", type=BackendType.LOCAL_LLM, price=Price(input=10**9, output=10**9))
    found, rounds, backend = budgets(count, folder), [], Backend(options, random.Random(1))
    for _ in range(ROUNDS):
        wall = time.time()
        began = time.perf_counter()
        for _ in range(LOOPS):
            found.why_not(backend, REQUEST, wall)
            found.settle(found.reserve(backend, REQUEST, wall, wall + 600.0), (3_000_000, 1, 700), wall)
        rounds.append((time.perf_counter() - began) / LOOPS * 1e6)
    return min(rounds)


def main() -> int:
    """Print both and fail when a goal is missed."""
    missed = 0
    with tempfile.TemporaryDirectory() as place:
        for count, goal in GOALS.items():
            took = microseconds(count, Path(place))
            missed += took > goal
            print(
                f"reserve + settle, {count} budget{'s' if count > 1 else ''}: {took:.2f} us (goal {goal:g})", end="; "
            )
            print(f"{whole(count, Path(place)):.2f} us with the worst case and the look whether it fits")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

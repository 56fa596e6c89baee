"""Microseconds to reserve and settle, under one budget and under five: `python -m bench.budgets.reserving`."""

from __future__ import annotations

import statistics
import sys
import time

from equipoise.core.account import BudgetOptions
from equipoise.core.budget import Budgets
from equipoise.core.model import Question, Request
from equipoise.core.slices import Grant
from equipoise.core.window import Window

ROUNDS, LOOPS = 15, 20_000
GOALS = {1: 2.0, 5: 5.0}
REQUEST = Request(id="r", question=Question(messages=[]), tenant="bio", key="one")


def budgets(count: int) -> Budgets:
    """So many budgets that all count the same request, each with plenty."""
    scopes = [{}, {"tenant": "bio"}, {"key": "one"}, {"backend": "a"}, {"tenant": "*"}][:count]
    options = [BudgetOptions(name=f"b{i}", limit=10**18, **scope) for i, scope in enumerate(scopes)]
    found = Budgets(options, {of.name: Window(length=86_400.0) for of in options})
    found.stack("a", REQUEST)
    wall = time.time()
    found.granted(
        [
            Grant(account=ask.account, held=10**18, spent=0, count=0, others=0, unknown=0, limit=10**18)
            for ask in found.asks(wall, 1.0)
        ],
        wall,
    )
    return found


def microseconds(count: int) -> float:
    """The median over rounds of what one reservation and its settlement take."""
    found, rounds = budgets(count), []
    needs, actual = (5_000_000, 1, 1_200), (3_000_000, 1, 700)
    for _ in range(ROUNDS):
        wall = time.time()
        began = time.perf_counter()
        for _ in range(LOOPS):
            reservation = found.hold(found.stack("a", REQUEST), needs, wall + 600.0)
            found.settle(reservation, actual, wall)
        rounds.append((time.perf_counter() - began) / LOOPS * 1e6)
    return statistics.median(rounds)


def main() -> int:
    """Print both and fail when a goal is missed."""
    missed = 0
    for count, goal in GOALS.items():
        took = microseconds(count)
        missed += took > goal
        print(f"reserve + settle, {count} budget{'s' if count > 1 else ''}: {took:.2f} us (goal {goal:g})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

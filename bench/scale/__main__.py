"""`make bench-scale`: one process, then a fleet that speaks at once, every so often, and never; as a table."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

from bench.scale.fleet import play
from bench.scale.story import Plan, Told

INTERVALS = (0.1, 1.0, 5.0, 30.0, math.inf)
HEAD = (
    "| gateways | they speak | elsewhere | p95 | overshot by | idle in slices | never spent | refused in vain | "
    "shunned by all after | failed attempts at each | failed questions |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Print the table."""
    told = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    told.add_argument("--backends", type=int, default=Plan.backends)
    told.add_argument("--gateways", type=int, default=Plan.replicas)
    told.add_argument("--questions", type=int, default=Plan.questions)
    told.add_argument("--rate", type=float, default=Plan.rate)
    told.add_argument("--strategy", default=Plan.strategy)
    told.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    said = told.parse_args()
    one = Plan(backends=said.backends, replicas=1, questions=said.questions, rate=said.rate, strategy=said.strategy)
    fleets = [replace(one, replicas=said.gateways, every=every) for every in (None, *INTERVALS)]
    began = time.monotonic()
    print(f"{one.backends} backends, {one.questions} questions in {one.seconds:.0f} s, {one.strategy}\n\n{HEAD}")
    for row in rows([one, *fleets], said.processes):
        print(row, flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


def rows(plans: list[Plan], processes: int) -> Iterator[str]:
    """A row a plan, the first being the truth."""
    with ProcessPoolExecutor(processes, max_tasks_per_child=1) as pool:
        truth: Told | None = None
        for told in pool.map(play, plans):
            truth = truth or told
            yield row(told.figures(truth))


def row(of: dict[str, Any]) -> str:
    """One line of the table."""
    shunned = f"{of['shunned after']:.1f} s" if of["shunned by all"] else "-"
    if of["shunned by all"] < of["ill"]:
        shunned += f" ({of['shunned by all']} of {of['ill']})"
    cells = (
        of["gateways"], spoken(of["every"]) if of["gateways"] > 1 else "-", f"{of['elsewhere']:.1%}", f"{of['p95']:.2f} s",
        f"${of['overshoot'] / 1e9:.2f}", f"{of['idle']:.1%}", f"{of['left']:.1%}", f"{of['refused in vain']:.1%}",
        shunned, f"{of['failures']:.0f}", of["failed"],
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def spoken(every: float | None) -> str:
    """How often, for people."""
    if every is None:
        return "as shipped"
    return "never again after 5 s" if math.isinf(every) else f"every {every:g} s"


if __name__ == "__main__":
    raise SystemExit(main())

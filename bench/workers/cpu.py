"""CPU per request of two workers beside one process, interleaved: `python -m bench.workers.cpu --perf DIR`.

DIR holds the measuring bench. CPU is the sum over the process tree, the parent included; all of it runs on one core, so this
tells what working together costs, not what a second core brings. Ends with 1 where the ratio is above the goal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.gateway.ratio import KEY, gateway_command

GOAL = 1.1
WORKERS = (1, 2)


def main() -> int:
    """Measure and print; the exit code says whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perf", type=Path, required=True, help="the measuring bench")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--phases", default="ns0,ns50")
    chosen = parser.parse_args()
    bench = chosen.perf.resolve() / "bench.py"
    if not bench.exists():
        print(f"no measuring bench at {chosen.perf}: nothing was measured", file=sys.stderr)
        return 2
    phases = chosen.phases.split(",")
    found: dict[int, dict[str, list[float]]] = {count: {phase: [] for phase in phases} for count in WORKERS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(chosen.rounds):
            for count in WORKERS if turn % 2 == 0 else WORKERS[::-1]:
                one = _measured(bench, Path(folder), chosen.port, phases, count)
                for phase in phases:
                    found[count][phase].append(one[phase]["cpu_us"])
    return _told(found, phases)


def _measured(bench: Path, folder: Path, port: int, phases: list[str], count: int) -> dict[str, dict[str, float]]:
    out = folder / "one.jsonl"
    out.unlink(missing_ok=True)
    command = [*gateway_command(folder, port, "own"), "--workers", str(count)]
    options = ["one", "--port", str(port), "--rounds", "1", "--phases", ",".join(phases), "--out", str(out)]
    header = ["--header", f"Authorization: Bearer {KEY}"]
    environment = os.environ | {"PERF_OUT": str(folder / "perf-out")}
    subprocess.run(
        [sys.executable, bench, *options, *header, "--", *command],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    result: dict[str, dict[str, float]] = json.loads(out.read_text())
    errors = sum(result[phase]["errors"] for phase in phases)
    if errors:
        raise SystemExit(f"{errors:.0f} requests failed with {count} workers")
    return result


def _told(found: dict[int, dict[str, list[float]]], phases: list[str]) -> int:
    worst = 0.0
    for phase in phases:
        one, two = (median(found[count][phase]) for count in WORKERS)
        worst = max(worst, two / one)
        print(f"{phase}: {one:.1f} us of CPU a request in one process, {two:.1f} with two workers: {two / one:.3f}")
        print(f"    each round: {found[1][phase]} {found[2][phase]}")
    print(f"goal: at most {GOAL}; {'met' if worst <= GOAL else 'MISSED'}")
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

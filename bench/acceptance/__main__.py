"""`make acceptance`: every success metric of the specification as target, measured, command.

Runs the shipped gateway before three backends of this machine (20 ms to an answer), loads it, kills a backend, and reads
what it says of itself. What another command measures is named with that command and marked "not measured here": no
figure is printed that did not come from this run. Exit code 1 when a measured one misses its target.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.acceptance import measuring
from bench.acceptance.estate import PRICES, running
from equipoise.cli.load_report import lines
from equipoise.cli.loading import Plan

METRICS = (
    "lb_requests_total",
    "lb_request_duration_seconds",
    "lb_routing_decision_seconds",
    "lb_backend_health_score",
    "lb_circuit_breaker_state",
    "lb_request_cost_total",
)
SPECIFIED = Plan(rate=5000 / 60, seconds=60.0)
"""The specification's own load test: 5,000 requests at 83.33 a second."""
HERE, ELSEWHERE = "make acceptance", "not measured here"


class Row(NamedTuple):
    """One metric; `good` is None for what is not measured here."""

    group: str
    metric: str
    target: str
    measured: str
    command: str
    good: bool | None


async def measured(said: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """All rows, and the lines of the specified load test."""
    plan = Plan(rate=SPECIFIED.rate, seconds=said.seconds)
    with tempfile.TemporaryDirectory() as place:
        async with running(Path(place)) as estate:
            steady, checks = await measuring.probed(estate, lambda: measuring.loaded(estate, plan), plan.seconds)
            crowd = await measuring.loaded(estate, Plan(rate=300.0, seconds=6.0, streams=1.0))
            costs = [await measuring.bought(estate, name, 300) for name in ("round_robin", "cost_optimized")]
            names = await measuring.named(estate, METRICS)
            killed = await measuring.killed(estate, Plan(rate=200.0, seconds=15.0), 5.0)
            decision = await measuring.decisions(estate)
            total, records = await measuring.told_and_recorded(estate)
    rows = [
        *performance(steady, crowd, killed, decision),
        *cost(costs, total, records),
        *quality(),
        *operations(killed, checks, names),
        *enhancements(steady),
    ]
    return rows, lines(steady)


def performance(steady: Any, crowd: Any, killed: Any, decision: float) -> Iterator[Row]:
    """`Performance Metrics`, the specified load test, and the targets of the metrics configuration."""

    def row(metric: str, target: str, text: str, good: bool) -> Row:
        return Row("performance", metric, target, text, HERE, good)

    share = 100 * steady["successful"] / steady["total_requests"]
    alive = 100 * killed["successful"] / killed["total_requests"]
    p95, p99 = steady["p95_ms"] or 1e9, steady["p99_ms"] or 1e9
    yield row("response time, 95 % of requests", "< 1 s", f"{p95:.0f} ms before backends that take 20 ms", p95 < 1_000)
    yield row(
        "p95 / p99 of the metrics configuration", "2 s / 5 s", f"{p95:.0f} / {p99:.0f} ms", p95 < 2e3 and p99 < 5e3
    )
    yield row(
        "concurrent requests", "100+", f"{crowd['most_under_way']} streams at once, {crowd['failed']} failed",
        crowd["most_under_way"] > 100 and not crowd["failed"],
    )  # fmt: skip
    yield row(
        "requests a second",
        "100",
        f"{killed['requests_per_second']:.0f}, offered 200",
        killed["requests_per_second"] >= 100,
    )
    yield row(
        "availability, one of three killed", "99.9 %", f"{alive:.3f} % of {killed['total_requests']}", alive >= 99.9
    )
    yield row("routing decision, average", "< 50 ms", f"{decision:.3f} ms", decision < 50)
    yield row("load test: successful", "97.5 %", f"{share:.2f} % of {steady['total_requests']}", share >= 97.5)
    average = steady["average_response_time_ms"] or 1e9
    yield row("load test: average response time", "1247.32 ms", f"{average:.2f} ms", average <= 1247.32)
    yield row("load test: p95", "2156.78 ms", f"{p95:.2f} ms", p95 <= 2156.78)
    yield row("error rate of the metrics configuration", "1 %", f"{100 - share:.3f} %", share >= 99)


def cost(costs: list[float], total: str, records: int) -> Iterator[Row]:
    """`Cost Metrics`."""
    saved = 100 * (1 - costs[1] / costs[0])
    prices = ", ".join(f"{prompt:g}/{answer:g}" for prompt, answer in PRICES.values())
    text = f"{saved:.0f} % less than round_robin (equal quality; $ a million: {prices})"
    yield Row("cost", "cost reduction", "20-30 %", text, HERE, saved >= 20)
    yield Row("cost", "cost a request", "$0.01", f"${costs[0]:.6f}", HERE, costs[0] < 0.01)
    yield Row("cost", "tracking in real time", "every request", f"${total} in {records} records", HERE, records > 0)
    yield Row("cost", "budgets and alerts", "$50 a day, $5 an hour", ELSEWHERE, "make test", None)
    yield Row("cost", "cost efficiency", "> 0.8", ELSEWHERE, "make test", None)


def quality() -> Iterator[Row]:
    """`Quality Metrics`: what answers are worth is not asked of backends that always say the same."""
    scored, replayed = "python -m bench.quality.pubmedqa --data DIR", "make bench-strategies DATA=DIR"
    yield Row("quality", "response quality, in four dimensions", "scored", ELSEWHERE, scored, None)
    yield Row("quality", "quality-based selection", "quality > 0.8", ELSEWHERE, replayed, None)
    yield Row("quality", "quality history", "tracked", ELSEWHERE, "make test", None)


def operations(killed: Any, checks: float, names: list[str]) -> Iterator[Row]:
    """`Operational Metrics`."""
    noticed, row = killed["noticed_after_s"], killed["row"]
    why = str(row["why_not"]).partition(":")[0]
    text = f"out after {noticed:.2f} s ({why}), {killed['failed']} of {killed['total_requests']} failed"
    yield Row("operations", "circuit breaker", "detects failure", text, HERE, noticed < 30 and killed["failed"] == 0)
    yield Row("operations", "health checks made", "100 %", f"{100 * checks:.0f} % of those due", HERE, checks >= 1)
    yield Row(
        "operations", "specified metrics served", f"{len(METRICS)}", f"{len(names)}", HERE, len(names) == len(METRICS)
    )
    yield Row("operations", "adaptive learning", "weights follow", ELSEWHERE, "make bench-strategies DATA=DIR", None)
    yield Row("operations", "kill -9 at 500 a second", "0 of 30,000", ELSEWHERE, "make chaos", None)
    yield Row("operations", "every fault, every backend", "answered", ELSEWHERE, "make e2e", None)


def enhancements(steady: Any) -> Iterator[Row]:
    """`Performance Enhancements`."""
    most, asked = steady["most_connections"], steady["total_requests"]
    yield Row("connections", "pooling", "100 in all", f"{most} for {asked} requests", HERE, most <= 100)
    yield Row("connections", "connect, read and total timeouts", "each", ELSEWHERE, "make e2e", None)
    yield Row("caching", "kept answers", "optional, with a time to live", ELSEWHERE, "make test", None)


def shown(rows: list[Row]) -> str:
    """The table: group, metric, target, measured, command; a mark for what was met and what was missed."""
    marks = {True: "met", False: "MISSED", None: ""}
    cells = [("", "metric", "target", "measured", "command")]
    cells += [(marks[row.good], row.metric, row.target, row.measured, row.command) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, (*widths, 0), strict=True)).rstrip() for line in cells
    )


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.acceptance", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SPECIFIED.seconds, help="of the specified load test")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Measure, print, judge."""
    said = arguments()
    rows, load = uvloop.run(measured(said))
    if said.json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        print("\n".join((*load, "", shown(rows))))
    return 1 if any(row.good is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

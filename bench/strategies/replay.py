"""Every strategy on real arrivals: the Azure conversation trace replayed in virtual time over the real selection.

Run `python -m bench.strategies.replay --data DIR` (DIR holds `traces/` or is it). Five servers of 60, 60, 60, 40 and 20
tokens a second with 16 slots each, FIFO behind them; limits and speeds are not told but learned, weights are true. The
simulation knows no batching: a slot is as fast beside fifteen others as alone. 0.3 s go before the first token.

Source of the trace: AzurePublicDataset, AzureLLMInferenceTrace_conv 2023 (CC-BY-4.0).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bench.strategies.crowd import Arrival, Crowd, Server, Story
from bench.strategies.references import REFERENCES
from equipoise.core.policies import STRATEGIES, PolicyMaker

TRACE = "AzureLLMInferenceTrace_conv.csv"
RATES = {"a": 60.0, "b": 60.0, "c": 60.0, "d": 40.0, "e": 20.0}
TROUBLE, TROUBLE_SECONDS = 600.0, 400.0
SCENARIOS = {"steady": 2.0, "slow": 2.0, "busy": 2.8, "failing": 2.0}
WORDS = {"steady": "x2.0", "slow": "x2.0, one 5x slow 400 s", "busy": "x2.8", "failing": "x2.0, one fails fast 400 s"}
P2C, WLR, OURS = "P2C", "weighted least request", "performance_based"
MOST_ERRORS = 0.003


@dataclass(frozen=True)
class Row:
    """Seconds of one strategy in one scenario, and the share of attempts that failed."""

    strategy: str
    scenario: str
    p50: float
    p95: float
    p99: float
    errors: float
    most_in_flight: int


@dataclass(frozen=True)
class Gate:
    """A promise with the number it is judged by."""

    promise: str
    value: float
    bound: float

    @property
    def met(self) -> bool:
        """Whether the value keeps within its bound."""
        return self.value <= self.bound


def read_trace(data: Path) -> list[Arrival] | None:
    """The arrivals from their first on, in seconds; None where the trace is not."""
    file = next((path for path in (data / "traces" / TRACE, data / TRACE) if path.is_file()), None)
    if file is None:
        return None
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [(_seconds(row["TIMESTAMP"]), int(row["GeneratedTokens"])) for row in csv.DictReader(lines)]
    return [Arrival(at - rows[0][0], max(1, tokens)) for at, tokens in rows]


def _seconds(stamp: str) -> float:
    """Python reads microseconds; the trace has a digit more."""
    return datetime.fromisoformat(stamp[:26]).timestamp()


def tell(strategy: str, scenario: str, arrivals: Sequence[Arrival], *, breaker: bool = True, seed: int = 1) -> Story:
    """What became of these arrivals, at the speed of the scenario."""
    rule: str | PolicyMaker = REFERENCES.get(strategy, strategy)
    crowd = Crowd(rule, {name: Server(rate) for name, rate in RATES.items()}, breaker=breaker, seed=seed)
    troubled = crowd.servers["a"]
    if scenario == "slow":
        crowd.at(TROUBLE, lambda: setattr(troubled, "rate", RATES["a"] / 5))
        crowd.at(TROUBLE + TROUBLE_SECONDS, lambda: setattr(troubled, "rate", RATES["a"]))
    elif scenario == "failing":
        crowd.at(TROUBLE, lambda: setattr(troubled, "fails_in", 0.05))
        crowd.at(TROUBLE + TROUBLE_SECONDS, lambda: setattr(troubled, "fails_in", None))
    speed = SCENARIOS[scenario]
    return crowd.run([Arrival(arrival.at / speed, arrival.tokens) for arrival in arrivals])


def row_of(strategy: str, scenario: str, arrivals: Sequence[Arrival]) -> Row:
    """One line of the table."""
    story = tell(strategy, scenario, arrivals)
    p50, p95, p99 = (story.percentile(share) for share in (0.5, 0.95, 0.99))
    return Row(strategy, scenario, p50, p95, p99, story.failed_share(), max(story.most_in_flight.values()))


def gates(rows: Mapping[tuple[str, str], Row]) -> list[Gate]:
    """The promises of performance_based, and of every strategy about what fails fast."""
    ours = {scenario: rows[OURS, scenario].p95 for scenario in SCENARIOS}
    best = min(row.p95 for (_, scenario), row in rows.items() if scenario == "slow")
    found = [
        Gate("performance_based, steady: p95 / P2C", ours["steady"] / rows[P2C, "steady"].p95, 0.85),
        Gate("performance_based, steady: p95 / weighted least request", ours["steady"] / rows[WLR, "steady"].p95, 0.9),
        Gate("performance_based, one slow: p95 / the best of all", ours["slow"] / best, 1.1),
    ]
    named = [(name, rows[name, "failing"].errors) for name in STRATEGIES]
    return found + [Gate(f"{name}, one failing fast: errors", errors, MOST_ERRORS) for name, errors in named]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and the gates; exit 1 when one is missed, 2 when the data are absent."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="the directory that holds the traces")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    options = parser.parse_args(arguments)
    arrivals = read_trace(options.data) if options.data else None
    if arrivals is None:
        print(f"not measured: there is no {TRACE} in {options.data or 'any directory named with --data'}")
        return 2
    found = [row_of(name, scenario, arrivals) for scenario in SCENARIOS for name in (*REFERENCES, *STRATEGIES)]
    judged = gates({(row.strategy, row.scenario): row for row in found})
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in found], "gates": [asdict(gate) for gate in judged]}))
    else:
        _print(found, judged, len(arrivals))
    return 0 if all(gate.met for gate in judged) else 1


def _print(rows: Sequence[Row], judged: Sequence[Gate], count: int) -> None:
    for scenario, words in WORDS.items():
        print(f"\n{count} questions, {words}\n{'':24}{'p50 s':>8}{'p95 s':>8}{'p99 s':>8}{'errors':>9}{'deepest':>9}")
        for row in rows:
            if row.scenario == scenario:
                times = "".join(f"{value:8.1f}" for value in (row.p50, row.p95, row.p99))
                print(f"{row.strategy:24}{times}{row.errors:9.2%}{row.most_in_flight:9}")
    print()
    for gate in judged:
        print(f"{'met   ' if gate.met else 'MISSED'} {gate.promise}: {gate.value:.4f} (at most {gate.bound})")


if __name__ == "__main__":
    sys.exit(main())

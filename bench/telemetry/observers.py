"""What one request costs its observers: ledger, metrics, access log. Prints microseconds; `--json` for machines.

Run: python bench/telemetry/observers.py
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from equipoise.core.alert_rules import AlertRules, Thresholds
from equipoise.core.events import AttemptEnded, RequestEnded
from equipoise.core.model import Attempt, Candidate, CostSource, Decision, Outcome, Usage, Verdict
from equipoise.stores import Ledger
from equipoise.telemetry import AccessLog, Metrics

BACKENDS = ("graph-1", "graph-2", "web", "llm", "local")


def attempts(count: int, chance: random.Random) -> list[AttemptEnded]:
    """Distinct attempts with full decisions over five candidates, as a gateway makes them."""
    return [AttemptEnded(_attempt(index, chance)) for index in range(count)]


def _attempt(index: int, chance: random.Random) -> Attempt:
    backend = chance.choice(BACKENDS)
    decision = Decision(
        backend_id=backend,
        strategy="cost_optimized",
        route="auto",
        reason="lowest expected cost among 4 that are good enough",
        probability=0.97,
        compared={name: chance.random() for name in BACKENDS},
        probabilities={name: 0.2 for name in BACKENDS},  # noqa: C420 - a dict of its own each time
        excluded={},
        candidates=tuple(_candidate(name, chance) for name in BACKENDS),
    )
    outcome = Outcome(
        verdict=Verdict.SUCCESS if chance.random() < 0.97 else Verdict.FAILURE,
        duration=chance.lognormvariate(0.5, 0.6),
        first_token=chance.random(),
        usage=Usage(input_tokens=chance.randrange(2000), output_tokens=chance.randrange(800)),
        cost=chance.randrange(20_000_000),
        cost_source=CostSource.PRICED,
        status=200,
        model="sonar",
        finish_reason="stop",
        citations=4,
    )
    return Attempt(
        request_id=f"req-{index:09d}",
        number=1,
        wall=time.time(),
        tenant="default",
        tags=(),
        backend_id=backend,
        backend_type="perplexity",
        model="sonar",
        stream=False,
        decision=decision,
        outcome=outcome,
        decision_seconds=1e-5,
        question_hash="0" * 32,
        features={f"feature_{number}": chance.random() for number in range(8)},
    )


def _candidate(name: str, chance: random.Random) -> Candidate:
    numbers = [chance.random() for _ in range(len(Candidate.__struct_fields__) - 1)]
    return Candidate(name, *numbers)  # type: ignore[arg-type]


def ended(event: AttemptEnded) -> RequestEnded:
    """The end of the request whose only attempt this was."""
    attempt = event.attempt
    return RequestEnded(
        request_id=attempt.request_id,
        route="auto",
        tenant=attempt.tenant,
        status=200,
        duration=attempt.outcome.duration,
        attempts=1,
        cost=attempt.outcome.cost,
        backend_id=attempt.backend_id,
        stream=False,
    )


def per_event(action: Callable[[int], object], count: int, repeat: int) -> float:
    """Median over the repeats of the CPU microseconds of this thread an event costs."""
    times = []
    for _ in range(repeat):
        began = time.thread_time()
        for index in range(count):
            action(index)
        times.append((time.thread_time() - began) / count * 1e6)
    return statistics.median(times)


async def ledger_figures(events: list[AttemptEnded], folder: Path) -> dict[str, float]:
    """Recording on the caller's thread, and writing altogether (CPU of all threads, encoding and SQLite included)."""
    ledger = Ledger(folder / "ledger.db", capacity=len(events) + 1)
    began, thread_began = time.process_time(), time.thread_time()
    for event in events:
        ledger.observe(event)
    recorded = time.thread_time() - thread_began
    await ledger.flush()
    written = time.process_time() - began
    ledger.close()
    size = sum(file.stat().st_size for file in folder.iterdir() if file.name == "ledger.db")
    return {
        "ledger_observe_us": recorded / len(events) * 1e6,
        "ledger_all_cpu_us": written / len(events) * 1e6,
        "ledger_bytes_per_attempt": size / len(events),
    }


def metrics_figures(events: list[AttemptEnded], ends: list[RequestEnded]) -> dict[str, float]:
    """Counting an attempt and a request; one scrape of five backends."""
    metrics = Metrics()
    figures = {
        "metrics_attempt_us": per_event(lambda index: metrics.observe(events[index]), len(events), 5),
        "metrics_request_us": per_event(lambda index: metrics.observe(ends[index]), len(ends), 5),
        "scrape_ms": per_event(lambda _: len(metrics.render()), 20, 3) / 1000,
    }
    return figures | {"metrics_both_us": figures["metrics_attempt_us"] + figures["metrics_request_us"]}


def log_figures(ends: list[RequestEnded]) -> dict[str, float]:
    """Taking the end of a request for the access log; then formatting and writing, all threads."""
    log = AccessLog(io.StringIO(), capacity=len(ends) + 1)
    began, thread_began = time.process_time(), time.thread_time()
    for end in ends:
        log.observe(end)
    taken = time.thread_time() - thread_began
    log.close(timeout=60.0)
    written = time.process_time() - began
    return {"access_log_observe_us": taken / len(ends) * 1e6, "access_log_all_cpu_us": written / len(ends) * 1e6}


def alerts_figures(events: list[AttemptEnded], ends: list[RequestEnded]) -> dict[str, float]:
    """What the alerts take in of an attempt and a request."""
    rules = AlertRules(Thresholds())
    wall = time.time()

    def both(index: int) -> None:
        rules.observe(events[index], wall)
        rules.observe(ends[index], wall)

    return {"alerts_both_us": per_event(both, len(events), 5)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    events = attempts(options.count, random.Random(1))
    ends = [ended(event) for event in events]
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(ledger_figures(events, Path(folder)))
    figures |= metrics_figures(events, ends) | log_figures(ends) | alerts_figures(events, ends)
    on_path = ("ledger_observe_us", "metrics_both_us", "access_log_observe_us", "alerts_both_us")
    figures["request_path_us"] = sum(figures[name] for name in on_path)
    print(
        json.dumps(figures)
        if options.json
        else "\n".join(f"{name:28} {value:10.2f}" for name, value in figures.items())
    )


if __name__ == "__main__":
    main()

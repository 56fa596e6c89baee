"""The demo's end for people: a table, a bill, and the story of one decision."""

from __future__ import annotations

import textwrap
from typing import Any

from equipoise.cli.output import BOLD, GREEN, RED, painted, say, table
from equipoise.sandbox.demo.report import Report

WIDTH = 110


def show(report: Report) -> None:
    """Everything, to stdout."""
    say()
    _backends(report)
    _bill(report)
    _story(report.story)
    _verdict(report)


def _backends(report: Report) -> None:
    columns = ("backend", "requests", "share", "p50", "p95", "no answer", "errors", "cost", "citations")
    rows = [
        (
            row.backend + (" (killed, revived)" if row.backend == report.killed_backend else ""),
            row.requests,
            f"{row.share:.0%}",
            _seconds(row.p50_seconds),
            _seconds(row.p95_seconds),
            row.no_answer,
            row.errors,
            _dollars(row.cost_usd),
            row.citations,
        )
        for row in report.backends
    ]
    table(columns, rows)


def _bill(report: Report) -> None:
    say()
    say(painted("The bill", BOLD))
    for row in report.backends:
        say(f"  {row.backend:<24}{_dollars(row.cost_usd):>16}")
    say(f"  {'what clients were told':<24}{_dollars(report.cost_usd):>16}   over {report.questions} questions")
    say(f"  {'what the ledger holds':<24}{_dollars(report.ledger_cost_usd):>16}   in {report.ledger_records} records")
    equal = painted("equal to the nano-dollar", GREEN) if report.costs_agree else painted("NOT EQUAL", RED)
    say(f"  {equal}")


def _story(story: dict[str, Any]) -> None:
    if not story:
        return
    say()
    say(painted(f"The story of request {story['id']}", BOLD))
    for attempt in story["attempts"]:
        _attempt(attempt)
    say(f"  in all {_dollars(story['cost_usd'])}, answered by {story.get('answered_by')}")


def _attempt(attempt: dict[str, Any]) -> None:
    decision = attempt["decision"]
    say(f"  attempt {attempt['number']}: {attempt['backend_id']}, chosen by {attempt['strategy']}")
    _folded("why", str(decision.get("reason", "")))
    _folded("compared", ", ".join(f"{name} {score:.4g}" for name, score in sorted(decision["compared"].items())))
    _folded("not", ", ".join(_unscored(decision)))
    for name, why in sorted(decision.get("excluded", {}).items()):
        _folded("left out", f"{name}: {why}")
    error = f": {attempt['error']}" if attempt["error"] else ""
    _folded("outcome", f"{attempt['verdict']} after {float(attempt['latency']):.3f} s{error}")
    _folded("cost", f"{_dollars(attempt['cost_usd'])} ({attempt['cost_source']})")


def _unscored(decision: dict[str, Any]) -> list[str]:
    """Those that could have answered but were not compared, with the quality that a floor may have kept out."""
    return [
        f"{one['backend_id']} (quality at least {one['quality_low']:.2f})"
        for one in decision["candidates"]
        if one["backend_id"] not in decision["compared"]
    ]


def _folded(label: str, text: str) -> None:
    if text:
        lines = textwrap.wrap(text, WIDTH - 16) or [""]
        say(f"    {label:<10}{lines[0]}")
        for line in lines[1:]:
            say(f"    {'':<10}{line}")


def _verdict(report: Report) -> None:
    say()
    say(
        f"{report.answered} of {report.questions} questions answered ({report.streamed} streamed), "
        f"{report.failed_over} after failing over, {report.interrupted_streams} streams cut and told so, "
        f"{report.failed} failed, in {report.seconds:.1f} s with {len(report.strategies)} strategies."
    )
    for failure in report.failures:
        say(painted(failure, RED))


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"


def _dollars(amount: str) -> str:
    return f"${amount}"

"""What the demo came to: a row for each backend, the bill, and whether what clients were told is what the ledger holds."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from equipoise.core.model import dollars
from equipoise.sandbox.demo.asking import Fate, Heard

ERRORS = ("failure", "throttled", "refused")


class Row(msgspec.Struct, frozen=True):
    """One backend: `requests` are attempts, `share` is of all answers, times are seconds of successful attempts.

    Money is text with nine decimals, so that no reader of the JSON rounds it.
    """

    backend: str
    requests: int
    answers: int
    share: float
    p50_seconds: float | None
    p95_seconds: float | None
    no_answer: int
    errors: int
    cost_usd: str
    citations: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the demo, as `--json` prints it."""

    questions: int
    answered: int
    failed: int
    interrupted_streams: int
    streamed: int
    killed_backend: str
    seconds: float
    cost_usd: str
    ledger_cost_usd: str
    ledger_records: int
    costs_agree: bool
    failed_over: int
    strategies: list[str]
    backends: list[Row]
    failures: list[str]
    story: dict[str, Any]

    @property
    def good(self) -> bool:
        """Nobody went without an answer or an explicit error, and the bill is the ledger's to the nano-dollar."""
        return self.failed == 0 and self.costs_agree


def told_cost(heard: Sequence[Heard]) -> Decimal:
    """The sum of what clients were told, exactly."""
    return sum((one.cost for one in heard if one.cost is not None), Decimal(0))


def rows(names: Sequence[str], attempts: Sequence[dict[str, Any]]) -> list[Row]:
    """One row a backend, from the records of attempts."""
    answers = sum(one["verdict"] == "success" for one in attempts)
    return [_row(name, [one for one in attempts if one["backend_id"] == name], answers) for name in names]


def _row(name: str, attempts: list[dict[str, Any]], all_answers: int) -> Row:
    good = [one for one in attempts if one["verdict"] == "success"]
    times = sorted(float(one["latency"]) for one in good)
    return Row(
        backend=name,
        requests=len(attempts),
        answers=len(good),
        share=len(good) / all_answers if all_answers else 0.0,
        p50_seconds=quantile(times, 0.5),
        p95_seconds=quantile(times, 0.95),
        no_answer=sum(one["verdict"] == "no_answer" for one in attempts),
        errors=sum(one["verdict"] in ERRORS for one in attempts),
        cost_usd=dollars(sum(int(one["cost"]) for one in attempts)),
        citations=sum(int(one["citations"]) for one in good),
    )


def quantile(times: Sequence[float], share: float) -> float | None:
    """The smallest value that so large a share does not exceed; None of nothing."""
    if not times:
        return None
    position = min(len(times) - 1, max(0, -(-len(times) * share // 1) - 1))
    return times[int(position)]


def interesting(heard: Sequence[Heard], killed: str) -> Heard:
    """The question worth telling: one that the killed backend failed first, else one that failed over at all."""

    def worth(one: Heard) -> tuple[bool, bool, bool]:
        answered = one.fate is Fate.ANSWERED
        return answered and one.fallback_from == killed, answered and one.attempts > 1, answered

    return max(heard, key=worth)


def counted(heard: Sequence[Heard]) -> dict[str, Any]:
    """How the questions ended, in numbers."""
    fates = [one.fate for one in heard]
    return {
        "questions": len(heard),
        "answered": fates.count(Fate.ANSWERED),
        "failed": fates.count(Fate.FAILED),
        "interrupted_streams": fates.count(Fate.INTERRUPTED),
        "streamed": sum(one.question.stream for one in heard),
        "failed_over": sum(one.fate is Fate.ANSWERED and one.attempts > 1 for one in heard),
        "strategies": sorted({one.strategy for one in heard if one.strategy}),
        "failures": [f"question {one.question.number}: {one.error}" for one in heard if one.fate is Fate.FAILED],
    }

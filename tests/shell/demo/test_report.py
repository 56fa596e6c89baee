"""The demo's report counts what it says it counts, and adds money exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.sandbox.demo.asking import Fate, Heard
from equipoise.sandbox.demo.questions import questions
from equipoise.sandbox.demo.report import Report, counted, interesting, quantile, rows, told_cost

QUESTIONS = questions(10, 1)
NANO = st.integers(0, 10**12)


def heard(fate: Fate, **fields: Any) -> Heard:
    """One question's end."""
    return Heard(question=fields.pop("question", QUESTIONS[0]), fate=fate, **fields)


def attempt(backend: str, verdict: str, **fields: Any) -> dict[str, Any]:
    """One record as the ledger tells it."""
    return {"backend_id": backend, "verdict": verdict, "latency": 0.5, "cost": 0, "citations": 0} | fields


@given(st.lists(NANO))
def test_money_is_added_without_a_float(amounts: list[int]) -> None:
    """Whatever the amounts, the sum of what was told is the sum of the nano-dollars."""
    told = [heard(Fate.ANSWERED, cost=Decimal(amount).scaleb(-9)) for amount in amounts]
    assert told_cost(told) == Decimal(sum(amounts)).scaleb(-9)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_a_value_that_the_share_does_not_exceed(times: list[float], share: float) -> None:
    """At least that share of the values is at or below it, and it is one of them."""
    found = quantile(sorted(times), share)
    assert found in times
    assert sum(time <= found for time in times) >= share * len(times) - 1e-9


def test_nothing_has_no_quantile() -> None:
    """A backend that never answered has no p50."""
    assert quantile([], 0.5) is None


def test_a_row_counts_attempts_of_one_backend() -> None:
    """Answers make the share, a 200 that answers nothing is no error, every attempt is paid."""
    attempts = [
        attempt("a", "success", cost=5, citations=2, latency=1.0),
        attempt("a", "no_answer", cost=3),
        attempt("a", "failure", cost=1),
        attempt("a", "ignored"),
        attempt("b", "success", cost=7, latency=2.0),
    ]
    a, b, never = rows(["a", "b", "c"], attempts)
    assert (a.requests, a.answers, a.share, a.no_answer, a.errors, a.citations) == (4, 1, 0.5, 1, 1, 2)
    assert (a.cost_usd, a.p50_seconds) == ("0.000000009", 1.0)
    assert (b.p95_seconds, b.cost_usd) == (2.0, "0.000000007")
    assert (never.requests, never.share, never.p50_seconds) == (0, 0.0, None)


def test_interrupted_streams_are_neither_answered_nor_failed() -> None:
    """Three fates, each counted once."""
    fates = [heard(Fate.ANSWERED), heard(Fate.INTERRUPTED), heard(Fate.FAILED, error="no_healthy_backend: none")]
    numbers = counted(fates)
    assert (numbers["questions"], numbers["answered"], numbers["interrupted_streams"], numbers["failed"]) == (
        3,
        1,
        1,
        1,
    )
    assert numbers["failures"] == ["question 1: no_healthy_backend: none"]


def test_the_story_is_of_an_answer_the_killed_backend_failed_first() -> None:
    """Else of one that failed over at all."""
    plain = heard(Fate.ANSWERED, request_id="plain", attempts=1)
    other = heard(Fate.ANSWERED, request_id="other", attempts=2, fallback_from="b")
    killed = heard(Fate.ANSWERED, request_id="killed", attempts=2, fallback_from="a")
    lost = heard(Fate.FAILED, request_id="lost", attempts=3, fallback_from="a")
    assert interesting([plain, other, killed, lost], "a").request_id == "killed"
    assert interesting([plain, other, lost], "a").request_id == "other"
    assert interesting([lost, plain], "a").request_id == "plain"


@pytest.mark.parametrize(
    ("failed", "agree", "good"), [(0, True, True), (1, True, False), (0, False, False), (2, False, False)]
)
def test_it_is_good_only_if_nobody_went_without_and_the_bills_agree(failed: int, agree: bool, good: bool) -> None:
    """One missing answer or one nano-dollar, and the exit code is not 0."""
    numbers = counted([heard(Fate.ANSWERED)]) | {"failed": failed}
    report = Report(
        **numbers,
        killed_backend="a",
        seconds=1.0,
        cost_usd="0.000000001",
        ledger_cost_usd="0.000000001",
        ledger_records=1,
        costs_agree=agree,
        backends=rows(["a"], []),
        story={},
    )
    assert report.good is good
    assert msgspec.json.decode(msgspec.json.encode(report))["cost_usd"] == "0.000000001"

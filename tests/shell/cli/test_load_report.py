"""A load test's figures: the specification's six lines to the letter, and nothing left out that would flatter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.cli.load_report import failed_gates, lines, percentile, summary
from equipoise.cli.loading import ANSWERED, CUT, UNENDED, Plan, Taken, ended, refused

PLAN = Plan(rate=100.0, seconds=0.1)


def taken(seconds: float, fate: str = ANSWERED, *, late: float = 0.0, streamed: bool = False) -> Taken:
    return Taken(at=0.0, late=late, seconds=seconds, first=seconds / 2, streamed=streamed, fate=fate)


def test_the_first_six_lines_are_the_specified_ones() -> None:
    """Names, order, units and digits of `Load Testing Results`; failures in percent, no failure in the times."""
    found = summary(PLAN, [*(taken(n / 1000) for n in range(1, 40)), taken(9.0, "status 503")], 0.5)
    assert lines(found)[:7] == [
        "Load Test Results:",
        "Total requests: 40",
        "Successful: 39 (97.5%)",
        "Failed: 1 (2.5%)",
        "Average response time: 20.00ms",
        "95th percentile response time: 38.00ms",
        "Requests per second: 80.00",
    ]
    assert "  1 x status 503" in lines(found)


def test_streams_have_a_line_of_their_own() -> None:
    """Time to first token, of those that were answered."""
    found = summary(PLAN, [taken(0.2, streamed=True), taken(0.4, CUT, streamed=True), taken(0.1)], 1.0)
    assert (found["streams"], found["streams_failed"], found["ttft_ms"]["p99"]) == (2, 1, 100.0)
    assert any(line.startswith("Time to first token p50 / p95 / p99: 100.00ms") for line in lines(found))


def test_a_generator_that_is_late_says_so() -> None:
    """Its own lateness is in the times, and named."""
    assert not any("could not keep" in line for line in lines(summary(PLAN, [taken(0.1)], 1.0)))
    assert any("could not keep" in line for line in lines(summary(PLAN, [taken(0.1, late=0.5)], 1.0)))


def test_nothing_answered_is_no_zero() -> None:
    """Where there is no answer there is no response time."""
    found = summary(PLAN, [taken(0.1, "status 503")], 1.0)
    assert "Average response time: none" in lines(found)
    assert failed_gates(found, None, 1000.0) == ["p99 is none, it may be 1000ms"]


@pytest.mark.parametrize(("errors", "p99", "missed"), [(None, None, 0), (10, 500, 0), (9.9, 500, 1), (9.9, 10, 2)])
def test_gates_hold_at_their_value_and_fail_above(errors: float | None, p99: float | None, missed: int) -> None:
    """Errors in percent of all requests, p99 in milliseconds."""
    found = summary(PLAN, [*(taken(0.1) for _ in range(9)), taken(0.0, "status 503")], 1.0)
    assert len(failed_gates(found, errors, p99)) == missed


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    """The nearest rank, one of the values themselves."""
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found is not None
    assert sum(value <= found for value in ordered) >= share / 100 * len(ordered) - 1e-9
    assert all(
        sum(v <= smaller for v in ordered) < share / 100 * len(ordered) for smaller in ordered if smaller < found
    )


@pytest.mark.parametrize(
    ("tail", "fate"),
    [
        (b'data: {"choices":[]}\n\ndata: [DONE]\n\n', ANSWERED),
        (b'data: {"choices":[{"delta":{"content":"\\"error\\": {}"}}]}\n\ndata: [DONE]\n\n', ANSWERED),
        (b'data: {"error":{"code":"stream_interrupted"},"attempts":1}\n\ndata: [DONE]\n\n', CUT),
        (b'data: {"choices":[]}\n\n', UNENDED),
        (b"", UNENDED),
    ],
)
def test_the_end_of_a_stream_is_judged_by_what_it_says(tail: bytes, fate: str) -> None:
    """A stream that just stops is a failure of its own kind, not an answer."""
    assert ended(tail) == fate


def test_an_error_is_counted_by_status_and_code() -> None:
    """What is no JSON of ours has its status alone."""
    assert refused(503, b'{"error":{"code":"no_healthy_backend"}}') == "status 503 no_healthy_backend"
    assert refused(500, b"<html>") == "status 500"


@given(st.integers(1, 400), st.floats(0, 1))
def test_exactly_the_share_is_streamed_and_at_its_pace(count: int, share: float) -> None:
    """Evenly spread; as many questions as rate times duration."""
    from equipoise.cli.loading import Load

    plan = Plan(rate=10.0, seconds=count / 10, streams=share)
    streamed = Load("http://127.0.0.1:1", plan)._streamed()
    assert len(streamed) == len(plan.times()) == plan.count
    assert sum(streamed) == int(plan.count * share)

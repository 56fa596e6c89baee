"""Rates of keys: what is let through, what clients are told, and what a question gives back."""

from __future__ import annotations

import msgspec
import pytest

from equipoise.core.callers import Caller
from equipoise.core.events import RequestEnded
from equipoise.core.model import Question, Request
from equipoise.gateway.limits import Allowances, duration
from equipoise.gateway.problems import Problem


class Hand:
    """A clock that is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def asked(number: int = 1, tokens: int = 0) -> Request:
    return Request(id=f"r{number}", question=Question(messages=[]), input_tokens=tokens)


def ended(number: int = 1) -> RequestEnded:
    return RequestEnded(
        request_id=f"r{number}", route="auto", tenant="t", status=200, duration=1.0, attempts=1, cost=0,
        backend_id="a", stream=False,
    )  # fmt: skip


def test_a_key_over_its_questions_a_minute_is_told_when_to_come_again() -> None:
    """429 in OpenAI's form: code, Retry-After, and how much of each rate is left."""
    clock = Hand()
    them, caller = Allowances(clock), Caller(key="k", requests_per_minute=2)
    them.admit(caller, asked(1))
    them.admit(caller, asked(2))
    with pytest.raises(Problem) as refused:
        them.admit(caller, asked(3))
    problem = refused.value
    assert (problem.status, problem.code, problem.should_retry) == (429, "rate_limit_exceeded", True)
    fields = dict(problem.fields("r3"))
    assert fields[b"retry-after"] == b"30"
    assert fields[b"retry-after-ms"] == b"30000"
    assert fields[b"x-ratelimit-limit-requests"] == b"2"
    assert fields[b"x-ratelimit-remaining-requests"] == b"0"
    assert fields[b"x-ratelimit-reset-requests"] == b"1m0s"
    clock.now += 30.0
    them.admit(caller, asked(3))


def test_tokens_that_were_not_used_come_back_when_the_question_is_over() -> None:
    """Nine hundred were reserved and none was used: the next nine hundred fit."""
    them, caller = Allowances(Hand()), Caller(key="k", tokens_per_minute=1000, requests_per_minute=50)
    them.admit(caller, asked(1, 900))
    with pytest.raises(Problem, match="1000 tokens a minute"):
        them.admit(caller, asked(2, 900))
    assert dict(them.fields("k"))[b"x-ratelimit-remaining-requests"] == b"49"
    them.observe(ended(1))
    them.admit(caller, asked(3, 900))


def test_keys_do_not_share_and_who_has_no_limits_is_not_looked_at() -> None:
    """Each key has rates of its own; changed limits begin anew."""
    them, caller = Allowances(Hand()), Caller(key="k", requests_per_minute=1)
    them.admit(caller, asked(1))
    them.admit(Caller(key="other", requests_per_minute=1), asked(2))
    for number in range(100):
        them.admit(Caller(), asked(number))
    assert them.fields("") == []
    with pytest.raises(Problem):
        them.admit(caller, asked(3))
    them.admit(msgspec.structs.replace(caller, requests_per_minute=5), asked(4))


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.0, b"0ms"), (0.0124, b"12ms"), (1.5, b"1.5s"), (360.0, b"6m0s"), (75.25, b"1m15.25s")]
)
def test_durations_are_written_as_openai_writes_them(seconds: float, written: bytes) -> None:
    """So that its clients read them."""
    assert duration(seconds) == written

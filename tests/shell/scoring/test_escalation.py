"""An answer below the floor of a route that escalates is not given while a better backend can be asked."""

from __future__ import annotations

from typing import Any

import pytest

from equipoise.backends.base import BackendError
from equipoise.balancer import LoadBalancer, Reply
from equipoise.core.events import AnswerEscalated, AnswerScored, Event
from equipoise.core.model import Message, Question, Verdict
from equipoise.core.retry import RetryOptions
from equipoise.gateway import headers
from tests.fakes import ScriptedClient, answer, attempts_of, balancer
from tests.shell.scoring.test_scorer import GOOD, REFUSAL, scorer, with_scorer

QUESTION = "What is a metabolite?"
QUALITIES = {"cheap": {"quality": 0.8}, "strong": {"quality": 0.9}}


def house(weak: Any, strong: Any, *, escalate: bool = True, **options: Any) -> tuple[LoadBalancer, list[Event]]:
    clients = {"cheap": ScriptedClient(weak), "strong": ScriptedClient(strong)}
    it, events = balancer(
        clients, own=("cheap", "strong"), options=QUALITIES, min_quality=0.7, escalate=escalate, **options
    )
    of = with_scorer(it, scorer())
    of.calibration.priors = {"cheap": 0.8, "strong": 0.9}
    return it, events


def _question() -> Question:
    return Question(messages=[Message("user", QUESTION)])


async def asked(it: LoadBalancer) -> Reply:
    return await it.ask(QUESTION, strategy="round_robin")


async def test_a_better_backend_is_asked_and_both_are_booked() -> None:
    """The reply has the better answer, both attempts and their cost; the header says whose was not good enough."""
    it, events = house(answer(REFUSAL), answer(GOOD))
    reply = await asked(it)
    assert (reply.backend_id, reply.text) == ("strong", GOOD)
    assert [attempt.backend_id for attempt in reply.attempts] == ["cheap", "strong"]
    assert reply.cost == sum(record.outcome.cost for record in attempts_of(events))
    assert reply.quality is not None
    assert reply.quality > 0.7
    fields = dict(headers.of_reply("r", reply, None, 0.0))
    assert fields[b"x-equipoise-escalated-from"].startswith(b"cheap; quality=0.0")
    assert fields[b"x-equipoise-quality"] == b"%.3f" % reply.quality
    (told,) = [event for event in events if isinstance(event, AnswerEscalated)]
    assert (told.backend_id, told.floor) == ("cheap", 0.7)
    assert [event.attempt for event in events if isinstance(event, AnswerScored)] == [1, 2]


async def test_without_the_policy_the_answer_is_given() -> None:
    """Escalating costs money: it is said, or it is not done."""
    it, events = house(answer(REFUSAL), answer(GOOD), escalate=False)
    reply = await asked(it)
    assert (reply.backend_id, reply.quality, len(attempts_of(events))) == ("cheap", None, 1)


async def test_a_good_answer_is_given_at_once() -> None:
    """With its quality in the header."""
    it, events = house(answer(GOOD), answer(GOOD))
    reply = await asked(it)
    assert (reply.backend_id, len(attempts_of(events)), reply.escalated_from) == ("cheap", 1, None)
    assert reply.quality == pytest.approx(0.8)


async def test_a_poor_answer_is_better_than_an_error() -> None:
    """The better backend fails: the first answer is given, with the whole bill."""
    down = BackendError(Verdict.FAILURE, "down", status=500)
    it, events = house(answer(REFUSAL), down)
    reply = await asked(it)
    assert (reply.backend_id, reply.text, reply.fallback_from) == ("cheap", REFUSAL, None)
    assert reply.attempts[0].backend_id == "cheap"
    assert len(reply.attempts) == len(attempts_of(events)) > 1


async def test_a_refusal_of_the_best_is_escalated_too() -> None:
    """What is believed of a backend does not excuse this answer."""
    it, events = house(answer(GOOD), answer(REFUSAL))
    await asked(it)
    reply = await asked(it)
    assert (reply.backend_id, reply.escalated_from is not None) == ("cheap", True)
    assert len(attempts_of(events)) == 3


async def test_nobody_is_paid_who_is_believed_to_do_no_better() -> None:
    """The poor answer is given as it is."""
    it, events = house(answer(REFUSAL), answer(REFUSAL))
    for name in ("cheap", "strong"):
        for _ in range(200):
            it.selection.backends[name].quality.add(0.1, 0.0, it.request(_question())[0].kind)
    assert len((await asked(it)).attempts) == 1
    assert len(attempts_of(events)) == 1


async def test_escalations_are_within_the_budget_of_repetitions() -> None:
    """An outage of quality must not double the load."""
    it, events = house(answer(REFUSAL), answer(GOOD), retry=RetryOptions(share=0.0, floor_per_second=0.0, burst=0.0))
    assert (await asked(it)).backend_id == "cheap"
    assert len(attempts_of(events)) == 1


async def test_who_asks_for_one_backend_gets_that_one() -> None:
    """Pinned is pinned."""
    it, _ = house(answer(REFUSAL), answer(GOOD))
    assert (await it.ask(QUESTION, model="cheap")).backend_id == "cheap"

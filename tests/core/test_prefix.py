"""Prompts that begin alike stay with one backend, within bounds, where their route says so."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.accounting import answered
from equipoise.core.intake import Hints, Intake
from equipoise.core.model import Message, Question, Strategy
from equipoise.core.prefix import prefix_of
from equipoise.core.ring import ROOM
from equipoise.core.routing import Route, Router
from tests.fakes import FakeClock, answer, backend, request, selection

SYSTEM = Message("system", "You answer questions about one paper. " * 20)
LENGTH = len(SYSTEM.content or "")
TURNS = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=40)), max_size=6)


def asked(*texts: str, tools: list[dict[str, object]] | None = None) -> Question:
    turns = [Message("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(texts)]
    return Question(messages=[SYSTEM, *turns], tools=tools)


def test_what_begins_alike_has_one_prefix_however_it_goes_on():
    """A conversation keeps it from turn to turn; instructions alone make it where they are as long as what counts."""
    document = "The paper says a lot. " * 100
    first = asked(document)
    later = asked(document, "It is about water.", "And what else?")
    other = asked("Another paper. " * 100)
    assert prefix_of(first, 2_000) == prefix_of(later, 2_000) is not None
    assert prefix_of(first, 2_000) != prefix_of(other, 2_000)
    assert prefix_of(first, LENGTH) == prefix_of(other, LENGTH) is not None


def test_a_short_prompt_has_none():
    """It would change with every turn, and there is little to keep of it."""
    assert prefix_of(asked("Hi"), 2_000) is None
    assert prefix_of(Question(messages=[]), 1) is None


def test_tools_stand_before_the_turns():
    """Chat templates write them there: other tools, another beginning."""
    one, two = ([{"type": "function", "function": {"name": name}}] for name in ("search", "fetch"))
    assert prefix_of(asked("Hi", tools=one), 300) != prefix_of(asked("Hi", tools=two), 300)
    assert prefix_of(asked("Hi", tools=one), 300) == prefix_of(asked("Ho", tools=list(one)), 300)


@given(TURNS, TURNS, st.integers(1, 200))
def test_more_turns_never_change_what_there_was(turns: list[Message], more: list[Message], characters: int):
    """Whatever is said after it, a beginning of full length is the same one."""
    before = prefix_of(Question(messages=turns), characters)
    assert before is None or prefix_of(Question(messages=turns + more), characters) == before


@pytest.mark.parametrize("strategy", list(Strategy))
def test_prompts_that_begin_alike_meet_under_every_strategy(strategy: str):
    """Forty beginnings in turn: each is answered in one place, not all in the same; without one the strategy chooses."""
    it = selection([backend(name) for name in "abcd"], strategy, prefix_characters=100)
    seen: dict[int, set[str]] = {}
    for turn in range(400):
        lease = it.acquire(request(prefix=turn % 40))
        seen.setdefault(turn % 40, set()).add(lease.backend_id)
        assert lease.decision.probability == 1.0
        assert lease.decision.strategy == strategy
        it.settle(lease, answered(lease, answer(), lease.started + 0.5))
    assert {len(places) for places in seen.values()} == {1}
    assert len(set.union(*seen.values())) == 4
    assert "beginning" not in it.explain(request()).reason


def test_one_beginning_for_all_is_shared_within_the_bound():
    """When everybody asks with the same instructions nobody carries more than 1.25 times its share, and the reason says so."""
    it = selection([backend(name) for name in "abcd"], "weighted", prefix_characters=100)
    carried: Counter[str] = Counter()
    reasons = set()
    for number in range(1, 101):
        lease = it.acquire(request(prefix=7))
        carried[lease.backend_id] += 1
        reasons.add(lease.decision.reason.split(" backend ")[0])
        assert max(carried.values()) <= -(-ROOM * number // 4)
    assert reasons == {"its prompt's beginning stays here", "its prompt's beginning's"}


def test_a_session_goes_before_the_beginning_of_its_prompt():
    """Where both count, a session stays although its prompts begin otherwise."""
    it = selection([backend(name) for name in "abcdefgh"], "weighted", prefix_characters=100, sticky=True)
    assert len({it.explain(request(session="s", prefix=n)).backend_id for n in range(20)}) == 1
    assert len({it.explain(request(prefix=n)).backend_id for n in range(20)}) > 1


def test_of_many_backends_too_each_beginning_has_one():
    """In a tier that is only sampled the ring knows the place."""
    it = selection([backend(f"b{number:03}") for number in range(120)], "performance_based", prefix_characters=100)
    places = {n: {it.explain(request(prefix=n)).backend_id for _ in range(4)} for n in range(60)}
    assert {len(place) for place in places.values()} == {1}
    assert len(set.union(*places.values())) > 30


def test_a_route_that_does_not_ask_for_it_computes_nothing():
    """The beginning is read on routes that go by it, and only there."""
    routes = {
        name: Route(name=name, backends=("a",), strategy="weighted", prefix_characters=characters)
        for name, characters in (("auto", 0), ("chat", 50))
    }
    intake = Intake(Router(routes, ("a",)), lambda text: "general", clock=FakeClock(), chance=random.Random(1))
    question = asked("Hi")
    assert intake.request(question, Hints(model="auto"))[0].prefix is None
    assert intake.request(question, Hints(model="chat"))[0].prefix == prefix_of(question, 50)

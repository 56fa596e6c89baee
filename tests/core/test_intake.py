"""Everything that is asked for stands in the request, in its own place."""

from __future__ import annotations

import random

import pytest

from equipoise.core.intake import Hints, Intake
from equipoise.core.model import Message, Question, Request, Urgency
from equipoise.core.prefix import prefix_of
from equipoise.core.routing import Route, Router
from tests.fakes import FakeClock

ROUTE = Route(
    name="auto",
    backends=("a",),
    strategy="round_robin",
    timeout=60.0,
    min_quality=0.25,
    data_classes=frozenset({"route"}),
    prefix_characters=4,
)
HINTS = Hints(
    model="a",
    strategy="weighted",
    max_cost=7,
    deadline_seconds=2.5,
    tags=("tag",),
    session="session",
    tenant="tenant",
    key="key",
    budgets=("budget",),
    request_id="id",
    trace=((b"traceparent", b"00"),),
    repeatable=False,
    urgency=Urgency.BATCH,
    data_classes=frozenset({"hint"}),
)


def intake(clock: FakeClock) -> Intake:
    return Intake(Router({"auto": ROUTE}, ("a",)), str.lower, clock=clock, chance=random.Random(1))


def test_every_hint_and_size_has_its_place() -> None:
    """No value of one field stands in another."""
    clock = FakeClock()
    question = Question(
        messages=[Message("system", "Be brief."), Message("user", "WHY?"), Message("assistant", None)],
        max_tokens=9,
        options={"n": 3},
        tools=[{"type": "function"}],
    )
    assert intake(clock).request(question, HINTS) == (
        Request(
            id="id",
            question=question,
            route="auto",
            strategy="weighted",
            pinned="a",
            input_tokens=4,
            output_tokens=9,
            answers=3,
            needs=frozenset({"tools"}),
            min_quality=0.25,
            max_cost=7,
            deadline=clock.monotonic() + 2.5,
            tenant="tenant",
            session="session",
            tags=("tag",),
            kind="why?",
            features=(),
            repeatable=False,
            trace=((b"traceparent", b"00"),),
            key="key",
            budgets=("budget",),
            urgency=Urgency.BATCH,
            data_classes=frozenset({"hint", "route"}),
            prefix=prefix_of(question, 4),
        ),
        None,
    )


@pytest.mark.parametrize(
    ("content", "needs", "tokens"),
    [
        ("1234567", set(), 2),
        (None, set(), 0),
        ([{"type": "text", "text": "1234567"}], set(), 2),
        ([{"type": "text", "text": "1234"}, {"type": "image_url", "image_url": {"url": "x"}}], {"images"}, 2),
    ],
)
def test_parts_are_counted_like_text_and_pictures_are_needs(content: object, needs: set[str], tokens: int) -> None:
    """Whatever form the content of a turn has."""
    request, _ = intake(FakeClock()).request(Question(messages=[Message("user", content)]))  # type: ignore[arg-type]
    assert (request.needs, request.input_tokens) == (needs, tokens)


def test_what_the_client_counted_is_not_estimated() -> None:
    """Tokens that came as tokens, none of them included."""
    sized = [
        intake(FakeClock()).request(Question([Message("user", "words")], tokens=n))[0].input_tokens for n in (0, 70)
    ]
    assert sized == [0, 70]

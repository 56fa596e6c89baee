"""What a question is like is found once where questions come again."""

from __future__ import annotations

import random

from equipoise.core.intake import MOST_KNOWN, Hints, Intake
from equipoise.core.model import Message, Question
from equipoise.core.routing import CacheOptions, Route, Router
from tests.fakes import FakeClock


def intake(cache: CacheOptions | None, seen: list[str]) -> Intake:
    routes = {
        "auto": Route(name="auto", backends=("a",), strategy="adaptive_learning", cache=cache),
        "plain": Route(name="plain", backends=("a",), strategy="round_robin", cache=cache),
    }

    def features(text: str, kind: str) -> tuple[float, ...]:
        seen.append(text)
        return float(len(text)), float(len(kind))

    return Intake(Router(routes, ("a",)), str.lower, clock=FakeClock(), chance=random.Random(1), features=features)


def asked(of: Intake, text: str, model: str = "auto") -> tuple[str, tuple[float, ...]]:
    request, _ = of.request(Question(messages=[Message("user", text)]), Hints(model=model))
    return request.kind, request.features


def test_a_question_is_described_alike_with_and_without_a_cache() -> None:
    """Once where answers are kept, at each question elsewhere; never with features that its strategy has no use for."""
    kept_seen: list[str] = []
    plain_seen: list[str] = []
    kept, plain = intake(CacheOptions(), kept_seen), intake(None, plain_seen)
    for text in ("Why", "Why", "WHO", "Why", "\ud800"):
        assert asked(kept, text) == asked(plain, text) == (text.lower(), (float(len(text)),) * 2)
        assert asked(kept, text, "plain") == asked(plain, text, "plain") == (text.lower(), ())
    assert (len(kept_seen), len(plain_seen)) == (3, 5)


def test_what_is_remembered_has_a_bound() -> None:
    """However many questions come."""
    kept = intake(CacheOptions(), [])
    for number in range(MOST_KNOWN + 10):
        asked(kept, str(number))
    assert len(kept._known) <= MOST_KNOWN

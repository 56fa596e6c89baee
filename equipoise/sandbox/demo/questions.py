"""A hundred and more different questions, the same ones in every run with the same seed."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from equipoise.sandbox.facts_general import GENERAL, NEWS
from equipoise.sandbox.facts_metabolomics import METABOLOMICS

FORMS = (
    "What should a clinician know about {}?",
    "Explain {} in three sentences.",
    "Summarise the evidence on {}.",
    "How does {} matter in practice?",
    "Which pitfalls come with {}?",
)
NEWS_FORMS = ("What is the latest on {}?", "Any news about {}?")
STRATEGIES = (
    "cost_optimized",
    "performance_based",
    "quality_based",
    "health_aware",
    "round_robin",
    "weighted",
    "weighted_round_robin",
)
HINT_EVERY, STREAM_EVERY, HISTORY_EVERY = 4, 3, 10
"""Every fourth question asks for a strategy, every third is streamed, every tenth has a conversation before it."""


HISTORY = (("system", "Answer in plain words."), ("user", "May I ask something?"), ("assistant", "Of course."))


class DemoQuestion(msgspec.Struct, frozen=True):
    """One question as the client sends it."""

    number: int
    text: str
    stream: bool
    strategy: str | None
    history: tuple[tuple[str, str], ...] = ()

    def body(self) -> dict[str, Any]:
        """The chat completions body."""
        turns = [{"role": role, "content": content} for role, content in self.history]
        messages = [*turns, {"role": "user", "content": self.text}]
        options = {"stream": True, "stream_options": {"include_usage": True}} if self.stream else {}
        return {"model": "auto", "messages": messages, "max_tokens": 400} | options


def questions(count: int, seed: int) -> list[DemoQuestion]:
    """So many questions: two thirds on metabolomics, the rest general and news, well mixed."""
    chance = random.Random(seed)
    science = [form.format(cue) for form in FORMS for fact in METABOLOMICS for cue in fact.cues[:2]]
    other = [form.format(fact.cues[0]) for form in FORMS[:2] for fact in GENERAL]
    other += [form.format(cue) for form in NEWS_FORMS for fact in NEWS for cue in fact.cues[:3]]
    chance.shuffle(science)
    chance.shuffle(other)
    texts = [other[n // 3 % len(other)] if n % 3 == 2 else science[n % len(science)] for n in range(count)]
    return [_question(number, text) for number, text in enumerate(texts, 1)]


def _question(number: int, text: str) -> DemoQuestion:
    hint, hinted = divmod(number, HINT_EVERY)
    strategy = None if hinted else STRATEGIES[hint % len(STRATEGIES)]
    history = () if number % HISTORY_EVERY else HISTORY
    return DemoQuestion(number, text, number % STREAM_EVERY == 0, strategy, history)

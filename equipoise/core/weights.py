"""The specification's learned weights, beside what is really believed: a moving average a kind of question and backend.

What decides is the belief of core/learning.py. These are the numbers that operators of the earlier system know, from what
really happened: the share of attempts answered times the mean quality of the scored answers, within a window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from equipoise.core.events import AnswerScored, AttemptEnded, Event
from equipoise.core.model import Verdict

HOUR = 3600.0
LEAST, MOST = 0.1, 2.0
"""The specification's bounds."""

MOST_KINDS = 64
_SUCCESS = Verdict.SUCCESS
_ATTEMPTS = (_SUCCESS, Verdict.FAILURE, Verdict.NO_ANSWER)
USUAL_VARIANCE, AT_FIRST = 0.0625, 2
"""How much qualities are taken to scatter, worth two answers: one answer alone does not tell."""

Z95 = 1.96


class Bucket(msgspec.Struct):
    """One hour of one backend and kind: attempts, answers, scored answers, the sum of their qualities and of squares."""

    hour: int
    attempts: int = 0
    answers: int = 0
    scored: int = 0
    total: float = 0.0
    squares: float = 0.0


class Weight(msgspec.Struct):
    """A learned weight, and the hours it comes from; `performance` is None until an answer was scored."""

    weight: float
    hours: list[Bucket]
    performance: float | None = None
    half_width: float = 0.0
    answers: int = 0

    def row(self) -> dict[str, Any]:
        """For people: the weight, and what it follows with its 95 % interval."""
        known = self.performance is not None
        middle = self.performance or 0.0
        return {
            "weight": round(self.weight, 4),
            "performance": round(middle, 4) if known else None,
            "low": round(max(0.0, middle - self.half_width), 4) if known else None,
            "high": round(min(1.0, middle + self.half_width), 4) if known else None,
            "answers": self.answers,
        }


class SavedWeights(msgspec.Struct, frozen=True):
    """What is kept between processes."""

    weights: dict[str, dict[str, Weight]]


class LearnedWeights:
    """Follows performance by `rate` at every `adjust`; looks back `window` seconds. Tell it of every event."""

    def __init__(self, rate: float, window: float) -> None:
        self.rate, self.window = rate, window
        self.table: dict[str, dict[str, Weight]] = {}

    def observe(self, event: Event) -> None:
        """Take in an attempt that ended, or a score that came later; a better score replaces the earlier."""
        if type(event) is AttemptEnded:
            self._attempted(event)
        elif type(event) is AnswerScored:
            self._scored(event)

    def adjust(self, now: float) -> None:
        """Move every weight towards its performance. `now` is Unix seconds."""
        oldest = int((now - self.window) // HOUR)
        for rows in self.table.values():
            for weight in rows.values():
                _measure(weight, oldest)
                if weight.performance is not None:
                    moved = weight.weight + self.rate * (weight.performance - weight.weight)
                    weight.weight = min(MOST, max(LEAST, moved))

    def rows(self, least: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
        """Every weight by kind of question and backend, of those with so many scored answers in the window."""
        shown = {
            kind: {name: weight.row() for name, weight in rows.items() if weight.answers >= least}
            for kind, rows in self.table.items()
        }
        return {kind: rows for kind, rows in shown.items() if rows}

    def forget(self, backend_id: str) -> None:
        """Drop what is known of a backend that was removed."""
        for rows in self.table.values():
            rows.pop(backend_id, None)

    def state(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        told: dict[str, Any] = msgspec.to_builtins(SavedWeights(self.table))
        return told

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned; raises ValueError when it does not fit."""
        saved = msgspec.convert(dict(state), SavedWeights)
        numbers = [weight.weight for rows in saved.weights.values() for weight in rows.values()]
        if not all(LEAST <= number <= MOST for number in numbers):
            raise ValueError("a saved weight is out of bounds")
        self.table = saved.weights

    def _attempted(self, event: AttemptEnded) -> None:
        attempt = event.attempt
        verdict = attempt.outcome.verdict
        if verdict in _ATTEMPTS:
            bucket = self._bucket(attempt.decision.kind, attempt.backend_id, attempt.wall)
            bucket.attempts += 1
            bucket.answers += verdict is _SUCCESS

    def _scored(self, event: AnswerScored) -> None:
        bucket = self._bucket(event.kind, event.backend_id, event.wall)
        if event.replaces is None:
            bucket.scored += 1
        else:
            bucket.total -= event.replaces
            bucket.squares -= event.replaces * event.replaces
        bucket.total += event.quality
        bucket.squares += event.quality * event.quality

    def _bucket(self, kind: str, backend_id: str, wall: float) -> Bucket:
        if kind not in self.table and len(self.table) >= MOST_KINDS:
            kind = "general"
        rows = self.table.setdefault(kind, {})
        weight = rows.get(backend_id) or rows.setdefault(backend_id, Weight(1.0, []))
        hour = int(wall // HOUR)
        if not weight.hours or weight.hours[-1].hour < hour:
            weight.hours.append(Bucket(hour))
        return weight.hours[-1]


def _measure(weight: Weight, oldest: int) -> None:
    """Answers in the window and what they were worth, with the delta method's interval of a product."""
    weight.hours = [bucket for bucket in weight.hours if bucket.hour >= oldest]
    attempts, answers, scored = (
        sum(getattr(bucket, name) for bucket in weight.hours) for name in ("attempts", "answers", "scored")
    )
    weight.answers = scored
    if not scored:
        weight.performance = None
        return
    mean = sum(bucket.total for bucket in weight.hours) / scored
    squares = max(0.0, sum(bucket.squares for bucket in weight.hours) - scored * mean * mean)
    variance = (squares + AT_FIRST * USUAL_VARIANCE) / (scored + AT_FIRST - 1)
    share = answers / attempts if attempts else 1.0
    weight.performance = share * mean
    spread = share * share * variance / scored + mean * mean * share * (1.0 - share) / max(1, attempts)
    weight.half_width = Z95 * math.sqrt(spread)

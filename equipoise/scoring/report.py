"""Quality per dollar, by backend and kind of question, with how sure one may be of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from equipoise.core.model import NANO_PER_USD

ENOUGH = 30
"""Scored answers from which an interval by the normal approximation is worth printing."""

Z95 = 1.959964
ALL = "all"
NOT_ENOUGH, UNPRICED, FREE = "not enough data", "price unknown", "free"


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its 95 % interval."""

    mean: float
    low: float
    high: float


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One backend's answers to one kind of question.

    `quality` is the mean of the answers that were scored, `answered` the share of replies that were answers,
    `usd_per_answer` all attempts' cost per answer, `per_dollar` quality times answers a dollar. An estimate that the data
    do not bear is None, and `note` says why.
    """

    backend: str
    kind: str
    attempts: int
    answers: int
    scored: int
    judged: int
    rated: int
    answered: float | None
    quality: Interval | None
    usd_per_answer: Interval | None
    per_dollar: Interval | None
    note: str = ""


def lines(scored: Iterable[Mapping[str, Any]], spent: Iterable[Mapping[str, Any]]) -> list[Line]:
    """The report over sums by backend and kind (as the record of quality gives them), each backend's whole first."""
    opinions, money = _with_wholes(scored), _with_wholes(spent)
    found = [_line(*key, opinions.get(key, {}), money.get(key, {})) for key in opinions.keys() | money.keys()]
    return sorted(found, key=lambda line: (line.backend, line.kind != ALL, line.kind))


def _with_wholes(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        for kind in (ALL, row["kind"]):
            sums = found.setdefault((row["backend_id"], kind), {})
            for name, value in row.items():
                if name not in ("backend_id", "kind"):
                    sums[name] = sums.get(name, 0.0) + (value or 0)
    return found


def _line(backend: str, kind: str, opinions: Mapping[str, float], money: Mapping[str, float]) -> Line:
    scored, attempts = int(opinions.get("scored", 0)), int(money.get("attempts", 0))
    answers, silent = money.get("answers", 0.0), money.get("no_answers", 0.0)
    quality = _quality(scored, opinions) if scored >= ENOUGH else None
    cost = _cost_per_answer(attempts, answers, money)
    enough = quality is not None and attempts >= ENOUGH
    return Line(
        backend=backend,
        kind=kind,
        attempts=attempts,
        answers=int(answers),
        scored=scored,
        judged=int(opinions.get("judged", 0)),
        rated=int(opinions.get("rated", 0)),
        answered=answers / (answers + silent) if answers + silent else None,
        quality=quality,
        usd_per_answer=cost if attempts >= ENOUGH else None,
        per_dollar=_ratio(quality, cost) if quality is not None and enough else None,
        note=_note(enough, money, scored, attempts),
    )


def _note(enough: bool, money: Mapping[str, float], scored: int, attempts: int) -> str:
    if not enough:
        return f"{NOT_ENOUGH}: {scored} scored of {attempts} attempts, {ENOUGH} of each are needed"
    if money.get("unpriced"):
        return UNPRICED
    return "" if money.get("cost") else FREE


def _quality(count: int, sums: Mapping[str, float]) -> Interval:
    """The mean with both its doubts: answers differ, and each one's quality is itself estimated."""
    mean = sums["quality"] / count
    spread = max(0.0, sums["squared"] - count * mean * mean) / (count - 1)
    return interval(mean, math.sqrt((spread + sums["variance"] / count) / count), most=1.0)


def _cost_per_answer(attempts: int, answers: float, sums: Mapping[str, float]) -> Interval | None:
    """Dollars of all attempts per answer; None where some have no price."""
    if not attempts or not answers or sums.get("unpriced"):
        return None
    mean = sums["cost"] / attempts
    spread = max(0.0, sums["squared"] - attempts * mean * mean) / max(1, attempts - 1)
    scale = attempts / answers / NANO_PER_USD
    return interval(mean * scale, math.sqrt(spread / attempts) * scale)


def _ratio(quality: Interval, cost: Interval | None) -> Interval | None:
    """Quality a dollar; its relative variance is the sum of both relative variances (delta method)."""
    if cost is None or cost.mean <= 0.0 or quality.mean <= 0.0:
        return None
    mean = quality.mean / cost.mean
    parts = [(of.high - of.low) / 2.0 / Z95 / of.mean for of in (quality, cost)]
    return interval(mean, mean * math.hypot(*parts))


def interval(mean: float, error: float, most: float = math.inf) -> Interval:
    """Mean and 95 % interval from a standard error, never below 0 nor above `most`."""
    return Interval(mean, max(0.0, mean - Z95 * error), min(most, mean + Z95 * error))


def rows(of: Sequence[Line]) -> list[list[Any]]:
    """The report as a table for people."""
    return [
        [
            line.backend, line.kind, line.answers, line.scored, line.judged + line.rated,
            shown(line.quality, 2), shown(line.usd_per_answer, 6), shown(line.per_dollar, 0), line.note,
        ]
        for line in of
    ]  # fmt: skip


COLUMNS = ("backend", "kind", "answers", "scored", "labelled", "quality", "USD/answer", "quality/USD", "note")


def shown(of: Interval | None, digits: int) -> str | None:
    """Mean with half the width of its interval: 0.82 ± 0.03."""
    if of is None:
        return None
    return f"{of.mean:.{digits}f} ± {(of.high - of.low) / 2:.{digits}f}"

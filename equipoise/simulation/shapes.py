"""How long a modelled backend takes: drawn from what was measured, or around a median."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from equipoise.core.model import Chance

LEAST = 20
"""Measured answers below which a shape is not believed."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to the first token, seconds a token and tokens of one backend's answers.

    `measured` are whole answers (first token, seconds per token, tokens), drawn together so that what belongs together
    stays together. Without any they are log-normal around the two medians with deviation `spread`; `tokens` is then the
    mean length of an answer, None where the question decides.
    """

    measured: tuple[tuple[float, float, int], ...] = ()
    first_token: float = 0.3
    seconds_per_token: float = 1.0 / 60.0
    spread: float = 0.3
    tokens: int | None = None
    failure_rate: float = 0.0

    def draw(self, chance: Chance, tokens: int) -> tuple[float, float, int]:
        """Return seconds to the first token, seconds a token and the tokens of one answer."""
        if self.measured:
            return self.measured[int(chance.random() * len(self.measured))]
        bend = math.exp(chance.gauss(0.0, self.spread)) if self.spread else 1.0
        pace = math.exp(chance.gauss(0.0, self.spread)) if self.spread else 1.0
        return self.first_token * bend, self.seconds_per_token * pace, lengths(chance, self.tokens or tokens)


def lengths(chance: Chance, mean: int, deviation: float = 0.8) -> int:
    """Return a log-normal length around a mean, as real answers have it (0.8 fits the Azure conversation trace)."""
    return max(1, int(chance.lognormvariate(math.log(mean) - 0.5 * deviation**2, deviation)))


def fitted(answers: Sequence[tuple[float | None, float, int]], failures: int) -> Shape | None:
    """Return the shape of measured answers (first token or None, seconds in all, tokens), None of too few.

    Where the first token was not seen, it is taken as the median share of those where it was, or 30 %.
    """
    whole = [(first, seconds, tokens) for first, seconds, tokens in answers if tokens > 0 and seconds > 0.0]
    if len(whole) < LEAST:
        return None
    shares = sorted(first / seconds for first, seconds, _ in whole if first is not None)
    usual = shares[len(shares) // 2] if shares else 0.3
    heads = [(seconds * usual if first is None else min(first, seconds), seconds, t) for first, seconds, t in whole]
    measured = tuple((head, (seconds - head) / tokens, tokens) for head, seconds, tokens in heads)
    return Shape(measured=measured, failure_rate=failures / (failures + len(whole)))

"""Four dimensions as one number, over what could be known of them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from equipoise.core.model import Answer
from equipoise.scoring.answered import Answered
from equipoise.scoring.citing import citations
from equipoise.scoring.dimensions import Dimension, completeness, relevance, substance, support


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What each dimension counts; the specification's numbers."""

    relevance: float = 0.4
    support: float = 0.3
    completeness: float = 0.2
    citations: float = 0.1


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """An answer by the rules: `value` in [0, 1] over the known dimensions, `coverage` how much of their weight was known.

    `dimensions` holds the known ones only.
    """

    value: float
    coverage: float
    dimensions: dict[str, Dimension]

    @property
    def known(self) -> dict[str, float]:
        """The values of the known dimensions."""
        return {name: round(of.value, 4) for name, of in self.dimensions.items()}


SPECIFIED = Weights()
NOTHING_KNOWN = Score(value=0.5, coverage=0.0, dimensions={})


def score(
    question: str,
    answer: Answer,
    weights: Weights = SPECIFIED,
    closeness: Callable[[str, str], float] | None = None,
) -> Score:
    """Score an answer by the rules alone, in about half a millisecond and at most a few.

    value = substance * sum(weight * coverage * value) / sum(weight * coverage): what is no answer (a refusal, a heap of
    terms) has no quality, however well it is covered by sources. `closeness` gives an embedding's opinion of whether two
    texts are about the same, in [0, 1].
    """
    of = Answered(question, answer)
    close = None if closeness is None or not of.text else closeness(of.question, of.text)
    guard = substance(of)
    found = {
        "relevance": relevance(of, guard, close),
        "support": support(of),
        "completeness": completeness(of),
        "citations": citations(of),
    }
    known = {name: dimension for name, dimension in found.items() if dimension.coverage > 0.0}
    covered = {name: getattr(weights, name) * dimension.coverage for name, dimension in known.items()}
    weight = sum(covered.values())
    if weight <= 0.0:
        return NOTHING_KNOWN
    value = sum(covered[name] * dimension.value for name, dimension in known.items()) / weight
    total = sum(getattr(weights, name) for name in found)
    return Score(value=guard * value, coverage=weight / total, dimensions=known)

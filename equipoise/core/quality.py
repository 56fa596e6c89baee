"""What is believed of a backend's answers: a mean in [0, 1] with its uncertainty, shrunk to the configured prior."""

from __future__ import annotations

import math

PRIOR_SAMPLES = 10.0
PRIOR_VARIANCE = 0.04
MEMORY = 200.0


class Quality:
    """A running belief; the operator's `quality_score` counts like ten answers until real ones outweigh it.

    `error` is the standard error of `mean`, `low` their difference, never below 0. All three are kept ready, for they are
    read in every decision and change only when an answer was judged.
    """

    __slots__ = ("_samples", "_variance", "error", "low", "mean")

    def __init__(self, prior: float) -> None:
        self.mean = prior
        self._samples, self._variance = PRIOR_SAMPLES, PRIOR_VARIANCE
        self._settle()

    def add(self, score: float) -> None:
        """Take in the quality of one answer (0 for a reply that answered nothing)."""
        self._samples = min(self._samples + 1.0, MEMORY)
        difference = score - self.mean
        self.mean += difference / self._samples
        self._variance += (difference * (score - self.mean) - self._variance) / self._samples
        self._settle()

    def _settle(self) -> None:
        self.error = math.sqrt(self._variance / self._samples)
        self.low = max(0.0, self.mean - self.error)

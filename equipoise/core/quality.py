"""What is believed of a backend's answers: a mean in [0, 1] with its uncertainty, shrunk to the configured prior."""

from __future__ import annotations

import math

PRIOR_SAMPLES = 10.0
PRIOR_VARIANCE = 0.04
MEMORY = 200.0


class Quality:
    """A running belief; the operator's `quality_score` counts like ten answers until real ones outweigh it."""

    __slots__ = ("_variance", "mean", "prior", "samples")

    def __init__(self, prior: float) -> None:
        self.prior = self.mean = prior
        self.samples = PRIOR_SAMPLES
        self._variance = PRIOR_VARIANCE

    def add(self, score: float) -> None:
        """Take in the quality of one answer (0 for a reply that answered nothing)."""
        self.samples = min(self.samples + 1.0, MEMORY)
        difference = score - self.mean
        self.mean += difference / self.samples
        self._variance += (difference * (score - self.mean) - self._variance) / self.samples

    @property
    def standard_error(self) -> float:
        """The uncertainty of the mean."""
        return math.sqrt(self._variance / self.samples)

"""Who may say how good an answer was, how far to trust it, and whose word counts in the end."""

from __future__ import annotations

import msgspec

PROXY, JUDGE, FEEDBACK = "proxy", "judge", "feedback"
AUTOMATED, RATING, EXPERT = "automated", "rating", "expert"
FEEDBACK_TYPES = (RATING, EXPERT, AUTOMATED)

RANK = {"": 0, PROXY: 1, JUDGE: 2, AUTOMATED: 3, RATING: 4, EXPERT: 5}
"""Each replaces those below it, and an earlier one of its own kind."""

VARIANCE = {JUDGE: 0.02, AUTOMATED: 0.03, RATING: 0.04, EXPERT: 0.0025}
"""How far each is from what another of its kind would have said: a five-step rating by one step, roughly."""

WEIGHT = {JUDGE: 1.0, AUTOMATED: 1.0, RATING: 1.0, EXPERT: 4.0}
"""What each counts among the labels that calibrate."""


class Opinion(msgspec.Struct, frozen=True):
    """How good an answer was, in [0, 1], by one source; `by` is the kind of feedback, or the source again."""

    by: str
    quality: float
    variance: float
    dimensions: dict[str, float] = {}

    @property
    def source(self) -> str:
        """proxy, judge or feedback."""
        return self.by if self.by in (PROXY, JUDGE) else FEEDBACK


def opinion(by: str, quality: float, dimensions: dict[str, float] | None = None) -> Opinion:
    """A judge's or a person's opinion with the trust its kind deserves."""
    return Opinion(by, quality, VARIANCE[by], dimensions or {})

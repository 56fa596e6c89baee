"""What is known of a simulated question and, later, of its answer: what a strategy that learns goes by."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from equipoise.core.events import AnswerScored
from equipoise.core.features import USUAL, Describer
from equipoise.core.model import Request

USUAL_NUMBERS = {name: mean for name, (mean, _) in USUAL.items()}


class Scoring(msgspec.Struct, frozen=True):
    """A share of answers is scored, each so many seconds after it was given; questions differ by their kind alone.

    `described` has the features of each kind, for strategies that go by features.
    """

    share: float = 0.0
    after_seconds: float = 0.0
    described: Mapping[str, tuple[float, ...]] = {}

    def features(self, kind: str) -> tuple[float, ...]:
        """Those of a question of this kind; none where nothing learns."""
        return self.described.get(kind, ())

    def score(self, request: Request, backend_id: str, quality: float) -> AnswerScored:
        """An answer's quality, as a judge of right and wrong would tell it."""
        return AnswerScored(
            request_id=request.id,
            attempt=1,
            backend_id=backend_id,
            route=request.route,
            tenant=request.tenant,
            kind=request.kind,
            role=request.role,
            quality=quality,
            variance=0.0,
            source="judge",
        )


NO_SCORING = Scoring()


def described(kinds: Mapping[str, float], told_apart: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    """The features of an average question of each kind."""
    describer = Describer(kinds=told_apart)
    return {kind: describer.recalled(USUAL_NUMBERS, kind) for kind in kinds}

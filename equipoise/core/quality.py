"""What is believed of a backend's answers: a mean in [0, 1] with its uncertainty, shrunk to the configured prior."""

from __future__ import annotations

import math

PRIOR_SAMPLES = 10.0
PRIOR_VARIANCE = 0.04
MEMORY = 200.0
MOST_KINDS = 64


class Quality:
    """A running belief; the operator's `quality_score` counts like ten answers until judged ones outweigh it.

    Replies that answered nothing are worth 0: the belief about answers counts only in the share of replies that were
    answers. `error` is the standard error of `mean`, `low` their difference, never below 0. All three are kept ready, for
    they are read in every decision and change only when something was learned. `scored` counts the answers taken in.

    A kind of question with evidence of its own has a belief of its own (`of`, all in `kinds`), which begins as the whole's:
    an engine that is good for one kind is not held to what it does with another.
    """

    __slots__ = (
        "_answered",
        "_belief",
        "_replies",
        "_samples",
        "_variance",
        "error",
        "kinds",
        "low",
        "mean",
        "scored",
    )

    def __init__(self, prior: float) -> None:
        self._belief = prior
        self._samples, self._variance = PRIOR_SAMPLES, PRIOR_VARIANCE
        self._answered, self._replies = 1.0, PRIOR_SAMPLES
        self.scored = 0
        self.kinds: dict[str, Quality] = {}
        self._settle()

    def of(self, kind: str) -> Quality:
        """The belief about one kind of question; the whole where nothing is known of that kind."""
        return self.kinds.get(kind, self)

    def _own(self, kind: str | None) -> Quality | None:
        """The belief about a kind, begun if need be with what the whole believes now."""
        if kind is None:
            return None
        own = self.kinds.get(kind)
        if own is None and len(self.kinds) < MOST_KINDS:
            own = self.kinds[kind] = Quality(self._belief)
            own._answered = self._answered
            own._settle()
        return own

    def add(self, score: float, variance: float = 0.0, kind: str | None = None) -> None:
        """Take in the judged quality of one answer, the less the less certain it is itself."""
        if (own := self._own(kind)) is not None:
            own.add(score, variance)
        weight = PRIOR_VARIANCE / (PRIOR_VARIANCE + variance)
        self._samples = min(self._samples + weight, MEMORY)
        difference = score - self._belief
        self._belief += weight * difference / self._samples
        self._variance += weight * (difference * (score - self._belief) - self._variance) / self._samples
        self.scored += 1
        self._settle()

    def replace(
        self, former: float, former_variance: float, score: float, variance: float = 0.0, kind: str | None = None
    ) -> None:
        """A better opinion of an answer that was taken in before: as if that had never been said.

        belief' = (S belief - w former + w' score) / S' with S' = S - w + w', written as a correction.
        """
        if (own := self._own(kind)) is not None:
            own.replace(former, former_variance, score, variance)
        out = PRIOR_VARIANCE / (PRIOR_VARIANCE + former_variance)
        into = PRIOR_VARIANCE / (PRIOR_VARIANCE + variance)
        self._samples = min(max(PRIOR_SAMPLES, self._samples - out + into), MEMORY)
        change = into * (score - self._belief) - out * (former - self._belief)
        self._belief = min(1.0, max(0.0, self._belief + change / self._samples))
        self._settle()

    def replied(self, *, answered: bool, kind: str | None = None) -> None:
        """Take in whether a reply was an answer at all; that alone says nothing about how good an answer is."""
        own = self.kinds.get(kind) if answered and kind is not None else self._own(kind)
        if own is not None:
            own.replied(answered=answered)
        if self._replies < MEMORY:
            self._replies += 1.0
        if not answered or self._answered < 1.0:
            self._answered += (answered - self._answered) / self._replies
            self._settle()

    def _settle(self) -> None:
        share = self._answered
        doubt = math.sqrt(self._variance / self._samples)
        spread = self._belief * math.sqrt(share * (1.0 - share) / self._replies)
        self.mean = share * self._belief
        self.error = math.hypot(share * doubt, spread)
        self.low = max(0.0, self.mean - self.error)

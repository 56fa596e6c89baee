"""Finds a backend that goes on answering "200, nothing found" when it has lost its model or its embeddings.

One reply without an answer is no strike: questions may be off its topic. What counts is more of them than its own
usual share. Page's CUSUM weighs each reply by the likelihood ratio of "it has gone silent" to "as usual".
"""

from __future__ import annotations

import math

from equipoise.core.model import BackendType

SILENT = 0.8
USUAL = 0.05
USUAL_OF = {BackendType.LIGHTRAG: 0.5}
"""The usual share, until it has shown its own, of a backend that knows its documents and nothing else: where it is asked
of everything, most of that may be off its topic, which must not cost it the questions that only it can answer."""

MOST_USUAL = 0.6
PRIOR_REPLIES = 20.0
MEMORY = 200.0
CERTAIN = 8.0
"""Three empty replies in a row at a usual share of 5 % (3 * ln 16 = 8.3), five at 16 %; e^8 replies between two false
alarms, at least (Lorden's bound)."""


class Silence:
    """The usual share of replies that answer nothing, and the evidence that this has changed."""

    __slots__ = ("_replies", "evidence", "usual")

    def __init__(self, usual: float = USUAL) -> None:
        self.usual, self._replies, self.evidence = usual, PRIOR_REPLIES, 0.0

    def replied(self, *, answered: bool) -> bool:
        """Take in a reply; True when the backend has gone silent, whereupon the evidence begins anew."""
        if answered and not self.evidence:  # the usual case, and the shortest way
            if self._replies < MEMORY:
                self._replies += 1.0
            self.usual -= self.usual / self._replies
            return False
        usual = min(max(self.usual, 1.0 / MEMORY), MOST_USUAL)
        ratio = (1.0 - SILENT) / (1.0 - usual) if answered else SILENT / usual
        self.evidence = max(0.0, self.evidence + math.log(ratio))
        self._learn(0.0 if answered else 1.0)
        silent = self.evidence >= CERTAIN
        if silent:
            self.evidence = 0.0
        return silent

    def _learn(self, empty: float) -> None:
        if self._replies < MEMORY:
            self._replies += 1.0
        self.usual += (empty - self.usual) / self._replies

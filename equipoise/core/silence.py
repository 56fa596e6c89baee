"""Finds a backend that goes on answering "200, nothing found" when it has lost its model or its embeddings.

One reply without an answer is no strike: questions may be off its topic. What counts is more of them than its own
usual share. Page's CUSUM weighs each reply by the likelihood ratio of "it has gone silent" to "as usual".
"""

from __future__ import annotations

import math

from equipoise.core.model import BackendType

SILENT = 0.8
USUAL, PRIOR_REPLIES = 0.05, 20.0
"""The usual share until a backend has shown its own, and how many replies that counts for."""

GRAPH_USUAL, GRAPH_REPLIES = 0.3, 6.0
"""The same of one that knows its documents and nothing else: where it is asked of everything, most may be off its topic,
which must not cost it the questions that only it can answer. """

AT_FIRST = 5
"""Empty replies in a row that are silence in one that never gave an answer after an empty one: until then nothing speaks for
questions off its topic. It may be dead from the start, or have died early."""

MOST_USUAL = 0.6
MEMORY = 200.0
CERTAIN = 8.0
"""Three empty replies in a row at a usual share of 5 % (3 * ln 16 = 8.3), five at 16 %; e^8 replies between two false
alarms, at least (Lorden's bound)."""


class Silence:
    """The usual share of replies that answer nothing, and the evidence that this has changed."""

    __slots__ = ("_empty", "_replies", "evidence", "usual")

    def __init__(self, usual: float = USUAL, replies: float = PRIOR_REPLIES) -> None:
        self.usual, self._replies, self.evidence = usual, replies, 0.0
        self._empty: int | None = 0
        """Empty replies of its first run of them; None once an answer followed."""

    @classmethod
    def of(cls, kind: BackendType) -> Silence:
        """Nothing was seen yet of a backend of this kind."""
        return cls(GRAPH_USUAL, GRAPH_REPLIES) if kind is BackendType.LIGHTRAG else cls()

    def replied(self, *, answered: bool) -> bool:
        """Take in a reply; True when the backend has gone silent, whereupon the evidence begins anew."""
        if answered and self._empty:
            self._empty = None
        if answered and not self.evidence:  # the usual case, and the shortest way
            if self._replies < MEMORY:
                self._replies += 1.0
            self.usual -= self.usual / self._replies
            return False
        usual = min(max(self.usual, 1.0 / MEMORY), MOST_USUAL)
        ratio = (1.0 - SILENT) / (1.0 - usual) if answered else SILENT / usual
        self.evidence = max(0.0, self.evidence + math.log(ratio))
        self._learn(0.0 if answered else 1.0)
        silent = self.evidence >= CERTAIN or self._dead_early(answered=answered)
        if silent:
            self.evidence = 0.0
        return silent

    def _dead_early(self, *, answered: bool) -> bool:
        if answered or self._empty is None:
            return False
        self._empty = (self._empty + 1) % AT_FIRST
        return self._empty == 0

    def _learn(self, empty: float) -> None:
        if self._replies < MEMORY:
            self._replies += 1.0
        self.usual += (empty - self.usual) / self._replies

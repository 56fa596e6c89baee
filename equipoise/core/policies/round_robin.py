"""Everyone in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equipoise.core.model import Candidate, Chance, Choice, Request
from equipoise.core.policies.configured import NO_OPTIONS, Configured


class RoundRobin(Configured):
    """Choose whoever has waited longest for a turn, by id among those who never had one.

    A counter of turns, not an index into a list: while the same backends are eligible this is the strict cycle, and
    when they change (one leaves, one comes, another request may use fewer) nobody is skipped and nobody goes twice
    while another waits. A cursor would starve backends when requests with different eligible sets alternate.
    """

    sampling = "cycle"

    def __init__(self, *, chance: Chance, options: Mapping[str, float] = NO_OPTIONS) -> None:
        super().__init__(chance=chance, options=options)
        self._turn = 0
        self._last_turn: dict[str, int] = {}

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        last_turn = self._last_turn
        scores: dict[str, float] = {c.backend_id: last_turn.get(c.backend_id, 0) for c in candidates}
        least = min(scores.values())
        # Only backends that never had a turn can tie, and they go by id whatever their load: the cycle is strict.
        chosen = min(name for name, turn in scores.items() if turn == least)
        self._turn += 1
        last_turn[chosen] = self._turn
        return Choice(chosen, scores, f"next in turn among {len(scores)}")

    def forget(self, backend_id: str) -> None:
        """Drop the memory of a backend that was removed."""
        self._last_turn.pop(backend_id, None)

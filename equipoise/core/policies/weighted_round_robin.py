"""Everyone in turn, the heavier more often, evenly spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from equipoise.core.model import Candidate, Chance, Choice, Request
from equipoise.core.policies.configured import NO_OPTIONS, Configured


class WeightedRoundRobin(Configured):
    """Choose by nginx's smooth weighted round robin: exact shares over a cycle and no bursts.

    Each selection gives every candidate its effective weight as credit; the richest is chosen and pays the round's
    total: {a: 5, b: 1, c: 1} yields a a b a c a a. A failure takes weight / `max_fails` off the effective weight (not
    below zero), each later selection gives 1 back (ngx_http_upstream_get_peer). Credit and the lost share of the weight
    are kept, never the weight itself, so both survive a new weight and a backend's absence.
    """

    defaults = MappingProxyType({"max_fails": 1.0})
    sampling = "weight"
    divisors = frozenset({"max_fails"})

    def __init__(self, *, chance: Chance, options: Mapping[str, float] = NO_OPTIONS) -> None:
        super().__init__(chance=chance, options=options)
        self._credit: dict[str, float] = {}
        self._lost: dict[str, float] = {}

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        credit, lost = self._credit, self._lost
        total, chosen, richest = 0.0, "", float("-inf")
        scores: dict[str, float] = {}
        for c in candidates:
            name = c.backend_id
            effective = self._recovering(name, c.weight) if name in lost else c.weight
            scores[name] = credit[name] = wealth = credit.get(name, 0.0) + effective
            total += effective
            if wealth > richest or (wealth == richest and name < chosen):
                chosen, richest = name, wealth
        credit[chosen] -= total
        return Choice(chosen, scores, f"its turn by weight among {len(scores)}")

    def _recovering(self, name: str, weight: float) -> float:
        """Return the effective weight of this selection, and give 1 back for the next."""
        lost = self._lost[name]
        remaining = lost - 1.0 / weight if weight > 0.0 else 0.0
        if remaining > 0.0:
            self._lost[name] = remaining
        else:
            del self._lost[name]
        return weight * (1.0 - lost)

    def told(self, backend_id: str, ok: bool) -> None:
        """Take effective weight off a backend that failed; a success changes nothing, selections restore it."""
        if not ok and backend_id in self._credit:
            self._lost[backend_id] = min(1.0, self._lost.get(backend_id, 0.0) + 1.0 / self.options["max_fails"])

    def forget(self, backend_id: str) -> None:
        """Drop the memory of a backend that was removed."""
        self._credit.pop(backend_id, None)
        self._lost.pop(backend_id, None)

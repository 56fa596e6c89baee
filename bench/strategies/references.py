"""Rules of other balancers to compare with, over the same selection."""

from __future__ import annotations

from collections.abc import Sequence

from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies import Configured, PolicyMaker


class PowerOfTwo(Configured):
    """Two at random, the one with fewer in flight; blind to size."""

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        pair = self.chance.sample(candidates, min(2, len(candidates)))
        chosen = min(pair, key=lambda c: c.in_flight)
        return Choice(chosen.backend_id, {}, "fewer in flight of two")


class WeightedLeastRequest(Configured):
    """The greatest weight / (in flight + 1) of all, told the true capacities as weights."""

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        chosen = max(candidates, key=lambda c: c.weight / (c.in_flight + 1))
        return Choice(chosen.backend_id, {}, "least requests for its weight")


REFERENCES: dict[str, PolicyMaker] = {"P2C": PowerOfTwo, "weighted least request": WeightedLeastRequest}

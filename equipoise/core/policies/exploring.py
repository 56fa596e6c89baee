"""A floor under every strategy: each good enough backend is tried now and then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from equipoise.core.model import Candidate, Chance, Choice, Policy, Request
from equipoise.core.policies.comparing import good_enough


class Exploring:
    """Follow a policy, but send the share `floor` of decisions evenly to all that are good enough.

    The probabilities stay exact: (1 - floor) of the policy's own, plus floor / n. Without support like this nothing can
    be said later about what another strategy would have done.
    """

    def __init__(self, policy: Policy, *, floor: float, chance: Chance) -> None:
        if not 0.0 < floor <= 1.0:
            raise ValueError(f"exploration_floor lies between 0 and 1: {floor}")
        self.policy, self.floor, self._chance = policy, floor, chance

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        choice = self.policy.choose(candidates, request)
        explored = good_enough(candidates, request) or candidates
        probabilities = self._mixed(choice, candidates, explored)
        chosen, reason = choice.backend_id, choice.reason
        if self._chance.random() < self.floor:
            chosen = explored[int(self._chance.random() * len(explored))].backend_id
            reason = f"exploring {self.floor:.1%} of requests ({choice.backend_id} otherwise: {choice.reason})"
        return Choice(chosen, choice.scores, reason, probabilities[chosen], probabilities)

    def _mixed(
        self, choice: Choice, candidates: Sequence[Candidate], explored: Sequence[Candidate]
    ) -> dict[str, float]:
        own = choice.probabilities or {choice.backend_id: 1.0}
        kept, share = 1.0 - self.floor, self.floor / len(explored)
        probabilities = {c.backend_id: kept * own.get(c.backend_id, 0.0) for c in candidates}
        for c in explored:
            probabilities[c.backend_id] += share
        return probabilities

    def __getattr__(self, name: str) -> Any:
        """Offer whatever else the policy offers (learn, told, forget, state, ...): the floor adds nothing to those."""
        if name == "policy":
            raise AttributeError(name)
        return getattr(self.policy, name)

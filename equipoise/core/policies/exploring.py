"""A floor under every strategy: each good enough backend is tried now and then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from equipoise.core.model import Candidate, Chance, Choice, Policy, Request
from equipoise.core.policies.comparing import draw, good_enough


class Exploring:
    """Follow a policy, but send the share `floor` of decisions evenly to all that are good enough.

    The probabilities stay exact: (1 - floor) of the policy's own, plus floor / n. Without support like this nothing can
    be said later about what another strategy would have done. A policy with a budget may say how much of its part of the
    floor each candidate is given (`affordable`, shares in [0, 1]); what is not given stays the policy's own.
    """

    def __init__(self, policy: Policy, *, floor: float, chance: Chance) -> None:
        if not 0.0 < floor <= 1.0:
            raise ValueError(f"exploration_floor lies between 0 and 1: {floor}")
        self.policy, self.floor, self._chance = policy, floor, chance
        self.sampling: str = getattr(policy, "sampling", "pair")  # asked in every decision
        self._affordable: Callable[[Candidate], float] = getattr(policy, "affordable", _all_of_it)

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        choice = self.policy.choose(candidates, request)
        explored = good_enough(candidates, request) or candidates
        shares = {c.backend_id: self.floor / len(explored) * self._affordable(c) for c in explored}
        floor = sum(shares.values())
        probabilities = _mixed(choice, candidates, shares, floor)
        chosen, reason = choice.backend_id, choice.reason
        if self._chance.random() < floor:
            chosen = draw({name: share / floor for name, share in shares.items()}, self._chance)
            reason = f"exploring {floor:.1%} of requests ({choice.backend_id} otherwise: {choice.reason})"
        return Choice(chosen, choice.scores, reason, probabilities[chosen], probabilities)

    def __getattr__(self, name: str) -> Any:
        """Offer whatever else the policy offers (told, scored, forget, state, ...): the floor adds nothing to those."""
        if name == "policy" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.policy, name)


def _all_of_it(candidate: Candidate) -> float:
    return 1.0


def _mixed(
    choice: Choice, candidates: Sequence[Candidate], shares: Mapping[str, float], floor: float
) -> dict[str, float]:
    own = choice.probabilities or {choice.backend_id: 1.0}
    return {
        c.backend_id: (1.0 - floor) * own.get(c.backend_id, 0.0) + shares.get(c.backend_id, 0.0) for c in candidates
    }

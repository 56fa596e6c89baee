"""A lottery by weight."""

from __future__ import annotations

from collections.abc import Sequence

from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies.comparing import draw
from equipoise.core.policies.configured import Configured


class Weighted(Configured):
    """Choose at random with probability weight / sum of weights, exactly.

    Memoryless, so the logged probability is the whole truth about a decision: the best record to replay other
    strategies on. Without any weight left (all zero) everyone is equally likely.
    """

    sampling = "weight"

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        scores = {c.backend_id: c.weight for c in candidates}
        total = sum(scores.values())
        probabilities = (
            {name: weight / total for name, weight in scores.items()}
            if total > 0.0
            else dict.fromkeys(scores, 1.0 / len(scores))
        )
        chosen = draw(probabilities, self.chance)
        probability = probabilities[chosen]
        reason = f"drawn by weight: {probability:.0%} of {len(scores)} candidates' traffic"
        return Choice(chosen, scores, reason, probability, probabilities)

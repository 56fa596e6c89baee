"""How much a backend of whom nothing is known may be tried, and what that may cost."""

from __future__ import annotations

from collections.abc import Sequence

from equipoise.core.model import NanoUSD


class Newcomers:
    """Gives backends that joined a small share of questions, while they cost less than half that share of all money.

    Thompson sampling tries what might be best; whom the prior makes look poor it would never meet.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.spent: float = 0
        self.spent_on_new: float = 0

    def paid(self, cost: NanoUSD, *, new: bool) -> None:
        """Take one settled cost into account."""
        self.spent += cost
        self.spent_on_new += cost if new else 0

    def let_in(self, probabilities: dict[str, float], new: Sequence[str]) -> dict[str, float]:
        """Return the probabilities with the newcomers' share mixed in; they sum to what they summed to."""
        present = [name for name in new if name in probabilities]
        if not present or self.share <= 0.0 or self.spent_on_new > 0.5 * self.share * self.spent:
            return probabilities
        kept, each = 1.0 - self.share, self.share / len(present)
        mixed = {name: kept * own for name, own in probabilities.items()}
        for name in present:
            mixed[name] += each
        return mixed

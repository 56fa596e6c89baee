"""How much a backend of whom nothing is known may be tried, and what that may cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from equipoise.core.model import NanoUSD


class Newcomers:
    """Gives backends that joined a small share of questions, while they cost less than half that share of all money.

    Thompson sampling would never meet whom the prior makes look poor, and send most questions to whom it flatters.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.spent: float = 0
        self.spent_on_new: float = 0

    def paid(self, cost: NanoUSD, *, new: bool) -> None:
        """Take one settled cost into account."""
        self.spent += cost
        self.spent_on_new += cost if new else 0

    def let_in(self, probabilities: Mapping[str, float], new: Sequence[str]) -> dict[str, float]:
        """Return the probabilities of the known with the newcomers' share beside them; they sum to what they summed to."""
        share = self.share if self.spent_on_new <= 0.5 * self.share * self.spent else 0.0
        mixed = {name: (1.0 - share) * own for name, own in probabilities.items()}
        return mixed | dict.fromkeys(new, share / len(new))


def apart(present: Iterable[str], newcomers: Collection[str]) -> tuple[list[str], list[str]]:
    """Return who is known and who is new, of those present; where nobody is known, nobody is new."""
    names = list(present)
    known = [name for name in names if name not in newcomers]
    return (known, [name for name in names if name in newcomers]) if known else (names, [])

"""The soonest complete answer."""

from __future__ import annotations

from collections.abc import Sequence

from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies.comparing import excess_of, lowest, seconds_of, with_room
from equipoise.core.policies.configured import Configured


class PerformanceBased(Configured):
    """Choose the soonest expected answer among backends below their concurrency limit; the least overloaded if none is.

    The limit of each backend says when it is hot (a quantile of requests in flight over all of them, as Prequal takes,
    means nothing for five backends). Below it speed decides and load does not, so the fast ones are filled first; above
    it only the excess counts. Hot and cold are compared lexicographically: a mix of both numbers is worse than either.
    """

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        cold = with_room(candidates)
        if cold:
            scores = seconds_of(cold)
            chosen = lowest(cold, scores)
            seconds = scores[chosen.backend_id]
            reason = f"soonest answer expected among {len(cold)} below their limit: {seconds:.3g} s"
        else:
            scores = excess_of(candidates)
            chosen = lowest(candidates, scores)
            reason = f"all {len(scores)} at their limit; the least overloaded has {chosen.in_flight} in flight"
        return Choice(chosen.backend_id, scores, reason)

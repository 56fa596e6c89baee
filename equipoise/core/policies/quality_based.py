"""The most surely good answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from equipoise.core.model import Candidate, Choice, Request
from equipoise.core.policies.comparing import good_enough, least_overloaded, lowest, seconds_of, with_room
from equipoise.core.policies.configured import Configured


def soonest(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate whose answer is expected first."""
    return lowest(candidates, seconds_of(candidates))


class QualityBased(Configured):
    """Choose the highest lower bound of quality at or above the request's floor, the sooner answer among equals.

    The bound is the mean minus one standard deviation, so a lucky newcomer does not beat a proven backend. A backend at
    its concurrency limit waits until it has room: what it does not take goes to the next best. Qualities within `tolerance`
    count as equal: no measurement tells them apart, and speed does. While spending is paced, what
    each would cost is taken off its quality. A small exploration floor keeps the estimates of those not chosen alive.
    """

    defaults = MappingProxyType({"tolerance": 0.01})
    exploration_floor = 0.01

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        scores = {c.backend_id: c.quality_low - c.penalty for c in candidates}
        enough = good_enough(candidates, request)
        compared = with_room(enough) or with_room(candidates if not enough else ())
        if not compared:
            return self._overloaded(enough or candidates, scores)
        bar = max([scores[c.backend_id] for c in compared]) - self.options["tolerance"]
        best = [c for c in compared if scores[c.backend_id] >= bar]
        chosen = best[0] if len(best) == 1 else soonest(best or compared)
        return Choice(chosen.backend_id, scores, self._reason(chosen, len(best), bool(enough), request))

    @staticmethod
    def _overloaded(candidates: Sequence[Candidate], scores: dict[str, float]) -> Choice:
        chosen = least_overloaded(candidates)
        reason = f"all {len(candidates)} with enough quality are at their limit; this one has the least excess"
        return Choice(chosen.backend_id, scores, reason)

    @staticmethod
    def _reason(chosen: Candidate, equals: int, enough: bool, request: Request) -> str:
        if not enough:
            return f"nobody reaches quality {request.min_quality:.2f}; the best has {chosen.quality_low:.2f}"
        if chosen.penalty > 0.0:
            return f"best quality for its price while spending is paced: {chosen.quality_low:.2f} less {chosen.penalty:.2f}"
        if equals > 1:
            return f"soonest of {equals} with the best quality, at least {chosen.quality_low:.2f}"
        return f"best quality, at least {chosen.quality_low:.2f}"

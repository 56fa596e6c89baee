"""Kept answers of other gateways: looked for when there is none here, and given to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from equipoise.gateway.given import Kept
from equipoise.gateway.lookup import Lookup
from equipoise.gateway.packing import packed, unpacked
from equipoise.stores.shared_answers import Place, SharedAnswers

if TYPE_CHECKING:
    from equipoise.core.model import Request as Sized


class Elsewhere:
    """The answers of a fleet. An answer grows old by the fleet's clock: `wall` and what Redis is ahead of it."""

    def __init__(
        self,
        answers: SharedAnswers,
        *,
        most_bytes: int,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.answers, self._most, self._now, self._wall = answers, most_bytes, now, wall

    async def find(self, sized: Sized, found: Lookup) -> Kept | None:
        """What is kept for this question; None for nothing, for what cannot be read, and when it takes too long."""
        assert found.key is not None
        data, found.purges = await self.answers.get(Place(sized.tenant, sized.route, found.key))
        if data is None:
            return None
        clocks = {"now": self._now(), "wall": self._fleet_time()}
        return unpacked(data, found.key, sized.tenant, sized.route, **clocks, most=self._most)

    def keep(self, found: Lookup, kept: Kept) -> None:
        """Give others this answer, for as long as it may be given again.

        Where it was not looked for (it was to be asked anew), it counts from the purges that are known here: after each,
        what was in flight is not kept at all.
        """
        purges = self.answers.seen if found.purges is None else found.purges
        if found.key is None or found.options is None or purges is None:
            return
        pack = partial(packed, kept, found.key, self._fleet_time())
        seconds = found.options.ttl + found.options.stale
        self.answers.put(Place(kept.tenant, kept.route, found.key), purges, kept.reply.corpus, pack, seconds)

    def _fleet_time(self) -> float:
        return self._wall() + self.answers.link.skew

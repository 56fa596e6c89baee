"""What each side did, counted in memory and added to the store twice a second."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from equipoise.canary.evidence import is_evidence
from equipoise.core.attempts import Unanswered
from equipoise.core.events import AnswerScored
from equipoise.core.model import CostSource
from equipoise.core.rollout import CONTROL, Evidence
from equipoise.migration.settings import TOPIC
from equipoise.reply import Reply
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import StateStore


class Tallies:
    """Sums per era and role. Counting touches memory only."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._pending: dict[tuple[int, str], dict[str, float]] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def answered(self, era: int, reply: Reply) -> None:
        """A question of `reply.role` was answered. An old side that costs nothing has an unknown price."""
        sums = self._of(era, reply.role)
        sums["requests"] += 1
        sums["answered"] += 1
        sums["seconds"] += reply.duration
        if reply.cost_source is not CostSource.UNPRICED and (reply.cost > 0 or reply.role != CONTROL):
            sums["cost"] += reply.cost
            sums["costed"] += 1

    def unanswered(self, era: int, role: str, error: Unanswered) -> None:
        """A question was not answered; some of these say nothing about the side."""
        if is_evidence(role, error):
            self.failed(era, role)

    def failed(self, era: int, role: str) -> None:
        """A question of this role was not answered."""
        self._of(era, role)["requests"] += 1

    def scored(self, era: int, event: AnswerScored) -> None:
        """An answer's quality became known, or better known."""
        sums = self._of(era, event.role)
        sums["quality"] += event.quality - (event.replaces or 0.0)
        sums["scored"] += event.replaces is None

    def add(self, era: int, role: str, **amounts: float) -> None:
        """Add to other sums of a role."""
        sums = self._of(era, role)
        for name, amount in amounts.items():
            sums[name] += amount

    async def flush(self) -> None:
        """Write what was counted, beside the loop; on a StoreError it stays counted.

        A caller that is cancelled leaves the writing to its end: what was half written would be counted twice.
        """
        writing = asyncio.create_task(self._write(), name="tallies")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)

    async def _write(self) -> None:
        async with self._turn:
            taken, self._pending = self._pending, {}
            while taken:
                era, role = next(iter(taken))
                amounts = {f"{role}.{name}": amount for name, amount in taken[era, role].items()}
                try:
                    await asyncio.to_thread(self._store.add, TOPIC, era, amounts)
                except StoreError:
                    self._give_back(taken)
                    raise
                del taken[era, role]

    def _of(self, era: int, role: str) -> dict[str, float]:
        sums = self._pending.get((era, role))
        if sums is None:
            sums = self._pending[era, role] = defaultdict(float)
        return sums

    def _give_back(self, taken: Mapping[tuple[int, str], Mapping[str, float]]) -> None:
        for (era, role), amounts in taken.items():
            self.add(era, role, **amounts)


def evidence(sums: Mapping[str, float], role: str) -> Evidence:
    """The sums of one role as evidence."""

    def whole(name: str) -> int:
        return int(sums.get(f"{role}.{name}", 0))

    return Evidence(
        requests=whole("requests"),
        answered=whole("answered"),
        seconds=sums.get(f"{role}.seconds", 0.0),
        cost=whole("cost"),
        costed=whole("costed"),
        quality=sums.get(f"{role}.quality", 0.0),
        scored=whole("scored"),
    )

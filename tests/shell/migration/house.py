"""A move with scripted sides, a clock that is told the time, and a store in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equipoise.backends.base import BackendError
from equipoise.core.events import AttemptEnded
from equipoise.core.model import Verdict
from equipoise.core.rollout import Criteria
from equipoise.migration import Check, Migration, Order, Settings, side_by_side
from equipoise.stores.state import StateStore
from tests.fakes import FakeClock, ScriptedClient, answer, balancer

DOWN = BackendError(Verdict.FAILURE, "connection refused", sent=False)
BROKEN = BackendError(Verdict.FAILURE, "internal error", status=500)
PENDING = {"cost_efficiency_ratio": "Money", "quality_score_minimum": "Learning"}
FILE = "state.sqlite3"


class House:
    """`old` and `new` are the scripted clients of both sides, `attempts` what the observers were told."""

    def __init__(
        self,
        folder: Path,
        *,
        old: Any = None,
        new: ScriptedClient | None = None,
        checks: list[Check] | None = None,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        self.old = old or ScriptedClient(answer("the old words"))
        self.new = new or ScriptedClient(answer("the new words"))
        self.checks = checks if checks is not None else [Check("everything", "ok", "looked at")]
        self.store = StateStore(folder / FILE, wall=self.clock.wall)
        settings.setdefault("criteria", Criteria(minimum_requests=5))
        candidate, self.events = balancer({"a": self.new}, clock=self.clock)
        self.migration: Migration = side_by_side(
            candidate,
            self.old,
            store=self.store,
            settings=Settings(pending=PENDING, **settings),
            checks=self._look,
            wall=self.clock.wall,
        )
        self.balancer = self.migration.balancer

    async def _look(self) -> list[Check]:
        return self.checks

    @property
    def attempts(self) -> list[Any]:
        return [event.attempt for event in self.events if isinstance(event, AttemptEnded)]

    async def to(self, phase: int, **order: Any) -> dict[str, Any]:
        """Order a phase."""
        return await self.migration.apply(Order(phase=phase, who="ann", why="because", **order))

    async def ask(self, count: int) -> list[str]:
        """So many people ask; the sides that answered them."""
        return [(await self.balancer.ask("What is it?", session=f"s-{number}")).role for number in range(count)]

    async def journal(self) -> list[str]:
        """What the journal says, oldest first."""
        return [entry["what"] for entry in reversed((await self.migration.status())["journal"])]

    async def refreshed(self) -> int:
        """The phase as it is stored."""
        return (await self.migration._keeping.refresh()).phase

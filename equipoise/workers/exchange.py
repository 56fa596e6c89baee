"""What processes that serve together tell each other, and by whom: one interface, whoever carries it.

Between the workers of one gateway a parent carries it over sockets (`member`, `hub`). Nothing here is waited for on the
way of a question: reports and hints go out beside it, and slices of limits are asked for when one's own is used up.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from equipoise.core.hinting import Hint
from equipoise.core.sharing import Shared
from equipoise.telemetry.totals import Snapshot, Totals

__all__ = ["REPORT_SECONDS", "Exchange", "Hint", "Lenders", "Report", "Shares", "Wish"]

REPORT_SECONDS = 0.25
"""Between two reports: what a process counted that is killed, and that nobody has seen yet, is lost for at most so long."""


class Report(msgspec.Struct):
    """What one process knows. `status` and `learning` are documents for people and only filled where they were asked for."""

    snapshot: Snapshot = msgspec.field(default_factory=lambda: Snapshot(Totals()))
    status: dict[str, Any] = {}
    learning: dict[str, Any] = {}
    shares: dict[str, int] = {}


class Wish(msgspec.Struct, frozen=True):
    """Some more of a limit, of which `whole` is shared out over all; at least `need` units are of any use."""

    name: str
    whole: int
    need: int


class Shares(Protocol):
    """What is held here of limits that are shared out."""

    def attach(self, name: str, whole: int, limit: Shared) -> None:
        """This limit is used here: give it its share."""


class Lenders(Protocol):
    """The others, who may have some to spare."""

    async def more(self, wishes: list[Wish]) -> dict[str, int]:
        """Ask for more of limits whose share is used up; gives what was granted, by name."""


class Exchange(Lenders, Protocol):
    """Where a process reports, hints and asks for shares. None of it raises where nobody is there: then one is alone."""

    def report(self, report: Report) -> None:
        """What is known here, in place of what was reported before."""

    def hint(self, hint: Hint) -> None:
        """Tell the others of a breaker."""

"""Looks again and again at what is wrong and has it told; listens to events in between."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from equipoise.core.alert_rules import HEARD, TEST, AlertRules
from equipoise.core.alerting import Alert, Board, Change, Condition, Notice, Severity
from equipoise.core.events import Event, hears
from equipoise.telemetry.alerts.forms import headline
from equipoise.telemetry.alerts.outbox import Outbox

logger = logging.getLogger("equipoise.alerts")
Rows = Callable[[], Sequence[Mapping[str, Any]]]
LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING}
MOST_ANNOUNCED = 1_000


class History(Protocol):
    """The record of what was told; does not raise."""

    async def record(self, notices: list[Notice], active: list[Alert]) -> None: ...

    async def history(self, limit: int) -> list[Notice]: ...

    async def active(self) -> list[Alert]: ...


class AlertDesk:
    """Runs beside the questions from `start` to `close`. `facts` tells of the machine and the ledger, see AlertRules."""

    def __init__(
        self,
        rules: AlertRules,
        board: Board,
        outbox: Outbox,
        history: History,
        *,
        rows: Rows,
        facts: Callable[[], Awaitable[Mapping[str, float]]],
        interval: float = 15.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.rules, self.board, self.outbox = rules, board, outbox
        self._history, self._rows, self._facts = history, rows, facts
        self._interval, self._wall = interval, wall
        self._announced: list[Notice] = []
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @hears(*HEARD)
    def observe(self, event: Event) -> None:
        """Take in an event. Never waits; what is urgent is looked at soon."""
        condition = self.rules.observe(event, self._wall())
        if condition is not None and len(self._announced) < MOST_ANNOUNCED:
            self._announced.append(self.board.announce(condition, self._wall()))
        if condition is not None or self.rules.urgent:
            self.rules.urgent = False
            self._hurry.set()

    async def start(self) -> None:
        """Go on where an earlier process ended."""
        self.board.restore(await self._history.active())
        await self.outbox.start()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="alerts")

    async def close(self) -> None:
        """Tell what was just announced, stop, and keep what could not be delivered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._tell(self._taken())
        await self.outbox.close()

    async def look(self) -> list[Notice]:
        """Look once; gives what is told."""
        facts = await self._facts()
        conditions = self.rules.conditions(self._rows(), facts, self._wall())
        notices = self._taken() + self.board.look(conditions, self._wall())
        await self._tell(notices)
        return notices

    async def acknowledge(self, alert_id: str, who: str) -> Alert | None:
        """No more reminders of this one; None where no such alert is active."""
        alert = self.board.acknowledge(alert_id, who)
        if alert is not None:
            logger.info("an alert was acknowledged", extra={"alert": alert.id, "rule": alert.rule, "who": who})
            await self._history.record([], self.board.active())
        return alert

    async def test(self, receiver: str | None) -> list[str]:
        """Send a test notice to one receiver or to all; gives their names. Raises KeyError for one there is not."""
        names = [row["name"] for row in self.outbox.status()]
        if receiver is not None and receiver not in names:
            raise KeyError(receiver)
        condition = Condition(rule=TEST, severity=Severity.INFO, message="this is a test: nothing is wrong")
        notice = self.board.announce(condition, self._wall())
        for name in [receiver] if receiver else names:
            await self.outbox.put(notice, name)
        return [receiver] if receiver else names

    async def status(self, limit: int = 50) -> dict[str, Any]:
        """What is wrong now, who is told, and what was told lately."""
        active = [msgspec.to_builtins(alert) for alert in self.board.active()]
        history = [msgspec.to_builtins(notice) for notice in await self._history.history(limit)]
        return {"active": active, "receivers": self.outbox.status(), "history": history}

    def _taken(self) -> list[Notice]:
        taken, self._announced = self._announced, []
        return taken

    async def _run(self) -> None:
        while True:
            await self.look()
            try:
                async with asyncio.timeout(self._interval):
                    await self._hurry.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(min(0.2, self._interval))  # events come in crowds: one look for all of them
            self._hurry.clear()

    async def _tell(self, notices: list[Notice]) -> None:
        if not notices:
            return
        for notice in notices:
            level = (
                logging.INFO if notice.change is Change.RESOLVED else LEVELS.get(notice.alert.severity, logging.ERROR)
            )
            logger.log(level, headline(notice), extra={"alert": notice.alert.id, "change": notice.change.value})
        await self._history.record(notices, self.board.active())
        for notice in notices:
            await self.outbox.put(notice)

"""A worker's side of the exchange: it reports, hears hints, follows changes, and answers the parent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from equipoise.core.events import BackendChanged, Event, hears
from equipoise.gateway.problems import Problem
from equipoise.gateway.together import Silent
from equipoise.http import Request, Response
from equipoise.telemetry.totals import Snapshot
from equipoise.workers import messages as m
from equipoise.workers.channel import Channel, Gone, Handler, Refused
from equipoise.workers.exchange import REPORT_SECONDS, Hint, Report, Wish
from equipoise.workers.slices import Slices

MOST_OF_THE_TIME = 0.02
"""The share of its time that a worker may spend on reports."""
OPEN, CLOSED = "open", "closed"


class Follows(Protocol):
    """Whoever holds a worker's configuration."""

    async def adopt(self, changes: m.Changes) -> None:
        """Go by the file with these changes on top. Raises Problem."""

    async def reload(self) -> Any:
        """Read it again. Raises Problem."""

    def overlay(self) -> m.Overlay:
        """What is gone by now."""


class Served(msgspec.Struct):
    """What a worker has that its parent asks about."""

    snapshot: Callable[[], Snapshot]
    sums: Callable[[], Snapshot]
    status: Callable[[], dict[str, Any]]
    learning: Callable[[], dict[str, Any]]
    flush: Callable[[], Awaitable[None]]
    admin: Callable[[Request], Awaitable[Response]]
    repeat: Callable[[Request], Awaitable[dict[str, Any]]]
    hinted: Callable[[Hint], None]
    hint: Callable[[BackendChanged], Hint]
    configuration: Follows


class Member:
    """An Exchange by way of the parent, and what the parent asks of this worker.

    `more` serves what else the parent says. `lead` is called when this worker becomes the one that validates, watches the file and answers operators.
    """

    def __init__(self, more: Mapping[str, Handler]) -> None:
        self.leads, self.slices = False, Slices(0, 1)
        self.lead: Callable[[], None] = lambda: None
        self._served: Served | None = None
        self.following = False
        self._known: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.channel = Channel({**self._handlers(), **more})

    def _handlers(self) -> Mapping[str, Handler]:
        return {
            m.REPORT: self._report,
            m.FLUSH: self._flush,
            m.KNOWN: self._know,
            m.ADMIN: self._admin,
            m.REPEAT: self._repeat,
            m.ADOPT: self._adopt,
            m.RELOAD: self._reload,
            m.LEAD: self._lead,
            m.HINT: self._hinted,
            m.RELEASE: self._release,
            m.GRANT: self._grant,
        }

    def serve(self, served: Served) -> None:
        """This is what there is to tell of."""
        self._served = served

    def ready(self) -> None:
        """Questions are answered from now on."""
        self.channel.note(m.READY)
        self._tasks.append(asyncio.get_running_loop().create_task(self._reporting(), name="workers: report"))

    def leave(self, cut: int) -> None:
        """Tell what was counted last; so many answers were cut."""
        for task in self._tasks:
            task.cancel()
        if self._served is not None:
            self.report(Report(self._served.sums(), shares=self.slices.moved()))
        self.channel.note(m.GOODBYE, cut)

    # Exchange

    def report(self, report: Report) -> None:
        """Tell the parent, in place of what it was told before."""
        self.channel.note(m.REPORT, report)

    def hint(self, hint: Hint) -> None:
        """Tell the other workers of a breaker."""
        self.channel.note(m.HINT, hint)

    async def more(self, wishes: list[Wish]) -> dict[str, int]:
        """Ask the other workers for what they can spare; what they gave is there when this returns."""
        try:
            raw = await self.channel.call(m.MORE, wishes)
        except (Gone, Refused):
            return {}
        return msgspec.msgpack.decode(raw, type=dict[str, int])

    # Together: what the gateway asks

    async def scrape(self) -> bytes:
        """The metrics of all workers. Raises Silent."""
        return msgspec.msgpack.decode(await self._ask(m.SCRAPE), type=bytes)

    async def status(self) -> dict[str, Any]:
        """The backends as all workers see them. Raises Silent."""
        return msgspec.msgpack.decode(await self._ask(m.STATUS), type=dict[str, Any])

    def seen(self) -> dict[str, Any]:
        """The backends as all workers saw them when an operator last asked."""
        return self._known or self._own.status()

    async def settled(self) -> None:
        """Return when all workers have written what they still held."""
        try:
            await self._ask(m.SETTLE)
        except Silent:
            return

    async def _ask(self, kind: str) -> bytes:
        try:
            return await self.channel.call(kind)
        except (Gone, Refused) as error:
            raise Silent(f"the other workers cannot be asked: {error}") from error

    # Events

    @hears(BackendChanged)
    def observe(self, event: Event) -> None:
        """A breaker that opened here opens elsewhere, too; one that closed here is closed where a hint had opened it."""
        if type(event) is not BackendChanged or event.state not in (OPEN, CLOSED) or self.following:
            return
        assert self._served is not None
        self.hint(self._served.hint(event))

    def settled_configuration(self) -> None:
        """The configuration was read or changed here: the others are to go by it."""
        if self.leads and self._served is not None and not self.following:
            self.channel.note(m.OVERLAY, self._served.configuration.overlay())

    # What the parent asks

    @property
    def _own(self) -> Served:
        if self._served is None:
            raise Refused("not ready")
        return self._served

    async def _report(self, raw: bytes) -> Report:
        own = self._own
        return Report(own.snapshot(), own.status(), own.learning(), self.slices.moved())

    async def _know(self, raw: bytes) -> None:
        self._known = msgspec.msgpack.decode(raw, type=dict[str, Any])

    async def _flush(self, raw: bytes) -> None:
        await self._own.flush()

    async def _admin(self, raw: bytes) -> m.Answered:
        asked = msgspec.msgpack.decode(raw, type=m.Asked)
        response = await self._own.admin(_request(asked))
        if not isinstance(response.body, bytes):
            raise Refused("a stream cannot be passed on")
        return m.Answered(response.status, list(response.headers), response.body)

    async def _repeat(self, raw: bytes) -> dict[str, Any]:
        asked = msgspec.msgpack.decode(raw, type=m.Asked)
        return await self._own.repeat(_request(asked))

    async def _adopt(self, raw: bytes) -> None:
        overlay = msgspec.msgpack.decode(raw, type=m.Overlay)
        try:
            await self._own.configuration.adopt(overlay.changes)
        except Problem as problem:
            raise Refused(problem.message) from problem

    async def _reload(self, raw: bytes) -> None:
        try:
            await self._own.configuration.reload()
        except Problem:
            return  # logged, and /health says so

    async def _lead(self, raw: bytes) -> None:
        if not self.leads:
            self.leads = True
            self.lead()

    async def _hinted(self, raw: bytes) -> None:
        hint = msgspec.msgpack.decode(raw, type=Hint)
        self.following = True  # what a hint does is no news for others
        try:
            self._own.hinted(hint)
        finally:
            self.following = False

    async def _release(self, raw: bytes) -> int:
        part = msgspec.msgpack.decode(raw, type=m.Part)
        return self.slices.release(part.name, part.whole, part.units)

    async def _grant(self, raw: bytes) -> None:
        part = msgspec.msgpack.decode(raw, type=m.Part)
        self.slices.grant(part.name, part.whole, part.units)

    async def _reporting(self) -> None:
        pause = REPORT_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.perf_counter()
            self.report(Report(self._own.sums(), shares=self.slices.moved()))
            pause = max(REPORT_SECONDS, (time.perf_counter() - began) / MOST_OF_THE_TIME)


def _request(asked: m.Asked) -> Request:
    """A request as it came over; what an admission found out about it stays in its own process."""
    return Request(**{name: getattr(asked, name) for name in m.Asked.__struct_fields__})

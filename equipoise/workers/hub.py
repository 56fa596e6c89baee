"""The parent's side of the exchange: one view of all workers, and one word to all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from equipoise.gateway.purging import PURGE
from equipoise.http import Request, Response
from equipoise.telemetry.prometheus import rendered
from equipoise.telemetry.totals import Snapshot, Totals, WorkerCounts, kept_of_the_dead, lasting, together
from equipoise.workers import messages as m
from equipoise.workers.channel import Channel, Gone, Handler, Refused
from equipoise.workers.exchange import Hint, Report, Wish
from equipoise.workers.shares import Shares
from equipoise.workers.views import merged

LOOK_SECONDS = 2.0
CHANGE_SECONDS = 60.0
EVERYWHERE = {("POST", PURGE)}
"""What is done in each process: the first one has judged who asks, and written it down."""
JSON = (b"content-type", b"application/json")


class Live:
    """One worker that is connected."""

    def __init__(self, channel: Channel, pid: int) -> None:
        self.channel, self.pid, self.began = channel, pid, False
        self.report = Report()

    @property
    def ready(self) -> bool:
        """Does it answer?"""
        return self.began and self.channel.connected


class Hub:
    """Knows every worker by its number. `on_trouble` is told what an operator should hear.

    What is counted never gets less: of a worker that is gone what it last reported stays in the sums.
    """

    def __init__(self, count: int, on_trouble: Callable[[str], None]) -> None:
        self.count, self._on_trouble = count, on_trouble
        self.live: dict[int, Live] = {}
        self.overlay = m.Overlay([], "")
        self.restarts = self.cut = 0
        self.stopping = False
        self.shares = Shares(count)
        self._retired = Snapshot(Totals())
        self._hints: dict[str, tuple[float, Hint]] = {}
        self._crashed: set[int] = set()
        self._leader: int | None = None
        self._spreading: set[asyncio.Task[dict[int, str]]] = set()

    def handlers(self, slot: int) -> Mapping[str, Handler]:
        """What a worker may ask of the parent."""
        own: dict[str, Callable[[int, bytes], Any]] = {
            m.READY: self._ready,
            m.REPORT: self._reported,
            m.GOODBYE: self._goodbye,
            m.OVERLAY: self._overlaid,
            m.HINT: self._hinted,
            m.MORE: self._more,
        }
        shared: dict[str, Callable[[], Any]] = {m.SCRAPE: self.scrape, m.STATUS: self.status, m.SETTLE: self.settle}
        return {
            **{kind: partial(handler, slot) for kind, handler in own.items()},
            **{kind: partial(_asked, handler) for kind, handler in shared.items()},
        }

    def joined(self, slot: int, channel: Channel, pid: int) -> None:
        """A worker is connected; it answers once it is ready."""
        self.live[slot] = Live(channel, pid)

    def lost(self, slot: int) -> None:
        """A worker has ended: its counts stay, its limits are taken to be used up, another one may have to lead."""
        gone = self.live.pop(slot, None)
        if gone is None:
            return
        self._retired = together(self._retired, lasting(gone.report.snapshot))
        self.shares.held_by(slot, gone.report.shares)
        self._lead()

    def crashed(self, slot: int) -> None:
        """Its like begins with limits that are used up."""
        self._crashed.add(slot)

    def assignment(self, base: m.Assignment, slot: int) -> m.Assignment:
        """What a worker of this number begins with, beside what all do."""
        own = {"slot": slot, "overlay": self.overlay.changes, "shares": self.shares.of(slot)}
        return msgspec.structs.replace(base, **own, crashed=slot in self._crashed)

    @property
    def ready(self) -> int:
        """How many workers answer."""
        return sum(each.ready for each in self.live.values())

    async def scrape(self) -> bytes:
        """The metrics of all, in Prometheus' text form."""
        await self._look()
        lead = self._lead()
        return rendered(self.snapshot(), lead.report.learning if lead else {})

    def snapshot(self) -> Snapshot:
        """The sum of what all workers know, those that are gone included."""
        whole = Snapshot(Totals())
        for each in self.live.values():
            whole = together(whole, each.report.snapshot)
        whole = together(whole, kept_of_the_dead(self._retired, whole))
        whole.workers = WorkerCounts(self.count, self.ready, self.restarts)
        return whole

    async def status(self) -> dict[str, Any]:
        """The backends as all workers see them, and the workers."""
        await self._look()
        known = [each for _, each in sorted(self.live.items()) if each.report.status]
        lead = self._lead()
        rows = [
            {"worker": slot, "pid": each.pid, "ready": each.ready, "in_flight": each.report.status.get("in_flight", 0)}
            for slot, each in sorted(self.live.items())
        ]
        told = {"workers": {"wanted": self.count, "restarts": self.restarts, "running": rows}}
        configuration = {"configuration": lead.report.status["configuration"]} if lead and lead.report.status else {}
        return {**merged([each.report.status for each in known]), **told, **configuration}

    async def settle(self) -> None:
        """Have all workers write what they still hold in memory."""
        await self._each(m.FLUSH)

    async def admin(self, request: Request) -> Response:
        """One request to the admin listener: the first worker answers, and all go by what it changed."""
        asked = m.Asked(*(getattr(request, name) for name in m.Asked.__struct_fields__))
        await self.settle()
        known = await self.status()
        while (lead := self._lead()) is not None:
            lead.channel.note(m.KNOWN, known)
            try:
                raw = await lead.channel.call(m.ADMIN, asked, CHANGE_SECONDS)
            except Gone:
                if asked.method in ("GET", "HEAD") and not lead.ready:
                    continue
                break
            answered = msgspec.msgpack.decode(raw, type=m.Answered)
            if (asked.method, asked.path) in EVERYWHERE and answered.status == 200:
                answered.body = await self._everywhere(asked, answered.body)
            refusals = await self._spread()
            return Response(answered.status, answered.headers, _with(answered.body, refusals))
        words = b'{"error": {"message": "No worker answers now.", "type": "server_error", "code": "no_worker"}}'
        return Response(503, (JSON, (b"retry-after", b"1")), words)

    async def _everywhere(self, asked: m.Asked, body: bytes) -> bytes:
        """What each process keeps for itself is let go of in all; the counts are added up."""
        told = msgspec.json.decode(body, type=dict[str, Any])
        lead = self._leader
        for raw in (await self._each(m.REPEAT, asked, but=lead)).values():
            other = msgspec.msgpack.decode(raw, type=dict[str, Any])
            told = {name: value + other[name] if type(value) is int else value for name, value in told.items()}
        return msgspec.json.encode(told)

    def reload(self) -> None:
        """Read the configuration again: one worker looks whether it is good, then all go by it."""
        if (lead := self._lead()) is not None:
            lead.channel.note(m.RELOAD)

    def _lead(self) -> Live | None:
        """The worker that validates, watches the file and answers operators; another one takes its place where it ends,
        unless all are ending."""
        ready = {slot: each for slot, each in self.live.items() if each.ready}
        if self._leader not in ready and not self.stopping:
            self._leader = min(ready, default=None)
            if self._leader is not None:
                ready[self._leader].channel.note(m.LEAD)
        return None if self._leader is None else ready.get(self._leader)

    async def _look(self) -> None:
        for slot, raw in (await self._each(m.REPORT)).items():
            self._take_in(slot, raw)

    async def _each(
        self, kind: str, body: Any = None, *, but: int | None = None, seconds: float = LOOK_SECONDS
    ) -> dict[int, bytes]:
        """Ask every worker that is ready; those that say nothing are left out."""
        slots = [slot for slot, each in self.live.items() if each.ready and slot != but]
        calls = (self.live[slot].channel.call(kind, body, seconds) for slot in slots)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        found: dict[int, bytes] = {}
        for slot, answer in zip(slots, answers, strict=True):
            if isinstance(answer, bytes):
                found[slot] = answer
            elif not isinstance(answer, Gone | Refused):
                raise answer
        return found

    def _take_in(self, slot: int, raw: bytes) -> None:
        known = self.live.get(slot)
        if known is None:
            return
        report = msgspec.msgpack.decode(raw, type=Report)
        for name in ("status", "learning"):  # only filled when asked for
            if not getattr(report, name):
                setattr(report, name, getattr(known.report, name))
        known.report = report
        self.shares.held_by(slot, report.shares)

    async def _reported(self, slot: int, raw: bytes) -> None:
        self._take_in(slot, raw)

    async def _goodbye(self, slot: int, raw: bytes) -> None:
        self.cut += msgspec.msgpack.decode(raw, type=int)

    async def _ready(self, slot: int, raw: bytes) -> None:
        known = self.live.get(slot)
        if known is None:
            return
        known.began = True
        self._lead()
        if self.overlay.changes:  # it may have changed while this one began
            known.channel.note(m.ADOPT, self.overlay)
        for hint in self._still_open():
            known.channel.note(m.HINT, hint)

    def _still_open(self) -> Iterator[Hint]:
        """The breakers that were opened and not closed since, for one that begins."""
        for told, hint in self._hints.values():
            left = None if hint.seconds is None else hint.seconds - (time.monotonic() - told)
            if hint.open and (left is None or left > 0):
                yield msgspec.structs.replace(hint, seconds=left)

    async def _hinted(self, slot: int, raw: bytes) -> None:
        hint = msgspec.msgpack.decode(raw, type=Hint)
        self._hints[hint.backend_id] = time.monotonic(), hint
        for other, each in self.live.items():
            if other != slot:
                each.channel.note(m.HINT, hint)

    async def _overlaid(self, slot: int, raw: bytes) -> None:
        lead = self._lead()
        if lead is None or self.live.get(slot) is not lead:
            return
        self.overlay = msgspec.msgpack.decode(raw, type=m.Overlay)
        task = asyncio.create_task(self._tell_others(slot, self.overlay), name="workers: adopt")
        self._spreading.add(task)
        task.add_done_callback(self._spreading.discard)

    async def _tell_others(self, slot: int, overlay: m.Overlay) -> dict[int, str]:
        others = [(other, each) for other, each in self.live.items() if other != slot and each.ready]
        calls = (each.channel.call(m.ADOPT, overlay, CHANGE_SECONDS) for _, each in others)
        told = await asyncio.gather(*calls, return_exceptions=True)
        refused = {other: str(why) for (other, _), why in zip(others, told, strict=True) if isinstance(why, Refused)}
        for other, why in refused.items():
            self._on_trouble(f"worker {other} keeps the configuration it has: {why}")
        return refused

    async def _spread(self) -> dict[int, str]:
        """Wait until all go by the last change; who cannot, and why."""
        done = await asyncio.gather(*self._spreading)
        return {slot: why for of in done for slot, why in of.items()}

    async def _more(self, slot: int, raw: bytes) -> dict[str, int]:
        granted = {}
        for wish in msgspec.msgpack.decode(raw, type=list[Wish]):
            granted[wish.name] = await self._gathered(slot, wish)
        return granted

    async def _gathered(self, slot: int, wish: Wish) -> int:
        """What the others can spare of one limit; it is sent to the worker at once, and told once more as a sum."""
        part = m.Part(wish.name, wish.whole, wish.need)
        released = await self._each(m.RELEASE, part, but=slot, seconds=CHANGE_SECONDS)
        units = sum(msgspec.msgpack.decode(raw, type=int) for raw in released.values())
        for other, raw in released.items():
            self.shares.moved(wish.name, wish.whole, (other, slot), msgspec.msgpack.decode(raw, type=int))
        if units and slot in self.live:
            self.live[slot].channel.note(m.GRANT, m.Part(wish.name, wish.whole, units))
        return units


async def _asked(handler: Callable[[], Any], raw: bytes) -> Any:
    return await handler()


def _with(body: bytes, refusals: Mapping[int, str]) -> bytes:
    """A JSON document that tells, too, which workers could not follow."""
    if not refusals:
        return body
    told = {f"worker {slot}": why for slot, why in refusals.items()}
    return msgspec.json.encode({**msgspec.json.decode(body, type=dict[str, Any]), "refused_by": told})

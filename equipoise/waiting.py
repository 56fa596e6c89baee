"""The short queue before the backends: who finds all places taken waits for one, fairly and never for long.

The core never waits, so this is where it happens: whoever ends an attempt wakes the room, which in the same breath hands
the place to the one whose turn it is. Interactive questions go before batches, tenants take turns, copies for a shadow do
not wait at all. A question that cannot be answered in time is turned away at once, not at the end of its patience.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from equipoise.core.attempts import NOT_SENT, Attempts, Full, Unanswered
from equipoise.core.load import Average
from equipoise.core.model import Request, Urgency
from equipoise.core.selection import Lease

Key: TypeAlias = tuple[str, str | None, frozenset[str], str]
SOONEST = 1.0
"""Seconds after which it is worth coming again, at the least."""


class WaitingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How many may wait at once, and how many seconds each."""

    places: int = 100
    seconds: float = 5.0


class Waiter(msgspec.Struct, eq=False):
    """One question in the room, and where its lease is handed to it."""

    attempts: Attempts
    future: asyncio.Future[Lease]

    @property
    def request(self) -> Request:
        """What is asked."""
        return self.attempts.request


class Line:
    """Those who wait for the same backends: by urgency, within it the tenants in turn, within these as they came."""

    def __init__(self) -> None:
        self._turns: dict[Urgency, OrderedDict[str, deque[Waiter]]] = {urgency: OrderedDict() for urgency in Urgency}

    def join(self, waiter: Waiter) -> None:
        """Stand behind those of the same tenant."""
        self._turns[waiter.request.urgency].setdefault(waiter.request.tenant, deque()).append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Go, served or not."""
        tenants = self._turns[waiter.request.urgency]
        mine = tenants.get(waiter.request.tenant)
        if mine and waiter in mine:
            mine.remove(waiter)
        if mine is not None and not mine:
            del tenants[waiter.request.tenant]

    def first(self) -> Waiter | None:
        """Whose turn it is."""
        return next(iter(self), None)

    def served(self, waiter: Waiter) -> None:
        """The tenant had its turn: the others come first now."""
        tenants = self._turns[waiter.request.urgency]
        if waiter.request.tenant in tenants:
            tenants.move_to_end(waiter.request.tenant)
        self.leave(waiter)

    def ahead(self, urgency: Urgency) -> int:
        """How many are as urgent as this, or more."""
        order = list(Urgency)
        return sum(order.index(waiter.request.urgency) <= order.index(urgency) for waiter in self)

    def __iter__(self) -> Iterator[Waiter]:
        for tenants in self._turns.values():
            for line in list(tenants.values()):
                yield from list(line)


class WaitingRoom:
    """Gives leases: at once where there is room, otherwise in turn."""

    def __init__(self, options: WaitingOptions, now: Callable[[], float]) -> None:
        self.options, self._now = options, now
        self.waiting = self.turned_away = 0
        self._lines: dict[Key, Line] = {}
        self._interval, self._last = Average(0.0), now()
        self.crowded: Callable[[Request], None] = _nothing
        """Told of each question that begins to wait."""

    async def lease(self, attempts: Attempts) -> Lease:
        """A lease for the next attempt. Raises Unanswered: Full, when it would have to wait too long."""
        line = self._lines.get(_key(attempts.request)) if self.waiting else None
        if line is None:
            try:
                return attempts.acquire()
            except Full as full:
                refusal: Unanswered = full
        else:
            refusal = attempts.full("others are waiting already")
        return await self._wait(attempts, refusal)

    def wake(self) -> None:
        """An attempt has ended: hand its place on."""
        if self.waiting:
            for key, line in list(self._lines.items()):
                self._serve(key, line)

    def _serve(self, key: Key, line: Line) -> None:
        while (waiter := line.first()) is not None:
            try:
                lease = waiter.attempts.acquire()
            except Full:
                return
            except Unanswered as error:
                waiter.future.set_exception(error)
                line.leave(waiter)
                continue
            waiter.future.set_result(lease)
            line.served(waiter)
            self._interval.add(self._now() - self._last)
            self._last = self._now()
        self._lines.pop(key, None)

    async def _wait(self, attempts: Attempts, refusal: Unanswered) -> Lease:
        request, key = attempts.request, _key(attempts.request)
        line = self._lines.get(key) or Line()
        patience = min(self.options.seconds, request.deadline - self._now())
        expected = (line.ahead(request.urgency) + 1) * self._interval.value if self.waiting else 0.0
        if request.urgency is Urgency.SHADOW or expected >= patience or not self._make_place(request):
            raise self._turned_away(refusal)
        if not self.waiting:
            self._last = self._now()
        self._lines[key] = line
        waiter = Waiter(attempts, asyncio.get_running_loop().create_future())
        line.join(waiter)
        return await self._turn_of(waiter, line, patience, refusal)

    async def _turn_of(self, waiter: Waiter, line: Line, patience: float, refusal: Unanswered) -> Lease:
        future = waiter.future
        timer = future.get_loop().call_later(patience, self._impatient, waiter, refusal)
        self.waiting += 1
        self.crowded(waiter.request)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                waiter.attempts.settle(future.result(), NOT_SENT)  # it was handed over as its caller went away
            raise
        finally:
            self.waiting -= 1
            timer.cancel()
            line.leave(waiter)
            if line.first() is None:
                self._lines = {key: other for key, other in self._lines.items() if other is not line}

    def _impatient(self, waiter: Waiter, refusal: Unanswered) -> None:
        if not waiter.future.done():
            waiter.future.set_exception(self._turned_away(refusal))

    def _make_place(self, request: Request) -> bool:
        """Is there a place, or somebody who has less right to one?"""
        if self.waiting < self.options.places:
            return True
        present = [waiter for line in self._lines.values() for waiter in line if not waiter.future.done()]
        loser = _least_entitled(present, request)
        if loser is None:
            return False
        loser.future.set_exception(self._turned_away(loser.attempts.full("a more urgent question needs its place")))
        return True

    def _turned_away(self, refusal: Unanswered) -> Unanswered:
        self.turned_away += 1
        refusal.retry_after = max(SOONEST, self.waiting * self._interval.value)
        return refusal


def _least_entitled(present: list[Waiter], request: Request) -> Waiter | None:
    """The youngest of the least urgent; among equals, of the tenant that has most waiting, if that is more than a fair
    share."""
    order = list(Urgency)
    least = max((order.index(waiter.request.urgency) for waiter in present), default=0)
    lowest = [waiter for waiter in present if order.index(waiter.request.urgency) == least]
    if not lowest or least < order.index(request.urgency):
        return None
    if least > order.index(request.urgency):
        return lowest[-1]
    crowd = Counter(waiter.request.tenant for waiter in lowest)
    tenant, most = crowd.most_common(1)[0]
    if most <= crowd[request.tenant] + 1:
        return None
    return next(waiter for waiter in reversed(lowest) if waiter.request.tenant == tenant)


def _nothing(request: Request) -> None:
    """Nobody wants to know."""


def _key(request: Request) -> Key:
    return request.route, request.pinned, request.needs, request.role

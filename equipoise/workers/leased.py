"""Shares of limits that are leased from a store: what is held here of each, over all the gateways of a fleet."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec

from equipoise.core.model import Clock
from equipoise.core.sharing import Shared, given
from equipoise.core.slices import Ask, Grant
from equipoise.stores.database import StoreError
from equipoise.stores.leases import LeaseStore
from equipoise.stores.leasing import BEAT_SECONDS, LEASE_SECONDS
from equipoise.workers.exchange import Wish

MINUTE = 60.0
"""For so long what a dead gateway held counts as used: limits are by the minute."""
TRIES, PAUSE = 4, 0.01
"""How often, and after how many seconds (doubled each time), one looks whether others have given what they were asked for."""
FORGETS = 0.9
"""Weight of the past in what was used at most lately, each turn."""


class Held(msgspec.Struct):
    """One limit: all of it, our share, the most that was used lately, and what is needed here and by others."""

    whole: int
    limit: Shared | None = None
    share: int = 0
    peak: float = 0.0
    needed: int = 0
    wanted: int = 0
    asked: bool = False


class LeasedShares:
    """Slices and who exchanges them, in place of a parent's. The sum over all holders is never above a limit.

    `ask_others` has them give what they can spare; it raises StoreError where they cannot be reached. While the store is
    gone the shares stay what they are, or are nothing with `fail_closed`.
    """

    def __init__(
        self,
        store: LeaseStore,
        holder: str,
        clock: Clock,
        ask_others: Callable[[Mapping[str, int]], Awaitable[None]],
        *,
        seconds: float,
        fail_closed: bool = False,
    ) -> None:
        self._store, self._holder, self._clock, self._ask_others = store, holder, clock, ask_others
        self._seconds, self._fail_closed = seconds, fail_closed
        self._held: dict[str, Held] = {}
        self._pending: list[Ask] | None = None
        self._turn, self._beat_at = 0, float("-inf")
        self._taking: asyncio.Task[bool] | None = None
        self._closed = False
        self.hurry = asyncio.Event()

    def attach(self, name: str, whole: int, limit: Shared) -> None:
        """This limit is used here: give it its share."""
        held = self._held.setdefault(name, Held(whole))
        if held.limit is not limit:
            held.limit = limit
            limit.resize(held.share, self._clock.monotonic())
            self.hurry.set()

    def wanted(self, needs: Mapping[str, int]) -> None:
        """Another lacks so much: give what is free at the next turn, which is now."""
        for name, need in needs.items():
            if (held := self._held.get(name)) is not None and held.share:
                held.wanted = max(held.wanted, need)
                self.hurry.set()

    async def more(self, wishes: list[Wish]) -> dict[str, int]:
        """Ask the store and the others, for as long as an operation may take; gives what came, by name."""
        before = {wish.name: self._share(wish) for wish in wishes}
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(self._seconds):
                await self._gather(wishes, before)
        return {wish.name: max(0, self._share(wish) - before[wish.name]) for wish in wishes}

    async def turn(self) -> bool:
        """One turn now, shared by all who want one; whether the store answered."""
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take(), name="turn at the limits")
        return await asyncio.shield(self._taking)

    async def leave(self) -> None:
        """Give back what was not used within the last minute."""
        for held in self._held.values():
            held.wanted = held.whole
        if await self.turn():
            self._turn += 1
            with suppress(StoreError):
                await asyncio.to_thread(self._store.leave, self._holder, self._turn, [], self._clock.wall())

    async def _gather(self, wishes: list[Wish], before: Mapping[str, int]) -> None:
        pause = PAUSE
        for _ in range(TRIES):
            lacking = {wish.name: wish.need for wish in wishes if self._share(wish) - before[wish.name] < wish.need}
            if not lacking:
                return
            for name, need in lacking.items():
                self._held[name].needed = need
            if not await self.turn():
                return
            lacking = {name: need for name, need in lacking.items() if self._held[name].share - before[name] < need}
            if lacking:
                await self._ask_others(lacking)
                await asyncio.sleep(pause)
                pause *= 2

    def _share(self, wish: Wish) -> int:
        return self._held.setdefault(wish.name, Held(wish.whole)).share

    async def _take(self) -> bool:
        wall, now = self._clock.wall(), self._clock.monotonic()
        if self._pending is None:
            self._pending, self._turn = (
                [self._ask(name, held, wall, now) for name, held in self._held.items()],
                self._turn + 1,
            )
        asks, beat = self._pending, now - self._beat_at >= BEAT_SECONDS
        try:
            grants = await asyncio.to_thread(
                self._store.renew, self._holder, self._turn, asks, wall, LEASE_SECONDS, beat=beat
            )
        except StoreError:
            self._cut_off()
            return False
        if beat or any(ask.changes for ask in asks):
            self._beat_at = now
        self._pending = None
        for grant in grants:
            self._granted(grant)
        self._closed = False
        return True

    def _ask(self, name: str, held: Held, wall: float, now: float) -> Ask:
        """What is free goes to whom it lacks; more is wanted where half of the share was used."""
        spare = min(held.share, max(0, held.limit.spare(now))) if held.limit is not None else held.share
        held.peak = max(held.share - spare, FORGETS * held.peak)
        back = given(spare, held.wanted) if held.wanted and not held.needed else 0
        aim = held.whole if not held.asked else min(held.whole, math.ceil(2 * held.peak))
        want = 0 if back else max(0, aim - held.share)
        ask = Ask(
            account=name, budget=name, limit=held.whole, since=0, began=wall - MINUTE, keep=0,
            back=back, need=held.needed, want=max(want, held.needed),
        )  # fmt: skip
        held.needed, held.wanted, held.asked = 0, 0, True
        self._resize(held, held.share - back)
        return ask

    def _granted(self, grant: Grant) -> None:
        held = self._held[grant.account]
        if grant.held != held.share or self._closed:
            self._resize(held, grant.held)

    def _resize(self, held: Held, share: int) -> None:
        if share == held.share and not self._closed:
            return
        held.share = share
        if held.limit is not None:
            held.limit.resize(share, self._clock.monotonic())

    def _cut_off(self) -> None:
        """Without the store: what is held is held, unless nothing is to be had without it."""
        if not self._fail_closed or self._closed:
            return
        self._closed = True
        for held in self._held.values():
            if held.limit is not None:
                held.limit.resize(0, self._clock.monotonic())

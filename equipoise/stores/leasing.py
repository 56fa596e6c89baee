"""Renews what a gateway holds of its budgets, beside the requests: ahead of need, and at once when somebody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from equipoise.core.budget import Budgets, crossed
from equipoise.core.model import Clock
from equipoise.core.pacing import SLOTS, Pacer
from equipoise.stores.database import StoreError, StoreGone
from equipoise.stores.leases import LeaseStore

TURN_SECONDS = 0.5
LEASE_SECONDS = 10.0
BEAT_SECONDS = 3.0
"""A holder shows that it lives at least so often."""
SHORTEST_PAUSE = 0.005
MORE_SECONDS = 1.0
"""Nobody who waits for room waits longer for a turn, whatever it is held up by."""


class Leasing:
    """Takes the turns of one gateway at a store of headroom.

    `budgets` gives the budgets of the present configuration; the store is opened when there are any. `folder` is where
    what is free outlives this process, and where what others left is looked for; without one, what the dead held is
    lost. `on_error` is told when the store cannot be used; then nothing new is promised once the slices lapse, and
    turns are tried again. Slices of a store that is elsewhere may be spent for `keep_seconds` beyond their lease (it has to
    know, see RedisLeases), or, with `fail_closed`, only while it answers.
    """

    def __init__(
        self,
        budgets: Callable[[], Budgets],
        open_store: Callable[[], LeaseStore],
        name: str,
        *,
        clock: Clock,
        folder: Path | None = None,
        on_error: Callable[[str], None] = lambda message: None,
        keep_seconds: float = 0.0,
        fail_closed: bool = False,
    ) -> None:
        self._keep, self._fail_closed = keep_seconds, fail_closed
        self._budgets, self._open, self._name, self._clock, self._on_error = budgets, open_store, name, clock, on_error
        self._folder = folder
        self._store: LeaseStore | None = None
        self._task: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._turned_at = self._beat_at = float("-inf")
        self._told: dict[tuple[str, float], float] = {}
        self.error: str | None = None

    async def start(self) -> None:
        """Take the first turn and go on. Raises StoreError when there are budgets and their store cannot be opened."""
        if self._budgets().active:
            self._store = self._store or await asyncio.to_thread(self._open)
        self._budgets().keeper = self
        await self.turn()
        self._task = asyncio.create_task(self._run(), name="budgets")

    async def close(self) -> None:
        """Give back what is held and not promised."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._store is None:
            return
        if self._budgets().keeper is self:
            await self.turn()
            await self._leave(self._store)
        await asyncio.to_thread(self._store.close)
        self._store = None

    async def turn(self) -> None:
        """One turn now, shared by all who want one; never raises for a store that fails."""
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take(), name="turn at the budgets")
        await asyncio.shield(self._taking)

    async def more(self, seconds: float) -> None:
        """Somebody waits for room: take a turn now, and let others end theirs for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MORE_SECONDS):
                await self.turn()
        await asyncio.sleep(seconds)

    def health(self) -> dict[str, Any]:
        """What is wrong, if anything."""
        return {"ok": self.error is None, "error": self.error}

    async def store(self) -> LeaseStore:
        """The store itself, for what operators do. Raises StoreError."""
        if self._store is None:
            self._store = await asyncio.to_thread(self._open)
        return self._store

    async def _run(self) -> None:
        while self._budgets().keeper is self:
            self._budgets().wake = self._hurry.set
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS):
                    await self._hurry.wait()
            self._hurry.clear()
            await self.turn()
            await asyncio.sleep(SHORTEST_PAUSE)

    async def _take(self) -> None:
        budgets = self._budgets()
        try:
            if budgets.active or budgets.asking:
                await self._taken(await self.store(), budgets)
            self.error, budgets.cut_off = None, False
        except StoreError as error:
            if self.error is None:
                self._on_error(f"budgets: {error}")
            self.error, budgets.cut_off = str(error), isinstance(error, StoreGone)
            if self._fail_closed:
                budgets.lapses = float("-inf"), float("-inf")

    async def _taken(self, store: LeaseStore, budgets: Budgets) -> None:
        wall, now = self._clock.wall(), self._clock.monotonic()
        budgets.holder, budgets.keeper = budgets.holder or self._name, budgets.keeper or self
        self._show(budgets)
        asks = budgets.asks(wall, min(now - self._turned_at, LEASE_SECONDS))
        beat = now - self._beat_at >= BEAT_SECONDS or budgets.lapsed(wall, now)
        grants = await asyncio.to_thread(
            store.renew, budgets.holder, budgets.turn + 1, asks, wall, LEASE_SECONDS, beat=beat
        )
        if beat or any(ask.changes for ask in asks):
            self._beat_at = now
            lasts = LEASE_SECONDS - 1.0 + self._keep
            budgets.lapses = wall + lasts, now + lasts
        budgets.turn, self._turned_at = budgets.turn + 1, now
        budgets.granted(grants, wall)
        if beat and self._folder is not None:
            await self._give_back(self._folder, store, wall)
        await self._alert(store, budgets, wall)
        for name, pacer in budgets.pacers.items():
            await self._pace(store, budgets, name, pacer, wall)

    def _show(self, budgets: Budgets) -> None:
        """Have what is free of every account stand where it outlives us."""
        if budgets.places is None and self._folder is not None and budgets.active:
            from equipoise.stores.remains import Remains

            with suppress(OSError):  # then what we hold is lost if we die, as it is on a machine that has no such place
                budgets.places = Remains(self._folder, budgets.holder)
        if budgets.places is not None:
            for account in budgets.accounts.values():
                account.shown = budgets.places.place(account.id)

    async def _give_back(self, folder: Path, store: LeaseStore, wall: float) -> None:
        from equipoise.stores.remains import give_back

        with suppress(OSError):  # another user's file: then it stays lost
            await asyncio.to_thread(give_back, folder, store, wall)

    async def _alert(self, store: LeaseStore, budgets: Budgets, wall: float) -> None:
        for account in list(budgets.accounts.values()):
            for share in account.passed():
                until = account.told_until(wall)
                if self._told.get((account.id, share), float("-inf")) > wall:
                    continue
                self._told[account.id, share] = until
                if await asyncio.to_thread(store.first_to_tell, account.id, share, until, wall):
                    budgets.tell(crossed(account, share, wall))

    async def _pace(self, store: LeaseStore, budgets: Budgets, name: str, pacer: Pacer, wall: float) -> None:
        account = budgets.accounts.get(name)
        if account is None or account.standing is None:
            return
        window = account.window
        window.turn(wall)
        if pacer.starts != window.starts:
            length = window.ends - window.starts
            rows = await asyncio.to_thread(store.periods, name, int(window.starts - length), int(window.starts))
            pacer.begin(window.starts, window.ends, slot_weights(rows, window.starts - length, length))
        pacer.limit = account.standing.limit
        pacer.observed(account.standing.spent, account.standing.count, wall)

    async def _leave(self, store: LeaseStore) -> None:
        budgets = self._budgets()
        asks = [account.farewell(self._clock.wall(), budgets.longest) for account in budgets.asking]
        try:
            await asyncio.to_thread(store.leave, budgets.holder, budgets.turn + 1, asks, self._clock.wall())
            budgets.turn, budgets.keeper = budgets.turn + 1, None
            _hide(budgets)
        except StoreError as error:
            self._on_error(f"budgets: {error}")


def _hide(budgets: Budgets) -> None:
    """Everything was given back."""
    if budgets.places is not None:
        budgets.places.close()
        budgets.places = None


def slot_weights(rows: Sequence[tuple[int, int, int]], starts: float, length: float) -> list[float]:
    """How many movements each slot of an earlier window had."""
    weights = [0.0] * SLOTS
    for period, _, count in rows:
        weights[min(SLOTS - 1, max(0, int((period - starts) / length * SLOTS)))] += count
    return weights

"""The state in the store and its copy in memory: adopted at once here, within half a second in every other process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from equipoise.core.rollout import State, Step
from equipoise.migration.features import Features
from equipoise.migration.settings import TOPIC
from equipoise.migration.split import SplitBalancer
from equipoise.migration.tallies import Tallies
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import Entry, StateConflict, StateStore

LOOK_EVERY = 0.5


class Keeping:
    """Reads, writes and watches the state; something that runs beside the questions from `start` to `close`.

    `trouble` says what is wrong with the store, if anything; the split then goes on as it was. `on_trouble` hears of it
    once.
    """

    def __init__(
        self,
        store: StateStore,
        balancer: SplitBalancer,
        tallies: Tallies,
        features: Features,
        on_trouble: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.version, self.trouble = -1, ""
        self._store, self._balancer, self._tallies, self._features = store, balancer, tallies, features
        self._on_trouble = on_trouble
        self._owed: tuple[State, Entry] | None = None
        self._paying = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def start(self) -> None:
        """Adopt what is stored, then look again every half second. Raises StoreError if it cannot be read."""
        await self.refresh()
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="migration")

    async def close(self) -> None:
        """Stop looking, write what was counted, close the store."""
        self._over.set()
        if self._task is not None:
            await self._task
        try:
            await self._tallies.flush()
        except StoreError as error:
            self._troubled(str(error))
        await asyncio.to_thread(self._store.close)

    async def refresh(self) -> State:
        """The state as it is stored now, adopted."""
        if self._owed is None:
            version, state = await asyncio.to_thread(stored, self._store)
            if version > self.version and self._owed is None:
                await self._adopt(version, state)
        return self._balancer.state

    async def write(self, step: Step, entry: Entry, expected: int) -> None:
        """Make a step durable, then adopt it. Raises StateConflict if the state is no longer the expected version."""
        if self._owed is not None:
            raise StateConflict("a rollback waits to be written")
        state = self._balancer.state.moved(step)
        version = await asyncio.to_thread(self._store.write, TOPIC, msgspec.to_builtins(state), expected, entry)
        await self._adopt(version, state)

    async def force(self, step: Step, entry: Entry) -> None:
        """Adopt a step first and make it durable afterwards, over whatever is stored."""
        state = self._balancer.state.moved(step)
        self._owed = (state, entry)
        await self._adopt(self.version, state)
        try:
            await self._pay()
        except StoreError as error:
            self._troubled(str(error))

    async def note(self, entry: Entry) -> None:
        """A line in the journal of something that changed nothing."""
        await asyncio.to_thread(self._store.note, TOPIC, entry)

    async def journal(self, limit: int) -> list[Entry]:
        """The newest lines, newest first."""
        return await asyncio.to_thread(self._store.journal, TOPIC, limit)

    async def sums(self, era: int) -> dict[str, float]:
        """What was counted in an era, by all processes; this one's counts are all there."""
        await self._tallies.flush()
        return await asyncio.to_thread(self._store.tally, TOPIC, era)

    async def _adopt(self, version: int, state: State) -> None:
        self.version, self._balancer.state = version, state
        await self._features.apply(state.features)

    async def _watch(self) -> None:
        while not await self._over_within(LOOK_EVERY):
            try:
                await self._pay()
                await self._tallies.flush()
                await self.refresh()
                self.trouble = ""
            except StoreError as error:
                self._troubled(str(error))

    async def _over_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._over.wait()
        except TimeoutError:
            return False

    async def _pay(self) -> None:
        """Write a rollback that is in force already; whoever wrote meanwhile is overruled."""
        async with self._paying:
            while self._owed is not None:
                owed = state, entry = self._owed
                with suppress(StateConflict):  # somebody wrote between the two: look again
                    current, _ = await asyncio.to_thread(self._store.read, TOPIC)
                    plain = msgspec.to_builtins(state)
                    self.version = await asyncio.to_thread(self._store.write, TOPIC, plain, current, entry)
                    self._owed = None if self._owed is owed else self._owed

    def _troubled(self, message: str) -> None:
        if message != self.trouble:
            self._on_trouble(message)
        self.trouble = message


def stored(store: StateStore) -> tuple[int, State]:
    """The state in a store and its version; the one before everything where there is none yet. Raises StoreError."""
    version, value = store.read(TOPIC)
    if value is None:
        return version, State()
    try:
        return version, msgspec.convert(value, State)
    except msgspec.ValidationError as error:
        raise StoreError(f"the stored state of the migration cannot be read: {error}") from error

"""The state of a canary in the store: orders are written before they take effect, verdicts as soon as may be after."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from equipoise.core.ladder import Standing
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import Entry, SharedState, StateConflict

TOPIC = "canary"


class Keeping:
    """Where a canary stands, as stored; knows which version this process goes by, and what it owes the store."""

    def __init__(self, store: SharedState) -> None:
        self._store, self._version = store, -1
        self._owed: list[tuple[Standing, Entry]] = []
        self._paying = asyncio.Lock()

    async def changed(self) -> Standing | None:
        """What is stored, where somebody else changed it; else None. Raises StoreError."""
        if self._owed:
            return None
        version, value = await asyncio.to_thread(self._store.read, TOPIC)
        if version == self._version or self._owed:
            return None
        self._version = version
        try:
            return Standing() if value is None else msgspec.convert(value, Standing)
        except msgspec.ValidationError as error:
            raise StoreError(f"the stored state of the canary cannot be read: {error}") from error

    async def write(self, standing: Standing, entry: Entry) -> None:
        """Make it durable. Raises StateConflict when it is no longer what this process goes by, StoreError."""
        if self._owed:
            raise StateConflict("a verdict waits to be written")
        plain = msgspec.to_builtins(standing)
        self._version = await asyncio.to_thread(self._store.write, TOPIC, plain, self._version, entry)

    def owe(self, standing: Standing, entry: Entry) -> None:
        """This is in force already, and is to be written over whatever is stored."""
        self._owed.append((standing, entry))

    async def pay(self) -> None:
        """Write what is owed, in turn. Raises StoreError; it is then still owed."""
        async with self._paying:
            while self._owed:
                standing, entry = self._owed[0]
                with suppress(StateConflict):  # somebody wrote between the two: look again
                    current, _ = await asyncio.to_thread(self._store.read, TOPIC)
                    plain = msgspec.to_builtins(standing)
                    self._version = await asyncio.to_thread(self._store.write, TOPIC, plain, current, entry)
                    del self._owed[0]

    async def journal(self, limit: int) -> list[Entry]:
        """The newest lines, newest first."""
        return await asyncio.to_thread(self._store.journal, TOPIC, limit)

    async def close(self) -> None:
        """Close the store."""
        await asyncio.to_thread(self._store.close)

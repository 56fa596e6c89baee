"""The keys of the configuration and those of the state store, together and up to date while the gateway runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from equipoise.core.callers import Caller
from equipoise.gateway.keys import ClientKeys
from equipoise.gateway.known_keys import KnownKeys
from equipoise.http import Headers
from equipoise.stores.database import Database, StoreError
from equipoise.stores.keys import CLIENTS, KeyStore, StoredKey
from equipoise.stores.sqlite import database_of
from equipoise.stores.state import SCHEMA, StateStore

LOOK_EVERY = 0.5
"""Seconds after which a key that was created or revoked elsewhere is known here."""


class Keyring:
    """Watches the store from `start` to `close` and tells `accept` which keys are good; None: no key is needed.

    The store's file is not made here: where there is none there are no keys in it. Once it has held a key, keys are
    needed for good: revoking the last one opens nothing. `beside` may know requests that show no key: then keys are
    needed, too. While it cannot be read what was known stays good, and `on_trouble` hears of it once; at first it is
    what `known` remembers. Raises StoreError where the store is there, cannot be read at first, and nothing is known.
    """

    def __init__(
        self,
        where: Path | Database,
        configured: Mapping[str, Caller],
        on_trouble: Callable[[str], None] = lambda message: None,
        state: str = CLIENTS,
        beside: Callable[[Headers], Caller | None] | None = None,
        known: KnownKeys | None = None,
    ) -> None:
        self._beside, self._known = beside, known
        self._database, self._on_trouble, self._state = database_of(where, SCHEMA), on_trouble, state
        self._configured, self._stored = dict(configured), dict[str, Caller]()
        self._store: KeyStore | None = None
        self._opened: StateStore | None = None
        self._version, self._troubled, self._needed = -1, False, False
        self._accept: Callable[[ClientKeys | None], None] = lambda keys: None
        self._task: asyncio.Task[None] | None = None
        try:
            self._look()
        except StoreError as error:
            self._remember(error)

    @property
    def keys(self) -> ClientKeys | None:
        """The good keys now; None where no key is needed."""
        found = self._configured | self._stored
        return ClientKeys(found, beside=self._beside) if found or self._needed or self._beside else None

    def tell(self, accept: Callable[[ClientKeys | None], None]) -> None:
        """Whom to tell of every change from now on."""
        self._accept = accept

    def configure(self, configured: Mapping[str, Caller]) -> None:
        """The configuration was replaced."""
        self._configured = dict(configured)
        self._accept(self.keys)

    async def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="keyring")

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._opened is not None:
            self._opened.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                changed = await asyncio.to_thread(self._look)
            except StoreError as error:
                if not self._troubled:
                    self._on_trouble(f"the keys cannot be read, those known stay good: {error}")
                self._troubled = True
                continue
            self._troubled = False
            if changed:
                self._accept(self.keys)

    def _look(self) -> bool:
        """Read the store if there is one; whether anything changed."""
        if self._store is None:
            if not self._database.exists():
                return False
            self._opened = StateStore(self._database)
            self._store = KeyStore(self._opened, state=self._state)
        version, keys = self._store.look()
        changed = version != self._version
        if self._known is not None:
            self._known.keep(keys, changed=changed)
        if changed:
            self._version = version
            self._go_by(keys)
        return changed

    def _go_by(self, keys: list[StoredKey]) -> None:
        self._needed = bool(keys)
        self._stored = dict(pair for key in keys for pair in key.callers())

    def _remember(self, error: StoreError) -> None:
        """The store cannot be read at the start."""
        known = self._known.read() if self._known is not None else None
        if known is None:
            raise error
        self._troubled = True
        self._on_trouble(f"the keys cannot be read, those known before are good: {error}")
        self._go_by(known)

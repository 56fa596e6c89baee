"""Where pages have their facts from: what the admin listener tells anybody, the ledger, and the recorder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec

from equipoise.core.callers import Caller, Role
from equipoise.dashboard.recorder import Recorder
from equipoise.gateway.admin import Ask
from equipoise.gateway.problems import Problem
from equipoise.http import Request, Response
from equipoise.stores import Ledger
from equipoise.stores.series import asked

T = TypeVar("T")
LOOKING = Caller(key="dashboard", role=Role.VIEW)
"""As whom a page asks for what it shows to somebody who was let in."""
FRESH = 1.0
"""Seconds an answer of the ledger serves everybody who asks the same."""
AT_ONCE = 2


class Facts:
    """Asks on behalf of pages. `story` is that of /v1/requests; without a ledger its questions are answered with nothing."""

    def __init__(
        self,
        *,
        status: Callable[[], dict[str, Any]],
        ledger: Ledger | None,
        story: Callable[[str], Awaitable[list[dict[str, Any]] | None]],
        recorder: Recorder,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.status, self.recorder, self.wall, self.story = status, recorder, wall, story
        self._ask: Ask = _nobody
        self._ledger = ledger
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._asking = WeakValueDictionary[Hashable, asyncio.Lock]()

    @property
    def has_ledger(self) -> bool:
        """Is there a record of attempts to look things up in?"""
        return self._ledger is not None

    def connect(self, ask: Ask) -> None:
        """From whom to have what the admin listener tells."""
        self._ask = ask

    async def told(self, path: str, query: str = "") -> dict[str, Any]:
        """What a GET of the admin listener says to whoever may look; nothing where it has nothing to say (404)."""
        try:
            response = await self._ask(Request("GET", path, query, {}), "", LOOKING)
        except Problem as problem:
            if problem.status == 404:
                return {}
            raise
        return msgspec.json.decode(response.body, type=dict[str, Any]) if isinstance(response.body, bytes) else {}

    async def ledger(self, query: Callable[..., list[T]], *arguments: Any) -> list[T]:
        """Rows of a query of stores.series, in another thread, a few at a time. Raises StoreError."""
        if self._ledger is None:
            return []
        key = (query.__name__, repr(arguments))
        lock = self._asking.setdefault(key, asyncio.Lock())
        async with lock, self._turns:  # who asks the same while it is asked waits for that answer
            known = self._kept.get(key)
            if known is not None and self.wall() - known[0] < FRESH:
                rows: list[T] = known[1]
                return rows
            rows = await self._ledger.query(asked(query, *arguments))
            now = self.wall()
            self._kept = {known: kept for known, kept in self._kept.items() if now - kept[0] < FRESH}
            self._kept[key] = (now, rows)
            return rows


async def _nobody(request: Request, request_id: str, person: Caller) -> Response:
    raise Problem(404, "not_connected", "Nobody is asked.")

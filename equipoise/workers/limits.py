"""The limits of backends and keys that the workers share, and how one gets more of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from equipoise.balancer import LoadBalancer
from equipoise.core.backend import Backend
from equipoise.core.model import Request
from equipoise.core.sharing import Shared
from equipoise.gateway.limits import Lack
from equipoise.workers.exchange import Lenders, Shares, Wish

DRY_SECONDS = 0.25
"""How long nobody is asked again for what nobody had."""
WAITING_SECONDS = 0.05


class Places:
    """The attempts at once that a backend takes, as a shared limit."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def spare(self, now: float) -> int:
        """Places that are free."""
        return (self._backend.limit.maximum or 0) - self._backend.load.in_flight

    def resize(self, share: int, now: float) -> None:
        """Hold so many."""
        self._backend.limit.maximum = share

    def use_up(self, now: float) -> None:
        """Those of a process that ended are free."""


class Limits:
    """Attaches limits to their shares and asks the other workers for more where a question lacks some.

    Nobody waits for it but questions that would be turned away or wait anyhow.
    """

    def __init__(self, balancer: LoadBalancer, slices: Shares, exchange: Lenders) -> None:
        self._balancer, self._slices, self._exchange = balancer, slices, exchange
        self._dry: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """Share the limits of the backends there are now; again after each change of them."""
        for backend in self._balancer.selection.backends.values():
            for name, whole, limit in _limits_of(backend):
                self._slices.attach(name, whole, limit)
        self._balancer.borrow = self.borrow_for
        self._balancer.room.crowded = self._crowded

    def attach(self, name: str, whole: int, limit: Shared) -> None:
        """This limit is used here: give it its share."""
        self._slices.attach(name, whole, limit)

    async def borrow(self, lacks: list[Lack]) -> bool:
        """Ask the others for what is missing; did any come?"""
        now = time.monotonic()
        wishes = [Wish(name, whole, need) for name, whole, need in lacks if self._dry.get(name, 0.0) <= now]
        if not wishes:
            return False
        granted = await self._exchange.more(wishes)
        for wish in wishes:
            if not granted.get(wish.name):
                self._dry[wish.name] = time.monotonic() + DRY_SECONDS
        return any(granted.values())

    async def borrow_for(self, request: Request) -> bool:
        """Ask the others for what this question lacks, of any backend; did any come?"""
        return await self.borrow([lack for backend in self._asked(request) for lack in _lacks(backend, request)])

    def _asked(self, request: Request) -> Iterator[Backend]:
        backends = self._balancer.selection.backends
        if request.pinned is not None:
            yield from (backend for name, backend in backends.items() if name == request.pinned)
        else:
            yield from backends.values()

    def _crowded(self, request: Request) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._make_room(request), name="workers: places")

    async def _make_room(self, request: Request) -> None:
        room = self._balancer.room
        while room.waiting:
            if await self.borrow_for(request):
                room.wake()
            await asyncio.sleep(WAITING_SECONDS)


def _limits_of(backend: Backend) -> Iterator[tuple[str, int, Shared]]:
    """A limit that is configured anew begins anew, under another name."""
    options = backend.options
    if backend.rate is not None:
        yield f"{backend.id}: {backend.rate.per_minute} requests", backend.rate.per_minute, backend.rate
    if backend.tokens is not None:
        yield f"{backend.id}: {backend.tokens.per_minute} tokens", backend.tokens.per_minute, backend.tokens
    if options.max_concurrent is not None:
        yield f"{backend.id}: {options.max_concurrent} at once", options.max_concurrent, Places(backend)


def _lacks(backend: Backend, request: Request) -> Iterator[Lack]:
    now = time.monotonic()
    for name, whole, limit in _limits_of(backend):
        need = min(backend.tokens_needed(request), whole) if limit is backend.tokens else 1
        if (lack := need - limit.spare(now)) > 0:
            yield name, whole, lack

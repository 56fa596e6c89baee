"""The clients of one configuration: who speaks to each backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from equipoise.backends.base import BackendClient, StreamItem
from equipoise.core.attempts import Attempts
from equipoise.core.model import Answer
from equipoise.core.selection import Lease
from equipoise.stream import first_of


class Crew:
    """The clients of one configuration, and how many questions they are still answering."""

    __slots__ = ("clients", "in_flight")

    def __init__(self, clients: Mapping[str, BackendClient]) -> None:
        self.clients, self.in_flight = dict(clients), 0

    async def send(self, attempts: Attempts, lease: Lease) -> Answer:
        """Ask whom the lease is for. Raises BackendError."""
        return await self.clients[lease.backend_id].send(attempts.request, attempts.seconds_left(lease))

    async def begin_stream(self, attempts: Attempts, lease: Lease) -> tuple[AsyncIterator[StreamItem], StreamItem]:
        """The same as a stream, with its first item in hand. Raises BackendError."""
        items = self.clients[lease.backend_id].stream(attempts.request, attempts.seconds_left(lease))
        return items, await first_of(items)

    async def close(self) -> None:
        """Close every connection."""
        for client in self.clients.values():
            await client.close()

"""The clients of one configuration: who speaks to each backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from equipoise.backends.base import BackendClient, BackendError, StreamItem
from equipoise.core.attempts import Attempts
from equipoise.core.data_classes import NOT_ALLOWED, forbidden
from equipoise.core.model import Answer, Verdict
from equipoise.core.selection import Lease
from equipoise.stream import first_of


class Crew:
    """The clients of one configuration, and how many questions they are still answering."""

    __slots__ = ("clients", "in_flight")

    def __init__(self, clients: Mapping[str, BackendClient]) -> None:
        self.clients, self.in_flight = dict(clients), 0

    async def send(self, attempts: Attempts, lease: Lease) -> Answer:
        """Ask whom the lease is for. Raises BackendError."""
        return await self._client(attempts, lease).send(attempts.request, attempts.seconds_left(lease))

    async def begin_stream(self, attempts: Attempts, lease: Lease) -> tuple[AsyncIterator[StreamItem], StreamItem]:
        """The same as a stream, with its first item in hand. Raises BackendError."""
        items = self._client(attempts, lease).stream(attempts.request, attempts.seconds_left(lease))
        return items, await first_of(items)

    def _client(self, attempts: Attempts, lease: Lease) -> BackendClient:
        """Who speaks to the backend of a lease. Selection leases none that may not be shown the question; here, at the
        last door before a socket, that is looked at once more."""
        if (why := forbidden(attempts.request.data_classes, lease.backend.options.allows)) is not None:
            raise BackendError(
                Verdict.IGNORED, f"{lease.backend_id} was not asked: {why}", code=NOT_ALLOWED, sent=False
            )
        return self.clients[lease.backend_id]

    async def close(self) -> None:
        """Close every connection."""
        for client in self.clients.values():
            await client.close()

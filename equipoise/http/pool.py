"""Kept-alive connections to one origin, shared fairly."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from equipoise.http.deadline import NEVER
from equipoise.http.dial import Dialer, Route, client_context
from equipoise.http.environment import proxy_for
from equipoise.http.errors import HTTPError
from equipoise.http.exchange import ClientConnection
from equipoise.http.outgoing import RequestWriter
from equipoise.http.response import ClientResponse

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})  # RFC 9110, 9.2.2

COMPRESSED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, or None for no limit.

    `connect` covers waiting for a place in the pool, resolving, connecting and TLS; `first_byte` runs from the request
    to the first byte of the response's body; `between_bytes` while the body comes; `total` from the call to the last byte.
    """

    connect: float | None = 10.0
    first_byte: float | None = 120.0
    between_bytes: float | None = 120.0
    total: float | None = None


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`keep_alive` and `max_age` in seconds, `refresh` how long a resolved name counts; sizes in bytes."""

    connections: int = 100
    keep_alive: float = 30.0
    max_age: float = 600.0
    refresh: float = 30.0
    head_bytes: int = 65_536
    body_bytes: int = 64 * 1024 * 1024


DEFAULT_TIMEOUTS: Final = Timeouts()


class Pool:
    """Connections to one origin, `http(s)://host[:port]`.

    `proxy` is the URL of an HTTP proxy, "" for none, None for what the environment says. Without `tls` the system's
    authorities are used (or those of `SSL_CERT_FILE`). Raises ValueError for an origin or proxy that is none.
    """

    def __init__(
        self,
        origin: str,
        *,
        limits: PoolLimits | None = None,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        parts = urlsplit(origin)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.path not in {"", "/"}
            or "@" in parts.netloc
        ):
            raise ValueError("an origin is http(s)://host[:port] and nothing more")
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.limits = limits or PoolLimits()
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        via = proxy_for(parts.scheme, parts.hostname, port) if proxy is None else proxy
        context = (tls or client_context()) if secure else None
        self._route = Route.make(parts.hostname, port, context, via)
        self._dialer = Dialer(self._route, self.limits.refresh, self.origin)
        self._writer = RequestWriter(self.origin, parts.netloc, self._route)
        self._idle: list[ClientConnection] = []
        self._all: set[ClientConnection] = set()
        self._places = 0  # connections, those being made, and those promised to a waiter
        self._waiters: deque[asyncio.Future[ClientConnection | None]] = deque()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def in_use(self) -> int:
        """Connections that carry a request or are being made."""
        return self._places - len(self._idle)

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        retry_stale: bool = False,
        decompress: bool = False,
    ) -> ClientResponse:
        """Send one request; returns when the head of its response is complete. Raises HTTPError.

        A kept-alive connection that the upstream closed before it answered a byte is replaced once if the method is
        idempotent or `retry_stale` is set. With `decompress` the upstream may compress, and the body reads as if it
        had not.
        """
        if decompress:
            headers = (*headers, (b"accept-encoding", b"gzip, deflate"))
        message = self._writer.message(method, target, headers, body)
        loop = self._loop or self._find_loop()
        now = loop.time()
        total_at = NEVER if timeouts.total is None else now + timeouts.total
        fresh = False
        while True:
            connection = None if fresh or self._waiters else self._take_idle(now)
            if connection is None:
                connection = await self._obtain(loop, timeouts, total_at, fresh=fresh)
                now = loop.time()
            response = connection.start(message, timeouts, now, total_at, head_only=method == "HEAD")
            try:
                await response.expect()
            except asyncio.CancelledError:
                response.close()
                raise
            error = response.error
            if error is None:
                response.compressed = decompress and response.headers.get(b"content-encoding") in COMPRESSED
                return response
            if fresh or error.timed_out or not connection.stale or not (retry_stale or method in IDEMPOTENT):
                raise error
            fresh = True

    def _find_loop(self) -> asyncio.AbstractEventLoop:
        """The loop this pool lives in; asking for it anew costs a system call."""
        self._loop = loop = asyncio.get_running_loop()
        return loop

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(HTTPError(f"{self.origin}: the pool was closed", phase="connect"))
        self._waiters.clear()
        for connection in list(self._all):
            connection.shut()
        await asyncio.sleep(0)

    # Obtaining a connection

    def _take_idle(self, now: float) -> ClientConnection | None:
        """The connection that was used last: the others may grow old and go."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.closed and now - connection.born < self.limits.max_age:
                return connection
            connection.abort()
        return None

    async def _obtain(
        self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts, total_at: float, *, fresh: bool = False
    ) -> ClientConnection:
        until = total_at if timeouts.connect is None else min(total_at, loop.time() + timeouts.connect)
        if fresh and self._idle and self._places >= self.limits.connections:
            self._idle.pop(0).abort()  # makes room for a new one
        while not self._closed:
            if self._places < self.limits.connections and not self._waiters:
                self._places += 1
                return await self._dial(loop, until)
            connection = await self._wait_for_place(loop, until)
            if connection is None:
                return await self._dial(loop, until)
            if not connection.closed:
                return connection
        raise HTTPError(f"{self.origin}: the pool was closed", phase="connect")

    async def _wait_for_place(self, loop: asyncio.AbstractEventLoop, until: float) -> ClientConnection | None:
        """A connection that another request gave back, or None for a place to make one in."""
        waiter: asyncio.Future[ClientConnection | None] = loop.create_future()
        self._waiters.append(waiter)
        timer = None if until == NEVER else loop.call_at(until, self._give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_up(self, waiter: asyncio.Future[ClientConnection | None]) -> None:
        if not waiter.done():
            message = f"{self.origin}: all {self.limits.connections} connections stayed busy"
            waiter.set_exception(HTTPError(message, phase="connect", timed_out=True))

    async def _dial(self, loop: asyncio.AbstractEventLoop, until: float) -> ClientConnection:
        """Make a connection in a place that is already counted."""
        connection: ClientConnection | None = None
        try:
            connection = await self._dialer.dial(lambda: ClientConnection(self, loop), until)
        finally:
            if connection is None or connection.closed:
                self._pass_on(None)
        if connection.closed:
            message = f"{self.origin}: the upstream closed the connection at once"
            raise HTTPError(message, phase="connect")
        self._all.add(connection)
        return connection

    # Giving it back

    def _pass_on(self, connection: ClientConnection | None) -> None:
        """Give a connection, or a place for one, to whoever has waited longest."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._places -= 1
        elif not connection.closed:
            self._idle.append(connection)
            connection.rest()

    def release(self, connection: ClientConnection) -> None:
        """Take back a connection whose exchange ended cleanly."""
        if self._closed:
            connection.abort()
        else:
            self._pass_on(connection)

    def forget(self, connection: ClientConnection) -> None:
        """A connection is closed: its place is free."""
        if connection in self._all:
            self._all.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._pass_on(None)

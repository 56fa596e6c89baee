"""The listening half: sockets, TLS, limits on connections, draining."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable

from equipoise.http.connection import ServerConnection
from equipoise.http.flow import Outbox
from equipoise.http.messages import Admission, Handler, Refused, ServerLimits, TLSFiles
from equipoise.http.proxies import TrustedProxies

BACKLOG = 2_048


def ignore_refusal(status: int, reason: str, client: str) -> None:
    """The default of `on_error`: nobody wants to know, and plain text will do."""


def server_context(files: TLSFiles) -> ssl.SSLContext:
    """TLS 1.2 or newer, HTTP/1.1, and client certificates if an authority for them is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(files.certificate, files.key)
    if files.ca is not None:
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Server:
    """Serves one handler over HTTP/1.1 on a TCP or Unix socket.

    `admit` sees every complete head before its body is read and may answer in the handler's place; `on_error` is told
    of requests that were refused before any handler, and may give the words (a whole response) to refuse them with. What a handler raises goes to the loop's exception handler and
    the client gets 500 (or a cut stream).
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: ServerLimits | None = None,
        tls: TLSFiles | None = None,
        trusted_proxies: Iterable[str] = (),
        admit: Admission | None = None,
        on_error: Refused | None = None,
    ) -> None:
        self.handler, self.admit, self.on_error = handler, admit, on_error or ignore_refusal
        self.limits = limits or ServerLimits()
        self.proxies = TrustedProxies(trusted_proxies)
        self.in_flight, self.outbox = 0, Outbox()
        self.port = 0
        self.draining = False
        self._tls_files = tls
        self._tls = None if tls is None else server_context(tls)
        self._listener: asyncio.AbstractServer | None = None
        self._connections: set[ServerConnection] = set()
        self._all_gone: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        """Open connections, idle ones included."""
        return len(self._connections)

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, reuse_port: bool = False, unix: str | None = None
    ) -> None:
        """Listen; `port` then holds the real one. Raises OSError if the address cannot be had."""
        loop = asyncio.get_running_loop()

        def protocol() -> ServerConnection:
            return ServerConnection(self, loop)

        if unix is not None:
            self._listener = await loop.create_unix_server(protocol, unix, ssl=self._tls, backlog=BACKLOG)
            return
        listener = await loop.create_server(
            protocol, host, port, ssl=self._tls, reuse_port=reuse_port or None, backlog=BACKLOG
        )
        self._listener, self.port = listener, listener.sockets[0].getsockname()[1]

    async def drain(self, deadline: float) -> int:
        """Refuse new connections, let what runs finish for up to `deadline` seconds, then cut; returns how many were cut."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        if self._connections:
            await self._wait_until_gone(deadline)
        left = list(self._connections)
        answering = sum(connection.answering for connection in left)
        for connection in left:
            connection.cut()
        if left:
            await self._wait_until_gone(1.0)
        return answering

    async def _wait_until_gone(self, seconds: float) -> None:
        self._all_gone = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._all_gone], timeout=seconds)

    def reload_tls(self) -> None:
        """Serve new connections with what the files hold now; if they are not good, raises and leaves all as it was."""
        if self._tls_files is None or self._tls is None:
            raise ValueError("this server has no TLS")
        server_context(self._tls_files)
        self._tls.load_cert_chain(self._tls_files.certificate, self._tls_files.key)

    # For the connections

    def admits(self, connection: ServerConnection) -> bool:
        """Count a new connection in; False if there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections

    def forget(self, connection: ServerConnection) -> None:
        """Count a closed connection out."""
        self._connections.discard(connection)
        if not self._connections and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

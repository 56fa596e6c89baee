"""From an origin to a connected socket: names, both address families, proxies, TLS."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec

from equipoise.http.deadline import NEVER
from equipoise.http.errors import HTTPError, Phase

if TYPE_CHECKING:
    from equipoise.http.exchange import ClientConnection

Address: TypeAlias = tuple[int, tuple[Any, ...]]  # family and what sock_connect wants
LookUp: TypeAlias = Callable[[str, int], Awaitable[list[Address]]]

# How long the first address has before the next is tried beside it (RFC 8305, 5: 250 ms).
HEAD_START: Final = 0.25
LONGEST_PROXY_ANSWER: Final = 16_384
PROXY_AGREES: Final = re.compile(rb"HTTP/1\.[01] 2[0-9]{2}[ \r]")


def client_context(ca: str | None = None) -> ssl.SSLContext:
    """Verifies names and chains against the system's authorities, `SSL_CERT_FILE`, or the PEM file `ca`."""
    if ca is not None:
        return ssl.create_default_context(cafile=ca)
    return _system_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)
def _system_context(file: str | None, directory: str | None) -> ssl.SSLContext:
    """OpenSSL reads the two variables by itself; they are arguments so that a change is noticed."""
    return ssl.create_default_context()


class Route(msgspec.Struct, frozen=True):
    """The way to an origin; the proxy's credentials are in no representation."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: tuple[str, int] | None = None
    proxy_authorization: bytes = b""

    def __repr__(self) -> str:
        return f"Route({self.host!r}, {self.port}, proxy={self.proxy})"

    @classmethod
    def make(cls, host: str, port: int, tls: ssl.SSLContext | None, proxy: str) -> Route:
        """Raises ValueError for a proxy that is not http://[user:password@]host[:port]."""
        if not proxy:
            return cls(host, port, tls)
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("only http:// proxies are known")
        authorization = b""
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            authorization = b"proxy-authorization: Basic " + base64.b64encode(credentials) + b"\r\n"
        return cls(host, port, tls, (parts.hostname, parts.port or 80), authorization)


async def system_look_up(host: str, port: int) -> list[Address]:
    """What the system's resolver says, both families."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(info[0], info[4]) for info in found]


class Dialer:
    """Makes connections along one route and remembers the addresses for `refresh` seconds."""

    def __init__(self, route: Route, refresh: float, origin: str, look_up: LookUp | None = None) -> None:
        self._route, self._refresh, self._origin = route, refresh, origin
        self._look_up = look_up or system_look_up
        self._addresses: list[Address] = []
        self._resolved_at = -NEVER

    async def dial(self, make: Callable[[], ClientConnection], until: float) -> ClientConnection:
        """A connected protocol, TLS included; raises HTTPError saying which phase failed, at the latest at `until`."""
        attempt = _Attempt(self, make)
        try:
            async with asyncio.timeout_at(None if until == NEVER else until):
                return await attempt.run()
        except TimeoutError:
            raise HTTPError(f"{self._origin}: no connection in time", phase=attempt.phase, timed_out=True) from None
        except OSError as error:  # ssl.SSLError and socket.gaierror are OSErrors too
            self._resolved_at = -NEVER
            raise HTTPError(f"{self._origin}: {_describe(error)}", phase=attempt.phase) from error

    async def addresses(self) -> list[Address]:
        """Where to connect to; if resolving fails, the addresses that were good last time."""
        loop = asyncio.get_running_loop()
        if self._addresses and loop.time() - self._resolved_at < self._refresh:
            return self._addresses
        host, port = self._route.proxy or (self._route.host, self._route.port)
        try:
            found = await self._look_up(host, port)
        except socket.gaierror:
            if not self._addresses:
                raise
            return self._addresses
        self._addresses = interleave(found)
        self._resolved_at = loop.time()
        return self._addresses

    @property
    def route(self) -> Route:
        """The way this dialer goes."""
        return self._route


class _Attempt:
    """One connection in the making; `phase` says how far it came."""

    def __init__(self, dialer: Dialer, make: Callable[[], ClientConnection]) -> None:
        self._dialer, self._route, self._make = dialer, dialer.route, make
        self.phase: Phase = "resolve"

    async def run(self) -> ClientConnection:
        addresses = await self._dialer.addresses()
        self.phase = "connect"
        connected = await connect_first(addresses)
        try:
            return await self._wrap(connected)
        except BaseException:
            connected.close()
            raise

    async def _wrap(self, connected: socket.socket) -> ClientConnection:
        route, loop = self._route, asyncio.get_running_loop()
        if route.proxy is not None and route.tls is not None:
            await open_tunnel(connected, route)
        name = None if route.tls is None else route.host
        if route.tls is not None:
            self.phase = "tls"
        _, protocol = await loop.create_connection(self._make, sock=connected, ssl=route.tls, server_hostname=name)
        return protocol


def _describe(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not good: {error.verify_message}"
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)  # asyncio's own words name the address
    return error.strerror or str(error) or type(error).__name__


def interleave(addresses: list[Address]) -> list[Address]:
    """Families in turn, the resolver's first choice first, so that one broken family costs one attempt."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    second = [address for address in addresses if address[0] != addresses[0][0]]
    mixed: list[Address] = []
    for position in range(max(len(first), len(second))):
        mixed += first[position : position + 1] + second[position : position + 1]
    return mixed


async def connect_one(address: Address) -> socket.socket:
    """A connected, non-blocking TCP socket."""
    family, where = address
    attempt = socket.socket(family, socket.SOCK_STREAM)
    try:
        attempt.setblocking(False)
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(attempt, where)
    except BaseException:
        attempt.close()
        raise
    return attempt


async def connect_first(addresses: list[Address]) -> socket.socket:
    """The first of these that answers; each next one joins after `HEAD_START` or as soon as one has failed."""
    if len(addresses) == 1:
        return await connect_one(addresses[0])
    remaining = list(reversed(addresses))
    running: set[asyncio.Task[socket.socket]] = set()
    error = OSError("the name has no addresses")
    try:
        while remaining or running:
            if remaining:
                running.add(asyncio.create_task(connect_one(remaining.pop())))
            done, running = await asyncio.wait(
                running, timeout=HEAD_START if remaining else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failure = task.exception()
                if failure is None:
                    return task.result()
                error = failure if isinstance(failure, OSError) else error
        raise error
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def open_tunnel(connected: socket.socket, route: Route) -> None:
    """CONNECT through a proxy (RFC 9110, 9.3.6); nothing may follow its answer before we speak, so nothing is lost."""
    loop = asyncio.get_running_loop()
    authority = f"[{route.host}]:{route.port}" if ":" in route.host else f"{route.host}:{route.port}"
    target = authority.encode("idna" if not authority.isascii() else "ascii")
    await loop.sock_sendall(
        connected, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, route.proxy_authorization)
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = await loop.sock_recv(connected, 4_096)
        answer += data
        if not data or len(answer) > LONGEST_PROXY_ANSWER:
            raise ConnectionError("the proxy gave no usable answer to CONNECT")
    if PROXY_AGREES.match(answer) is None:
        status = answer[:60].split(b"\r")[0].decode("latin-1")
        raise ConnectionError(f"the proxy refused: {status}")

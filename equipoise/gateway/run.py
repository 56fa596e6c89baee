"""Two listeners from start to the last answer: signals, readiness, draining."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from typing import Literal, Protocol, TypeAlias

from equipoise.gateway.gateway import Gateway
from equipoise.http import Server, ServerLimits, TLSFiles

ServerKind: TypeAlias = Literal["own", "uvicorn"]
ADMIN_LIMITS = ServerLimits(body_bytes=1_048_576, connections=100)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Listener(Protocol):
    """What serving needs of a server, ours or another."""

    port: int

    async def drain(self, deadline: float) -> int: ...


async def run_gateway(
    gateway: Gateway,
    *,
    host: str = "127.0.0.1",
    port: int = 4000,
    admin_host: str = "127.0.0.1",
    admin_port: int | None = None,
    server: ServerKind = "own",
    limits: ServerLimits | None = None,
    tls: TLSFiles | None = None,
    trusted_proxies: Iterable[str] = (),
    reuse_port: bool = False,
    on_ready: Callable[[int, int], None] = lambda public_port, admin_port: None,
    notice_seconds: float = 0.0,
    drain_seconds: float = 30.0,
    stop: Stop | None = None,
    with_admin: bool = True,
) -> int:
    """Serve until SIGTERM or SIGINT, then drain; returns how many answers had to be cut.

    The admin port is by default the one after the public port. On the first signal readiness fails; `notice_seconds`
    later (time for load balancers to look) no new connection is accepted, and running answers have `drain_seconds` to
    finish. A second signal cuts them. The admin listener closes last; a worker has none of its own. `stop` may be told from
    elsewhere, too. Raises OSError if an address cannot be had.
    """
    stop = stop or Stop()
    public = await _public(gateway, host, port, server, limits, tls, trusted_proxies, reuse_port)
    admin = Server(gateway.handle_admin, limits=ADMIN_LIMITS)
    try:
        if with_admin:
            await admin.start(admin_host, public.port + 1 if admin_port is None else admin_port)
    except BaseException:
        await public.drain(0)
        raise
    gateway.cache.start()
    with stop:
        on_ready(public.port, admin.port)
        await stop.asked.wait()
        gateway.health.draining = True
        cut = await _drain(public, stop, notice_seconds, drain_seconds)
        await gateway.repeats.close()
        await gateway.cache.close()
    await admin.drain(0)
    return cut


async def _public(
    gateway: Gateway,
    host: str,
    port: int,
    kind: ServerKind,
    limits: ServerLimits | None,
    tls: TLSFiles | None,
    trusted_proxies: Iterable[str],
    reuse_port: bool,
) -> Listener:
    if kind == "uvicorn":
        from equipoise.gateway.uvicorn_listener import UvicornListener

        foreign = UvicornListener(gateway, limits, tls, trusted_proxies)
        await foreign.start(host, port, reuse_port=reuse_port)
        return foreign
    own = Server(
        gateway.handle,
        limits=limits,
        tls=tls,
        trusted_proxies=trusted_proxies,
        admit=gateway.admit,
        on_error=gateway.refused,
    )
    await own.start(host, port, reuse_port=reuse_port)
    return own


async def _drain(public: Listener, stop: Stop, notice: float, seconds: float) -> int:
    """Wait a moment with failing readiness, then drain; the second signal ends both at once."""
    await stop.insisted_within(notice)
    draining = asyncio.create_task(public.drain(0 if stop.insisted.is_set() else seconds))
    insisting = asyncio.create_task(stop.insisted.wait())
    try:
        await asyncio.wait({draining, insisting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        insisting.cancel()
    if draining.done():
        return draining.result()
    draining.cancel()
    await asyncio.wait({draining})
    return await public.drain(0)


class Stop:
    """Signals as events: the first asks, the second insists. Outside the `with` block signals do what they did."""

    def __init__(self) -> None:
        self.asked, self.insisted = asyncio.Event(), asyncio.Event()

    def __enter__(self) -> Stop:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.hear)
        return self

    def __exit__(self, *error: object) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def hear(self) -> None:
        """One signal came."""
        (self.insisted if self.asked.is_set() else self.asked).set()

    async def insisted_within(self, seconds: float) -> bool:
        """Wait for the second signal, but no longer than this."""
        if seconds <= 0:
            return self.insisted.is_set()
        waiting = asyncio.create_task(self.insisted.wait())
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()
        return self.insisted.is_set()

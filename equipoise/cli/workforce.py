"""`equipoise serve --workers N`: the parent, which answers operators and no questions."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.output import tell
from equipoise.cli.serve import has_keys
from equipoise.cli.serving import announce, stopped
from equipoise.config import ListenConfig
from equipoise.config.load import Loaded
from equipoise.gateway.run import ADMIN_LIMITS, SIGNALS
from equipoise.http import Server
from equipoise.workers.hub import Hub
from equipoise.workers.messages import Assignment
from equipoise.workers.supervisor import Supervisor, reserved


async def supervise(loaded: Loaded, flags: Mapping[str, Any], *, insecure: bool) -> int:
    """Keep the workers running until told to stop; returns the exit code. Raises Failure when it cannot begin."""
    _require_possible(loaded)
    listen = loaded.config.listen
    hub = Hub(listen.workers, tell)
    held = _held(listen)
    admin = Server(hub.admin, limits=ADMIN_LIMITS)
    port = held[0].getsockname()[1]
    file = None if loaded.file is None else str(loaded.file.resolve())
    base = Assignment(slot=0, count=listen.workers, port=port, file=file, flags=dict(flags), insecure=insecure)
    drain = listen.drain_notice_seconds + listen.drain_seconds
    supervisor = Supervisor(hub, lambda slot: hub.assignment(base, slot), tell, drain)

    def ready() -> None:
        announce(loaded, port, admin.port, keyed=has_keys(loaded.config))

    try:
        await _begin(admin, listen)
        with _signals(supervisor, hub):
            await supervisor.run(ready)
        await admin.drain(0)
    finally:
        for each in held:
            each.close()
    tell(stopped(hub.cut))
    return supervisor.failed or 0


def _require_possible(loaded: Loaded) -> None:
    if sys.platform == "win32":
        raise Failure("Windows has no port that several processes share", USAGE, "--workers 1")
    if loaded.config.migration is not None:
        raise Failure(
            "a migration is judged in one process",
            USAGE,
            "listen.workers: 1 until it is over; or as many gateways with one state_dir",
        )


def _held(listen: ListenConfig) -> list[socket.socket]:
    try:
        return reserved(listen.host, listen.port)
    except OSError as error:
        why = error.strerror or error
        hint = "--port and --admin-port choose others, 0 lets the system choose"
        raise Failure(f"cannot listen on {listen.host}:{listen.port}: {why}", USAGE, hint) from error


async def _begin(admin: Server, listen: ListenConfig) -> None:
    wanted = listen.effective_admin_port
    try:
        await admin.start(listen.admin_host, wanted)
    except OSError as error:
        why = error.strerror or error
        hint = "--admin-port chooses another, 0 lets the system choose"
        raise Failure(f"cannot listen on {listen.admin_host}:{wanted}: {why}", USAGE, hint) from error


@contextmanager
def _signals(supervisor: Supervisor, hub: Hub) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, hub.reload)
    try:
        yield
    finally:
        for number in (*SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)

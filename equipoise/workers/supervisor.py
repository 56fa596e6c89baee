"""The parent of all workers: starts them, starts them again, and ends with them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable

from equipoise.workers import messages as m
from equipoise.workers.backoff import LIMIT, Backoff
from equipoise.workers.channel import Channel
from equipoise.workers.hub import Hub

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from equipoise.cli.worker import main; sys.exit(main(int(sys.argv[2])))"
)
"""A new interpreter (never a fork of this one, whose loop would come along) that finds its modules where this one does."""
PATIENCE = 10.0
"""Seconds beyond its own deadline after which a worker that does not end is killed."""


class Supervisor:
    """Keeps so many workers running until `stop`, or until none can be kept running.

    `assignment` says what a worker of a number is to be; `tell` hears what an operator should.
    """

    def __init__(
        self, hub: Hub, assignment: Callable[[int], m.Assignment], tell: Callable[[str], None], drain_seconds: float
    ) -> None:
        self._hub, self._assignment, self._tell = hub, assignment, tell
        self._drain_seconds = drain_seconds
        self._processes: dict[int, Process] = {}
        self._backoffs = [Backoff() for _ in range(hub.count)]
        self._stopping = asyncio.Event()
        self._insisted = 0
        self.failed: int | None = None
        """The exit code, where workers could not be kept running."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Start all, call `ready` once each answers, and keep them running until `stop` or `failed`."""
        async with asyncio.TaskGroup() as group:
            for slot in range(self._hub.count):
                group.create_task(self._keep(slot), name=f"worker {slot}")
            while self._hub.ready < self._hub.count and not self._stopping.is_set():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.02)
            if not self._stopping.is_set():
                ready()
            await self._stopping.wait()
            await self._killed_in_the_end()

    def stop(self) -> None:
        """Have all drain; a second call has them cut what still runs."""
        self._stopping.set()
        self._hub.stopping = True  # the last words are the leader's, and no second one's
        self._insisted += 1
        for process in self._processes.values():
            _send(process, signal.SIGTERM)

    async def _keep(self, slot: int) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_one(slot)
            was_ready = slot in self._hub.live and self._hub.live[slot].began
            self._hub.lost(slot)
            if self._stopping.is_set():
                if code not in (0, -signal.SIGTERM) and self.failed is None:
                    self._tell(f"worker {slot} {_ended(code)} while stopping")
                return
            await self._after(slot, code, time.monotonic() - began, was_ready=was_ready)

    async def _run_one(self, slot: int) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                START,
                json.dumps(sys.path),
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a Ctrl-C at the terminal is for the parent alone
            )
        self._processes[slot] = process
        channel = Channel(self._hub.handlers(slot))
        await channel.open(ours)
        talking = asyncio.create_task(channel.run(), name=f"talk to worker {slot}")
        self._hub.joined(slot, channel, process.pid)
        try:
            channel.note(m.ASSIGN, self._assignment(slot))
            if self._stopping.is_set():
                _send(process, signal.SIGTERM)
            code = await process.wait()
            await asyncio.wait({talking}, timeout=1.0)  # what it said last
            return code
        finally:
            channel.close()
            await asyncio.wait({talking})
            self._processes.pop(slot, None)

    async def _after(self, slot: int, code: int, ran: float, *, was_ready: bool) -> None:
        backoff = self._backoffs[slot]
        pause = backoff.ended(ran)
        self._hub.crashed(slot)
        first = not was_ready and not self._hub.restarts
        if (first and code > 0) or (backoff.looping and not self._hub.ready):
            words = f"it {_ended(code)}" if first else f"ended {LIMIT} times in a row, and no other one answers"
            self._tell(f"worker {slot} cannot be kept running: {words}")
            self.failed = self.failed or max(code, 1)
            self.stop()
            return
        loop = "; it ends again and again, look at what it says" if backoff.looping else ""
        self._tell(f"worker {slot} {_ended(code)} after {ran:.1f} s; another is started in {pause:g} s{loop}")
        self._hub.restarts += 1
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _killed_in_the_end(self) -> None:
        deadline = time.monotonic() + self._drain_seconds + PATIENCE
        while self._processes and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)
        for slot, process in list(self._processes.items()):
            self._tell(f"worker {slot} does not end: it is killed")
            _send(process, signal.SIGKILL)


def _send(process: Process, number: int) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def reserved(host: str, port: int) -> list[socket.socket]:
    """Sockets that hold the address for the workers without listening on it. Raises OSError if it cannot be had.

    Without the first bind two gateways of one user would share a port and not know it.
    """
    held: list[socket.socket] = []
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        if port:
            with socket.socket(family, kind) as trial:
                _one_stack(trial, family)
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
        keeper = socket.socket(family, kind)
        _one_stack(keeper, family)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind((address[0], port, *address[2:]))
        port = port or keeper.getsockname()[1]
        held.append(keeper)
    return held


def _one_stack(of: socket.socket, family: int) -> None:
    if family == socket.AF_INET6:
        of.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)

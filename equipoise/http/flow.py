"""A client that does not keep up: noticed, waited for, and given up in the end."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

from equipoise.http.deadline import NEVER

# What is sent at once, though the turn goes on: who makes pieces without ever waiting must not fill the memory.
ENOUGH: Final = 65_536
# SO_LINGER with zero seconds: close() sends RST instead of FIN.
RESET: Final = struct.pack("ii", 1, 0)
TCP_CLOSED_BY_PEER: Final = frozenset({7, 8, 9, 11})  # CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING (include/net/tcp_states.h)


class Outbox:
    """What is handed on in one turn of the loop: it leaves when the turn ends, one connection's after another's.

    A write that finds its reader asleep has to wake it, which costs more than the write; of many in a row the first does.
    """

    __slots__ = ("_flows",)

    def __init__(self) -> None:
        self._flows: list[WriteFlow] = []

    def add(self, flow: WriteFlow, loop: asyncio.AbstractEventLoop) -> None:
        """This one has something to send."""
        if not self._flows:
            loop.call_soon(self._send)
        self._flows.append(flow)

    def _send(self) -> None:
        flows, self._flows = self._flows, []
        for flow in flows:
            flow.send()


class WriteFlow:
    """What is written to one client and not yet taken; `drained` is to be awaited before more is written."""

    __slots__ = (
        "_late", "_late_bytes", "_loop", "_opening", "_outbox", "_patience", "_stall", "_transport", "_unsent", "drained",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, patience: float, outbox: Outbox
    ) -> None:
        self._loop, self._transport, self._patience, self._outbox = loop, transport, patience, outbox
        self._late: list[bytes] = []
        self._late_bytes, self._opening = 0, False
        self.drained: asyncio.Future[None] | None = None
        self._stall, self._unsent = NEVER, 0

    def open(self, head: bytes) -> None:
        """Begin a streamed answer: the head leaves when the turn ends, or with the first piece."""
        self.hand_on(head)
        self._opening = True

    def hand_on(self, data: bytes) -> asyncio.Future[None] | None:
        """Send this when the turn ends, or when it is enough; a future if no more should come until it is done.

        The first piece of an answer is what people wait for: it does not wait for what else is done in this turn.
        """
        if not self._late:
            self._outbox.add(self, self._loop)
        self._late.append(data)
        self._late_bytes += len(data)
        if self._opening or self._late_bytes > ENOUGH:
            self._opening = False
            self.send()
        return self.drained

    def send(self) -> None:
        """Send what was handed on."""
        late, self._late, self._late_bytes = self._late, [], 0
        if late and not self._transport.is_closing():
            self._transport.write(late[0] if len(late) == 1 else b"".join(late))

    def pause(self) -> None:
        """Too much is waiting."""
        if self.drained is None:
            self.drained = self._loop.create_future()
            self.start_watch()

    def resume(self) -> None:
        """Enough was taken, or the client is gone."""
        drained, self.drained = self.drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def start_watch(self) -> None:
        """Measure progress from here."""
        self._unsent = self._transport.get_write_buffer_size()
        self._stall = self._loop.time() + self._patience

    def advanced(self) -> bool:
        """Whether the client took some of what waits, but not all, since the last look."""
        before = self._unsent
        self.start_watch()
        return 0 < self._unsent < before

    def stalled(self, now: float) -> bool:
        """Whether the client's time is up and it has taken nothing."""
        return self.drained is not None and now >= self._stall and not self.advanced()

    @property
    def next_look(self) -> float:
        """When `stalled` may become true."""
        return NEVER if self.drained is None else self._stall


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Let the connection end with a reset."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def hung_up(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has closed, by the kernel's account: true at most for TCP on Linux."""
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return False
    return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in TCP_CLOSED_BY_PEER

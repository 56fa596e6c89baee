"""A server that lets a good backend answer and then spoils the bytes: reset, silence, cuts, noise, at an exact byte."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable

SETTLED = 0.05
"""Seconds between the last byte and a reset, which would overtake bytes that have not been read."""
FOREVER = 3_600.0
HTML = b"<!doctype html><title>Sign in</title><p>Please sign in to this hotel's network.</p>"

Act = Callable[["Call"], Awaitable[None]]


class Call:
    """One connection of the gateway, before its request was read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, good: tuple[str, int]) -> None:
        self._reader, self._writer, self._good = reader, writer, good

    async def request(self) -> bytes:
        """All of the request."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return head + await self._reader.readexactly(int(length[1]) if length else 0)

    async def answer(self) -> tuple[bytes, bytes]:
        """Head and body, raw, as the good backend answers."""
        request = await self.request()
        reader, writer = await asyncio.open_connection(*self._good)
        writer.write(request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        head, body = await reader.readuntil(b"\r\n\r\n"), await reader.read()
        writer.close()
        return head, body

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def reset(self) -> None:
        """End with RST instead of FIN."""
        await asyncio.sleep(SETTLED)
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    async def hang(self) -> None:
        """Say nothing more, keep the connection."""
        await asyncio.sleep(FOREVER)


class Sick:
    """A port in front of a good backend at which one thing always goes wrong."""

    def __init__(self, act: Act, good: tuple[str, int]) -> None:
        self._act, self._good = act, good
        self._calls: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            await self._act(Call(reader, writer, self._good))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the gateway hung up first, or the test is over
        finally:
            self._calls.discard(task)
            writer.close()


class Watched:
    """A port before a good backend that counts the connections made to it."""

    def __init__(self, good: tuple[str, int]) -> None:
        self.connections = 0
        self._sick = Sick(self._relay, good)

    @property
    def port(self) -> int:
        return self._sick.port

    async def start(self) -> None:
        await self._sick.start()

    async def stop(self) -> None:
        await self._sick.stop()

    async def _relay(self, call: Call) -> None:
        self.connections += 1
        head, body = await call.answer()
        await call.send(head + body)


class Deaf:
    """A port whose queue is full, so that the kernel answers no further attempt to connect."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._queued = [socket.socket() for _ in range(4)]
        for waiting in self._queued:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self.port))

    async def stop(self) -> None:
        for each in (self._listener, *self._queued):
            each.close()


async def reset_at_once(call: Call) -> None:
    await call.reset()


async def hang_at_once(call: Call) -> None:
    await call.hang()


async def reset_after_request(call: Call) -> None:
    await call.request()
    await call.reset()


async def close_after_request(call: Call) -> None:
    await call.request()


async def hang_after_request(call: Call) -> None:
    await call.request()
    await call.hang()


async def hang_in_head(call: Call) -> None:
    head, _ = await call.answer()
    await call.send(head[: len(head) // 2])
    await call.hang()


async def cut_in_head(call: Call) -> None:
    head, _ = await call.answer()
    await call.send(head[: len(head) // 2])


async def hang_after_head(call: Call) -> None:
    head, _ = await call.answer()
    await call.send(head)
    await call.hang()


async def noise(call: Call) -> None:
    await call.request()
    await call.send(bytes(byte * 37 % 251 for byte in range(4_096)))


async def drip(call: Call) -> None:
    """Some bytes at a time, so slowly that the whole would take minutes."""
    head, body = await call.answer()
    await call.send(head)
    for at in range(0, len(body), 4):
        await call.send(body[at : at + 4])
        await asyncio.sleep(0.1)


async def hotel(call: Call) -> None:
    """200 with a page for people."""
    await call.request()
    await call.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(HTML) + HTML)


async def empty_object(call: Call) -> None:
    """200 with JSON that answers nothing."""
    await call.request()
    await call.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")


async def empty_body(call: Call) -> None:
    """200 without anything."""
    await call.request()
    await call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def status(code: int) -> Act:
    """An error page of a proxy in between."""

    async def refuse(call: Call) -> None:
        await call.request()
        await call.send(b"HTTP/1.1 %d No\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\nno.\n" % code)

    return refuse


def cut_in_body(share: float, *, reset: bool) -> Act:
    """So much of the body, then the end of the connection; 1.0 leaves out the last byte."""

    async def cut(call: Call) -> None:
        head, body = await call.answer()
        await call.send(head + body[: min(round(len(body) * share), len(body) - 1)])
        if reset:
            await call.reset()
        else:
            await asyncio.sleep(SETTLED)

    return cut


def hang_in_body(share: float) -> Act:
    async def hang(call: Call) -> None:
        head, body = await call.answer()
        await call.send(head + body[: round(len(body) * share)])
        await call.hang()

    return hang


EARLY: dict[str, Act] = {
    "reset at once": reset_at_once,
    "hang at once": hang_at_once,
    "reset after request": reset_after_request,
    "close after request": close_after_request,
    "hang after request": hang_after_request,
    "hang in head": hang_in_head,
    "cut in head": cut_in_head,
    "hang after head": hang_after_head,
    "cut after head": cut_in_body(0.0, reset=False),
    "noise": noise,
    "hotel page": hotel,
    "empty object": empty_object,
    "empty body": empty_body,
    **{f"status {code}": status(code) for code in (429, 500, 503, 529)},
}
"""What goes wrong before any word of the answer: another backend must answer, streamed or not."""

LATE: dict[str, Act] = {
    **{f"cut at {share:.0%}": cut_in_body(share, reset=False) for share in (0.01, 0.3, 0.6, 0.9, 1.0)},
    **{f"reset at {share:.0%}": cut_in_body(share, reset=True) for share in (0.3, 0.9)},
    "hang at 60%": hang_in_body(0.6),
    "slow drip": drip,
}
"""What goes wrong in the midst of the answer: a stream that has begun must end in an explicit error."""

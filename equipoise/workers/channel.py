"""Calls and notes between two processes over a pair of sockets: a length, then MessagePack."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, TypeAlias

import msgspec

LENGTH = 4
MOST_BYTES = 256 * 1024 * 1024
CALL_SECONDS = 5.0
Handler: TypeAlias = Callable[[bytes], Awaitable[Any]]


class Gone(Exception):
    """The other side is not there any more, or says nothing in time."""


class Refused(Exception):
    """The other side did not do it, and says why."""


class Frame(msgspec.Struct, array_like=True):
    """`number` joins a call with its answer and is 0 for a note; `kind` names the handler, or `=` an answer, `!` a refusal."""

    number: int
    kind: str
    body: bytes


ANSWER, REFUSAL = "=", "!"


class Channel:
    """One end. `handlers` serve what the other end asks: bytes in, something to encode out; Refused is told there."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)
        self._numbers = count(1)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, end: socket.socket) -> None:
        """Take this end; from now on one may speak."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=end)

    async def run(self) -> None:
        """Hear the other end until it is closed; then every call that waits raises Gone."""
        assert self._reader is not None
        try:
            while True:
                self._heard(await _frame(self._reader))
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.close()

    @property
    def connected(self) -> bool:
        """Is somebody at the other end?"""
        return self._writer is not None

    def note(self, kind: str, body: Any = None) -> None:
        """Say something that needs no answer; nothing happens where nobody is there."""
        self._send(Frame(0, kind, msgspec.msgpack.encode(body)))

    async def call(self, kind: str, body: Any = None, seconds: float = CALL_SECONDS) -> bytes:
        """Ask, and give the answer as MessagePack. Raises Gone or Refused."""
        if self._writer is None:
            raise Gone("nobody is at the other end")
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        self._send(Frame(number, kind, msgspec.msgpack.encode(body)))
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise Gone(f"no answer within {seconds:g} s") from None
        finally:
            self._calls.pop(number, None)

    async def finish(self) -> None:
        """Close this end once all that was said is on its way."""
        writer = self._writer
        self.close()
        if writer is not None:
            with suppress(OSError):
                await writer.wait_closed()

    def close(self) -> None:
        """Close this end."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(Gone("the other end was closed"))

    def _send(self, frame: Frame) -> None:
        if self._writer is None:
            return
        body = msgspec.msgpack.encode(frame)
        self._writer.write(len(body).to_bytes(LENGTH, "big") + body)

    def _heard(self, frame: Frame) -> None:
        if frame.kind in (ANSWER, REFUSAL):
            self._answered(frame)
            return
        task = asyncio.get_running_loop().create_task(self._serve(frame), name=f"workers: {frame.kind}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _answered(self, frame: Frame) -> None:
        waiting = self._calls.get(frame.number)
        if waiting is None or waiting.done():
            return
        if frame.kind == ANSWER:
            waiting.set_result(frame.body)
        else:
            waiting.set_exception(Refused(msgspec.msgpack.decode(frame.body, type=str)))

    async def _serve(self, frame: Frame) -> None:
        try:
            kind, said = ANSWER, await self._handlers[frame.kind](frame.body)
        except Refused as refused:
            kind, said = REFUSAL, str(refused)
        if frame.number:
            self._send(Frame(frame.number, kind, msgspec.msgpack.encode(said)))


async def _frame(reader: asyncio.StreamReader) -> Frame:
    size = int.from_bytes(await reader.readexactly(LENGTH), "big")
    if size > MOST_BYTES:
        raise OSError(f"a message of {size} bytes")
    return msgspec.msgpack.decode(await reader.readexactly(size), type=Frame)

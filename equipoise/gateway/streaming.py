"""A running answer as the body of a response: pieces go out as they come, and the upstream closes whatever happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from equipoise.backends.base import StreamItem
from equipoise.core.attempts import Unanswered
from equipoise.gateway.problems import Problem, of_unanswered

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, Reply


class StreamWriter(Protocol):
    """A dialect's way of writing one stream; pure."""

    def begin(self) -> bytes: ...

    def item(self, item: StreamItem) -> bytes: ...

    def end(self, reply: Reply) -> bytes: ...

    def cut(self, error: dict[str, Any]) -> bytes: ...


async def pieces(stream: AnswerStream, writer: StreamWriter) -> AsyncGenerator[bytes, None]:
    """What the client reads: at the end either the bookkeeping or an explicit error, never silence."""
    try:
        if opening := writer.begin():
            yield opening
        async for item in stream.items():
            if data := writer.item(item):
                yield data
        if stream.reply is not None:
            yield writer.end(stream.reply)
    except Unanswered as error:
        yield writer.cut(of_unanswered(error).told(stream.request_id))
    except msgspec.DecodeError as error:
        problem = Problem(502, "stream_interrupted", f"The upstream sent a malformed chunk: {error}")
        yield writer.cut(problem.told(stream.request_id))


class StreamBody:
    """The pieces as a body that closes its upstream even if nobody ever asked for the first piece.

    A bare async generator would not: closing one that was never started runs none of it.
    """

    def __init__(self, stream: AnswerStream, writer: StreamWriter) -> None:
        self._stream = stream
        self._pieces = pieces(stream, writer)

    def __aiter__(self) -> StreamBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._pieces.__anext__()
        except StopAsyncIteration:
            await self._stream.aclose()
            raise

    async def aclose(self) -> None:
        """The client is gone or has all: stop and close the upstream."""
        try:
            await self._pieces.aclose()
        finally:
            await self._stream.aclose()

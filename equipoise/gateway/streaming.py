"""A running answer as the body of a response: pieces go out as they come, and the upstream closes whatever happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from equipoise.backends.base import StreamItem
from equipoise.backends.errors import UNREADABLE
from equipoise.core.attempts import Unanswered
from equipoise.gateway.endings import client_gone
from equipoise.gateway.problems import Problem, of_unanswered
from equipoise.http import Sink, pour

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, Reply
    from equipoise.gateway.given import GivenStream


class StreamWriter(Protocol):
    """A dialect's way of writing one stream; pure."""

    def begin(self) -> bytes: ...

    def item(self, item: StreamItem) -> bytes: ...

    def end(self, reply: Reply) -> bytes: ...

    def cut(self, error: dict[str, Any]) -> bytes: ...


class StreamBody:
    """The pieces of an answer, as an iterator.

    It closes its upstream even if nobody ever asked for the first piece; a bare async generator would not, for closing
    one that was never started runs none of it. `ended` is told once: None for a whole answer, else what went wrong;
    `whole` says so from then on.
    """

    def __init__(
        self, stream: AnswerStream | GivenStream, writer: StreamWriter, ended: Callable[[Problem | None], None]
    ) -> None:
        self._stream, self._writer, self._ended = stream, writer, ended
        self._sink: Sink[bytes] | None = None
        self._over = self.whole = False
        self._pieces = self._written()

    def __aiter__(self) -> StreamBody:
        return self

    async def __anext__(self) -> bytes:
        return await self._pieces.__anext__()

    def pour_into(self, sink: Sink[bytes]) -> None:
        """Have pieces that come while the next one is waited for handed to `sink`, where the stream can do that."""
        self._sink = sink
        pour(self._stream, self._pour)

    def _pour(self, item: StreamItem) -> Awaitable[None] | None:
        data = self._writer.item(item)
        return self._sink(data) if data and self._sink is not None else None

    async def aclose(self) -> None:
        """The client is gone or has all: stop and close the upstream."""
        try:
            await self._pieces.aclose()
        finally:
            await self._stream.aclose()
            self._end(client_gone())

    async def _written(self) -> AsyncGenerator[bytes, None]:
        """What the client reads: at the end either the bookkeeping or an explicit error, never silence."""
        writer = self._writer
        try:
            if opening := writer.begin():
                yield opening
            async for item in self._stream.items():
                if data := writer.item(item):
                    yield data
            last = self._finished()
        except Unanswered as error:
            last = self._cut(of_unanswered(error))
        except UNREADABLE as error:
            await self._stream.aclose()
            cost = sum(attempt.cost for attempt in self._stream.attempts)
            message = f"The upstream sent a malformed chunk: {error}"
            attempts = len(self._stream.attempts)
            last = self._cut(Problem(502, "stream_interrupted", message, attempts=attempts, cost=cost))
        yield last

    def _finished(self) -> bytes:
        reply = self._stream.reply
        if reply is None:
            return self._cut(Problem(502, "stream_interrupted", "The stream ended without its end."))
        self._end(None)
        return self._writer.end(reply)

    def _cut(self, problem: Problem) -> bytes:
        self._end(problem)
        return self._writer.cut(problem.told(self._stream.request_id))

    def _end(self, problem: Problem | None) -> None:
        if not self._over:
            self._over, self.whole = True, problem is None
            self._ended(problem)

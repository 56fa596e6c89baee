"""A response of an upstream, as its bytes arrive."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Final

from equipoise.http.errors import BodyTooLarge, HTTPError
from equipoise.http.messages import Headers, Sink

if TYPE_CHECKING:
    from equipoise.http.exchange import ClientConnection

INFLATED_PIECE: Final = 65_536
GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class ClientResponse:
    """Status and headers are here; the body is read whole with `read` or piece by piece with `async for`.

    Whoever got it must read it to its end or `close` it. Reading raises HTTPError when the upstream fails.
    """

    __slots__ = (
        "_body_limit",
        "_connection",
        "_enough",
        "_held_up",
        "_into",
        "_loop",
        "_sink",
        "_waiter",
        "buffered",
        "complete",
        "compressed",
        "error",
        "headers",
        "pause_at",
        "pieces",
        "status",
    )

    def __init__(
        self, connection: ClientConnection, loop: asyncio.AbstractEventLoop, pause_at: int, body_limit: int
    ) -> None:
        self.status = 0
        self.headers: Headers = {}
        self.pieces: list[bytes] = []
        self.buffered = 0
        self.pause_at = pause_at
        self.complete = False
        self.compressed = False  # and the caller asked for it to be undone
        self.error: HTTPError | None = None
        self._connection: ClientConnection | None = connection
        self._loop, self._body_limit = loop, body_limit
        self._waiter: asyncio.Future[None] | None = None
        self._into: Sink[bytes] | None = None
        self._sink: Sink[bytes] | None = None  # set while pieces are handed on as they come
        self._held_up: Awaitable[None] | None = None
        self._enough = False

    async def read(self, limit: int | None = None) -> bytes:
        """The whole body; raises BodyTooLarge beyond `limit` bytes (default: the pool's)."""
        if limit is None:
            limit = self._body_limit
        if self.compressed:
            return await self._read_inflated(limit)
        self.pause_at = limit
        if self._connection is not None:
            self._connection.resume()
        while not self.complete and self.buffered <= limit and self.error is None:
            await self._wait()
        if self.buffered > limit:
            self.close()
            raise BodyTooLarge(f"the response has more than {limit} bytes")
        if self.error is not None:
            raise self.error
        return self._take()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return inflated(self) if self.compressed else self

    async def _read_inflated(self, limit: int) -> bytes:
        body = bytearray()
        async for piece in self:
            body += piece
            if len(body) > limit:
                self.close()
                raise BodyTooLarge(f"the response has more than {limit} bytes")
        return bytes(body)

    async def __anext__(self) -> bytes:
        if self._into is not None:
            await self.pour(self._into)
            raise StopAsyncIteration
        while not self.pieces:
            if self.error is not None:
                raise self.error
            if self.complete:
                raise StopAsyncIteration
            await self._wait()
        return self._take()

    def pour_into(self, sink: Sink[bytes]) -> None:
        """Hand on what comes to whoever asks for the next piece, instead of giving it; what is compressed is given."""
        if not self.compressed:
            self._into = sink

    async def pour(self, sink: Sink[bytes]) -> None:
        """Hand each piece to `sink` as it comes until the body ends, or until `stop`; `sink` is not to raise.

        While the sink is held up pieces are kept, and beyond `pause_at` the upstream is made to wait.
        """
        while not self._enough:
            if self._held_up is not None:
                held_up, self._held_up = self._held_up, None
                await held_up
            elif self.pieces:
                self._held_up = sink(self._take())
            elif self.error is not None:
                raise self.error
            elif self.complete:
                return
            else:
                self._sink = sink
                try:
                    await self._wait()
                finally:
                    self._sink = None

    def stop(self) -> None:
        """Nothing more is to be poured."""
        self._enough, self._sink = True, None
        self.wake()

    def hand_on(self) -> bool:
        """Hand what one read brought to the sink, in one piece; False if it has to be told to whoever waits."""
        sink, pieces = self._sink, self.pieces
        if sink is None:
            return False
        if pieces:
            self.pieces, self.buffered = [], 0
            self._held_up = held_up = sink(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if held_up is not None:
                self._sink = None
        return self._sink is not None

    def _take(self) -> bytes:
        pieces, self.pieces, self.buffered = self.pieces, [], 0
        if self._connection is not None:
            self._connection.resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _wait(self) -> None:
        try:
            await self.expect()
        except asyncio.CancelledError:
            self.close()
            raise

    def expect(self) -> asyncio.Future[None]:
        """Done as soon as anything more is known: the head, bytes, the end, an error."""
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def wake(self) -> None:
        """Something changed: more bytes, the end, or an error."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def detach(self) -> None:
        """The connection is no longer ours."""
        self._connection = None

    def close(self) -> None:
        """Let go: a body that was not read to its end costs its connection. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.error = HTTPError("the response was closed before its end", phase="read")
            connection.abort()
            self.wake()

    async def aclose(self) -> None:
        """`close`, under the name that asynchronous iterators give it."""
        self.close()


async def inflated(response: ClientResponse) -> AsyncIterator[bytes]:
    """The body of a gzip or deflate response in pieces of bounded size, however well it was compressed."""
    decoder = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        while not decoder.eof:
            compressed = await anext(response)
            more = True
            while more:
                piece = decoder.decompress(compressed, INFLATED_PIECE)
                compressed = decoder.unconsumed_tail
                more = bool(compressed) or len(piece) == INFLATED_PIECE
                if piece:
                    yield piece
        while await anext(response, b""):
            pass  # what follows the compressed data is padding
    except (zlib.error, StopAsyncIteration) as error:
        raise HTTPError("the compressed response is damaged or ends early", phase="read") from error
    finally:
        response.close()

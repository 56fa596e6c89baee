"""One upstream connection: a request goes out, a response comes back, nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import httptools

from equipoise.http.deadline import NEVER, Deadline
from equipoise.http.errors import HTTPError, Phase
from equipoise.http.response import ClientResponse

if TYPE_CHECKING:
    from equipoise.http.pool import Pool, Timeouts

# What may wait for a slow reader of a response before its upstream is paused.
HIGH_WATER: Final = 65_536

BLANKS: Final = (b" ", b"\t")

# Longer than the round trip of any upstream worth keeping alive, shorter than any answer worth paying for.
STALE_SECONDS: Final = 0.25


class ClientConnection(asyncio.Protocol):
    """Carries one exchange at a time and returns to its pool only if both sides agree that it ended cleanly."""

    __slots__ = (
        "_answered",
        "_barren",
        "_between",
        "_deadline",
        "_ended",
        "_final",
        "_flowing",
        "_head_only",
        "_headers",
        "_loop",
        "_malformed",
        "_parser",
        "_paused",
        "_pool",
        "_response",
        "_reusable",
        "_started",
        "_total_at",
        "_transport",
        "_until_close",
        "born",
        "closed",
        "reused",
    )

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool, self._loop = pool, loop
        self._parser = httptools.HttpResponseParser(self)
        self._deadline = Deadline(loop, self._expired)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._response: ClientResponse | None = None
        self._headers: dict[bytes, bytes] = {}
        self._between, self._total_at = NEVER, NEVER
        self._barren = 0  # bytes since the last that belonged to a body
        self._malformed: str | None = None
        self._answered = self._final = self._ended = self._reusable = False
        self._until_close = self._head_only = self._paused = self._flowing = False
        self.closed = self.reused = False
        self.born = self._started = loop.time()

    @property
    def stale(self) -> bool:
        """Whether the exchange failed as it does on a kept-alive connection that the upstream had given up.

        That shows within a round trip. What breaks later was read, perhaps worked on and billed: no silent second try.
        """
        at_once = self._loop.time() - self._started < STALE_SECONDS
        return self.closed and self.reused and not self._answered and at_once

    # The exchange

    def start(
        self, message: bytes, timeouts: Timeouts, now: float, total_at: float, *, head_only: bool
    ) -> ClientResponse:
        """Send a request; what becomes of it shows in the response, its head first."""
        self._response = response = ClientResponse(self, self._loop, HIGH_WATER, self._pool.limits.body_bytes)
        self._started = now
        self._answered = self._final = self._ended = False
        self._until_close, self._head_only = False, head_only
        self._flowing = False  # until the body begins the first byte is waited for: a head alone is no answer
        self._barren, self._malformed = 0, None
        self._headers = response.headers
        self._total_at = total_at
        self._between = NEVER if timeouts.between_bytes is None else timeouts.between_bytes
        first_byte = NEVER if timeouts.first_byte is None else now + timeouts.first_byte
        self._deadline.set(first_byte if first_byte < total_at else total_at)
        self._transport.write(message)
        return response

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:  # nothing was asked, so nothing may come
            self.abort()
            return
        self._answered = True
        before = response.buffered
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._malformed = "the upstream switched protocols unasked"
        except httptools.HttpParserError as error:
            self._malformed = self._malformed or f"the response is malformed: {error}"
        if self._ended:
            self._conclude(response)
        elif self._malformed is not None:
            self._fail("read", self._malformed)
        else:
            self._barren = 0 if response.buffered > before else self._barren + len(data)
            self._go_on(response)

    def _go_on(self, response: ClientResponse) -> None:
        if self._barren > self._pool.limits.head_bytes:
            self._fail("read", "the head or framing of the response is too large")
            return
        handed_on = response.hand_on()
        if response.buffered > response.pause_at:
            self._pause(response)
        elif self._flowing:
            at = self._loop.time() + self._between
            self._deadline.set(at if at < self._total_at else self._total_at)
            if self._barren == 0 and response.pause_at > HIGH_WATER:
                return  # someone waits for the whole body
        if self._final and not handed_on:
            response.wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._deadline.cancel()
        response = self._response
        if response is not None:
            if self._until_close and self._final and error is None:
                self._ended = True
                self._conclude(response)
            else:
                self._fail("read" if self._answered else "wait", "the upstream closed the connection")
        self._pool.forget(self)

    # What the parser tells

    def on_message_begin(self) -> None:
        if self._ended:
            self._reusable = False  # bytes behind the response

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._final:
            return  # trailers
        name = name.lower()
        if value.endswith(BLANKS):
            value = value.rstrip(b" \t")
        headers = self._headers
        if name in headers:
            headers[name] += b", " + value
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        if self._ended:
            return
        status = self._parser.get_status_code()
        headers = self._headers
        if status < 200:
            headers.clear()
            return
        cast("ClientResponse", self._response).status = status
        self._final = True
        self._reusable = self._parser.should_keep_alive()
        self._settle_framing(headers, status)

    def _settle_framing(self, headers: dict[bytes, bytes], status: int) -> None:
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            self._malformed = "the response has a Transfer-Encoding that was not asked for"
        elif self._head_only:
            self._ended = True
        elif coding is None and b"content-length" not in headers and status not in {204, 304}:
            self._until_close, self._reusable = True, False

    def on_body(self, piece: bytes) -> None:
        response = self._response
        if self._ended or response is None:
            self._reusable = False
            return
        self._flowing = True
        response.pieces.append(piece)
        response.buffered += len(piece)

    def on_message_complete(self) -> None:
        if self._final and self._malformed is None:
            self._ended = True

    # Endings

    def _conclude(self, response: ClientResponse) -> None:
        self._response = None
        self._deadline.at = NEVER
        response.complete = True
        response.detach()
        response.wake()
        if self._head_only:  # llhttp would wait for the body that Content-Length speaks of
            self._parser = httptools.HttpResponseParser(self)
        if self._reusable and self._malformed is None and not self.closed and not self._unsent():
            self.reused = True
            self.resume()
            self._pool.release(self)
        else:
            self.abort()

    def _unsent(self) -> bool:
        """An upstream that answers before it has read the request may take its rest for another one."""
        return self._transport.get_write_buffer_size() > 0

    def _fail(self, phase: Phase, message: str, *, timed_out: bool = False) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.error = HTTPError(f"{self._pool.origin}: {message}", phase=phase, timed_out=timed_out)
            response.detach()
            response.wake()
        self.abort()

    def _expired(self) -> None:
        if self._response is None:
            self.abort()  # idle for long enough
        elif self._answered:
            self._fail("read", "the response stalled or took too long", timed_out=True)
        elif self._unsent():
            self._fail("send", "the upstream did not take the request in time", timed_out=True)
        else:
            self._fail("wait", "no answer came in time", timed_out=True)

    def abort(self) -> None:
        """Close at once; never to be used again."""
        self.closed = True
        self._response = None
        self._deadline.cancel()
        self._transport.abort()

    def rest(self) -> None:
        """Be idle, but not for ever."""
        self._deadline.set(self._loop.time() + self._pool.limits.keep_alive)

    def shut(self) -> None:
        """The pool closes: an exchange under way fails."""
        if self._response is None:
            self.abort()
        else:
            self._fail("read" if self._answered else "wait", "the pool was closed")

    # Back-pressure

    def _pause(self, response: ClientResponse) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._deadline.set(self._total_at)  # the delay is ours, not the upstream's

    def resume(self) -> None:
        """Read on, now that what had come was taken."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
            if self._response is not None:
                self._deadline.set(min(self._total_at, self._loop.time() + self._between))

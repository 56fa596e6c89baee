"""One client's connection: requests answered in order, a slow client slows only its own upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, cast

from equipoise.http.deadline import NEVER, Deadline
from equipoise.http.flow import WriteFlow, hung_up, reset_on_close
from equipoise.http.messages import Abort, BadRequest, Request, Response, plain, pour
from equipoise.http.proxies import FORWARDED
from equipoise.http.reader import CONTINUE, RequestReader
from equipoise.http.writer import LAST_CHUNK, NO_BODY, stream_head, whole_response

if TYPE_CHECKING:
    from equipoise.http.server import Server

# After an answer to a request that is not read to its end, the rest is read and dropped for so long, that the client
# sees the answer and not a reset (RFC 9112, 9.6).
LINGER: Final = 2.0
# While reading is paused a hang-up shows only in the kernel's view of the connection (and not at all if the client left
# more than the kernel's buffers hold: its FIN waits behind that).
HANG_UP_CHECK: Final = 0.5
# A connection that was accepted before the server began to drain, and whose handshake ended after it, has so long to ask.
LAST_CALL: Final = 2.0
OPTIONS_ANSWER: Final = Response(204, ((b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),))


class ServerConnection(asyncio.Protocol):
    """Reads one request, lets the handler run in a task, writes its answer, then reads the next."""

    __slots__ = (
        "_arrival",
        "_began",
        "_client",
        "_closing",
        "_deadline",
        "_early",
        "_flow",
        "_loop",
        "_paused",
        "_reader",
        "_request",
        "_scheme",
        "_sent",
        "_server",
        "_task",
        "_transport",
        "_trusted",
        "_whole",
        "answering",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self._reader = RequestReader(server.limits)
        self._deadline = Deadline(loop, self._expired)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._flow: WriteFlow = cast("WriteFlow", None)
        self._request: Request | None = None
        self._early: Response | None = None  # an answer that does not need the body
        self._whole: Request | None = None  # to be answered next
        self._task: asyncio.Task[None] | None = None
        self._arrival: asyncio.Future[None] | None = None  # what the task waits for between requests
        self._closing = self._paused = self._sent = False
        self.answering = False  # whether a handler is at work for this client
        self._began = 0.0  # when the head or body now being read began
        self._client, self._trusted, self._scheme = "", False, "http"

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._flow = WriteFlow(self._loop, self._transport, self._server.limits.write_timeout, self._server.outbox)
        self._transport.set_write_buffer_limits(high=self._server.limits.write_buffer)
        self._client, self._trusted = self._server.proxies.peer(transport.get_extra_info("peername"))
        self._scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        if self._server.admits(self):
            patience = LAST_CALL if self._server.draining else self._server.limits.idle_timeout
            self._deadline.set(self._loop.time() + patience)
        else:
            self._refuse(BadRequest(503, "This server has all the connections it may have."))

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._reader.feed(data)
        if not self.answering and self._whole is None:
            self._advance()
        elif self._reader.waiting > self._server.limits.pipelined_bytes and not self._paused:
            self._paused = True
            self._transport.pause_reading()
            self._deadline.set(min(self._deadline.at, self._loop.time() + HANG_UP_CHECK))

    def eof_received(self) -> bool:
        return False  # a half-closed client counts as gone, as with nginx: the two look the same

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        self._deadline.cancel()
        self._server.forget(self)
        if self._task is not None:
            self._task.cancel()
        self._flow.resume()

    def pause_writing(self) -> None:
        self._flow.pause()
        self._deadline.set(min(self._deadline.at, self._flow.next_look))

    def resume_writing(self) -> None:
        self._flow.resume()

    # Reading

    def _advance(self) -> None:
        """Read on from what has come: a head, its body, then the handler."""
        try:
            if self._request is None:
                self._read_head()
            if self._request is None:
                self._await_head()
                return
            body = self._reader.body()
        except BadRequest as refusal:
            self._refuse(refusal)
            return
        if body is not None:
            self._start(self._request, body)
        elif self._early is not None:
            self._reader.keep_alive = False  # answered before its body came: the rest is not read
            self._start(self._request, b"")
        else:
            self._await_body()

    def _read_head(self) -> None:
        reader, server = self._reader, self._server
        self._request = request = reader.head()
        if request is None:
            return
        self._began = 0.0
        request.client, request.scheme = self._client, self._scheme
        if not FORWARDED.isdisjoint(request.headers):
            server.proxies.apply(request, trusted=self._trusted)
        if request.path == "*":
            self._early = OPTIONS_ANSWER
        elif server.admit is not None:
            self._early = server.admit(request)
        if reader.expects_continue and reader.waiting == 0 and self._early is None:
            self._transport.write(CONTINUE)

    def _await_head(self) -> None:
        limits = self._server.limits
        if self._reader.waiting == 0:
            self._deadline.set(self._loop.time() + limits.idle_timeout)
        elif self._began == 0.0:
            self._began = self._loop.time()
            self._deadline.set(self._began + limits.header_timeout)

    def _await_body(self) -> None:
        limits = self._server.limits
        if self._began == 0.0:
            self._began = self._loop.time()
        self._deadline.set(self._began + limits.body_timeout + self._reader.received / limits.body_rate)

    # Answering

    def _start(self, request: Request, body: bytes) -> None:
        """Hand a whole request to the connection's task."""
        request.body = body
        self._deadline.at = NEVER
        self._whole = request
        if self._task is None:
            self._task = asyncio.Task(self._serve(), loop=self._loop)
            self._task.add_done_callback(self._report)
        elif self._arrival is not None:
            self._arrival.set_result(None)
            self._arrival = None

    async def _serve(self) -> None:
        """Answer this client's requests. One task a connection: a new one for each request costs 2 µs."""
        while not self._closing:
            request, self._whole = self._whole, None
            if request is None:
                self._arrival = arrival = self._loop.create_future()
                await arrival
            else:
                more = await self._answer(request)
                if more:
                    await asyncio.sleep(0)  # others' turn: a pipeline of answers that never wait would hold the loop

    def _report(self, task: asyncio.Task[None]) -> None:
        """A handler's own error is not ours to judge: the loop's exception handler is told."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._loop.call_exception_handler({"message": "a handler failed", "exception": error, "task": task})

    async def _answer(self, request: Request) -> bool:
        """One answer; True if the next request is here already."""
        complete = self._sent = False
        self.answering = True
        server = self._server
        server.in_flight += 1
        try:
            early = self._early
            response = await server.handler(request) if early is None else early
            if type(response.body) is bytes:
                self._write_whole(request, response, response.body)
                if self._flow.drained is not None:
                    await self._flow.drained
            else:
                await self._write_stream(request, response, cast("AsyncIterator[bytes]", response.body))
            complete = True
        except Abort as abort:
            self.cut(reset=abort.reset)
        finally:
            server.in_flight -= 1
            self.answering = False
            self._finish(complete=complete)
        return self._whole is not None

    def _connection_line(self, request: Request) -> bytes:
        reader = self._reader
        if self._server.draining:
            reader.keep_alive = False
        if not reader.keep_alive:
            return b"connection: close\r\n"
        return b"" if reader.chunks_answers else b"connection: keep-alive\r\n"

    def _write_whole(self, request: Request, response: Response, body: bytes) -> None:
        connection, head_only = self._connection_line(request), request.method == "HEAD"
        self._transport.write(whole_response(response.status, response.headers, body, connection, head_only=head_only))
        self._sent = True

    async def _write_stream(self, request: Request, response: Response, body: AsyncIterator[bytes]) -> None:
        try:
            chunked = self._reader.chunks_answers
            self._reader.keep_alive &= chunked  # HTTP/1.0 knows only the end of the connection
            head = stream_head(response.status, response.headers, self._connection_line(request), chunked=chunked)
            self._flow.open(head)
            self._sent = True
            if request.method != "HEAD" and response.status not in NO_BODY:
                await self._write_pieces(body, chunked=chunked)
        finally:
            self._flow.send()
            aclose = getattr(body, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _write_pieces(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        hand_on = self._hand_chunk_on if chunked else self._flow.hand_on
        pour(body, hand_on)
        async for piece in body:
            if piece and (drained := hand_on(piece)) is not None:
                await drained
        if chunked:
            self._flow.hand_on(LAST_CHUNK)

    def _hand_chunk_on(self, piece: bytes) -> asyncio.Future[None] | None:
        """One chunk in one piece, so that it leaves in one write."""
        return self._flow.hand_on(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _finish(self, *, complete: bool) -> None:
        if self._closing:
            return
        if not complete:
            self._give_up()
        elif not self._reader.keep_alive or self._server.draining:
            self._close(unread=self._early is not None or self._reader.waiting > 0)
        else:
            self._next()

    def _next(self) -> None:
        self._request = self._early = None
        self._began = 0.0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._reader.waiting:
            self._advance()
        else:
            self._deadline.set(self._loop.time() + self._server.limits.idle_timeout)

    def _give_up(self) -> None:
        """The handler failed: say so if nothing was said yet, otherwise leave the answer visibly unfinished."""
        if self._sent:
            self.cut()
        else:
            self._refuse(BadRequest(500, "The server failed to answer."))

    def _refuse(self, refusal: BadRequest) -> None:
        words = self._server.on_error(refusal.status, refusal.reason, self._client)
        response = words or plain(refusal.status, refusal.reason)
        line = b"connection: close\r\n"
        self._transport.write(
            whole_response(response.status, response.headers, cast("bytes", response.body), line, head_only=False)
        )
        self._close(unread=True)

    # Closing

    def _close(self, *, unread: bool = False) -> None:
        """Close once all is sent; what comes of an unread request is dropped meanwhile."""
        self._closing = True
        self._flow.start_watch()
        self._deadline.set(self._loop.time() + (LINGER if unread else self._server.limits.write_timeout))
        if unread and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if not self.answering and self._request is None and not self._reader.waiting and not self._closing:
            self._close()

    def cut(self, *, reset: bool = False) -> None:
        """Close at once, whatever is under way."""
        self._closing = True
        if reset:
            reset_on_close(self._transport)
        self._transport.abort()

    def _expired(self) -> None:
        if self._closing:
            self._end_closing()
        elif self.answering:
            self._watch_client()
        elif self._request is not None:
            self._refuse(BadRequest(408, "The body of the request came too slowly."))
        elif self._reader.waiting:
            self._refuse(BadRequest(408, "The head of the request came too slowly."))
        else:
            self._close()

    def _end_closing(self) -> None:
        """Enough time to close, unless the client is still taking what waits for it."""
        if self._flow.advanced():
            self._deadline.set(self._loop.time() + self._server.limits.write_timeout)
        else:
            self._transport.abort()

    def _watch_client(self) -> None:
        """Cut a client that takes nothing for too long, or that left while we were not reading."""
        now = self._loop.time()
        if self._flow.stalled(now) or (self._paused and hung_up(self._transport)):
            self.cut()
            return
        next_look = self._flow.next_look
        self._deadline.set(min(next_look, now + HANG_UP_CHECK) if self._paused else next_look)

"""What any client may expect of the gateway, whichever server carries it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from equipoise.http import Abort, Request, Response, ServerLimits
from tests.wire.http.harness import KINDS, echo, serving, status_of, talk, until

pytestmark = pytest.mark.parametrize("kind", KINDS)

CLOSE = b"Host: a\r\nConnection: close\r\n"


async def test_a_request_with_a_length_is_answered_with_a_length(kind: str) -> None:
    """Path, query and body arrive as sent; the answer says how long it is."""
    async with serving(kind, echo) as port:
        answer = await talk(port, b"POST /a%20b?c=d&e HTTP/1.1\r\n" + CLOSE + b"Content-Length: 5\r\n\r\nhello")
    assert status_of(answer) == 200
    assert b"\r\ncontent-length: 25\r\n" in answer
    assert b"\r\ndate: " in answer
    assert answer.endswith(b"\r\n\r\nPOST /a%20b?c=d&e 5 hello")


async def test_a_chunked_request_is_put_together(kind: str) -> None:
    """Chunks, an extension and a trailer leave only the data."""
    body = b"3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with serving(kind, echo) as port:
        answer = await talk(port, b"POST / HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert answer.endswith(b"POST /? 8 abcdefgh")


async def test_pipelined_requests_are_answered_in_order(kind: str) -> None:
    """The first is the slowest and is still answered first."""

    async def slow_first(request: Request) -> Response:
        await asyncio.sleep(0.05 if request.path == "/1" else 0)
        return Response(200, (), request.path.encode())

    async with serving(kind, slow_first) as port:
        three = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in (1, 2))
        answer = await talk(port, three + b"GET /3 HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.index(b"/1") < answer.index(b"/2") < answer.index(b"/3")


async def test_a_stream_is_sent_piece_by_piece(kind: str) -> None:
    """Each item leaves when it is made, as one chunk."""
    gate = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await gate.wait()
        yield b"two"

    async def stream(request: Request) -> Response:
        return Response(200, (), pieces())

    async with serving(kind, stream) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        first = await reader.readuntil(b"one\r\n")
        gate.set()
        rest = await reader.read()
        writer.close()
    assert b"transfer-encoding: chunked" in first.lower()
    assert first.endswith(b"3\r\none\r\n")
    assert rest == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_a_client_that_hangs_up_cancels_its_handler(kind: str) -> None:
    """Within a second, and before anything was answered."""
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def wait(request: Request) -> Response:
        started.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200)

    async with serving(kind, wait) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await started.wait()
        writer.close()
        assert await until(cancelled.is_set)


async def test_a_client_that_hangs_up_closes_the_stream(kind: str) -> None:
    """The iterator is closed, so that its upstream request ends too."""
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    async def stream(request: Request) -> Response:
        return Response(200, (), endless())

    async with serving(kind, stream) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"x")
        writer.close()
        assert await until(closed.is_set)


async def test_a_stream_that_fails_is_visibly_unfinished(kind: str) -> None:
    """Abort after the head: no final chunk, and the connection ends."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise Abort

    async def stream(request: Request) -> Response:
        return Response(200, (), broken())

    async with serving(kind, stream) as port:
        answer = await talk(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"4\r\nsome\r\n" in answer
    assert b"0\r\n\r\n" not in answer
    assert not answer.endswith(b"<open>")


async def test_head_gets_the_head_only(kind: str) -> None:
    """The length of what GET would give, and no body; OPTIONS reaches the handler."""
    async with serving(kind, echo) as port:
        answer = await talk(port, b"HEAD /x HTTP/1.1\r\n" + CLOSE + b"\r\n")
        options = await talk(port, b"OPTIONS /x HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert b"content-length: 11\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert options.endswith(b"OPTIONS /x? 0 ")


async def test_continue_is_said_to_a_client_that_waits_for_it(kind: str) -> None:
    """Expect: 100-continue is answered before the body is sent."""
    async with serving(kind, echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\n" + CLOSE + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"ok")
        answer = await reader.read()
        writer.close()
    assert answer.endswith(b"POST /? 2 ok")


async def test_a_body_beyond_the_limit_is_refused(kind: str) -> None:
    """413, by its length or by its chunks."""
    async with serving(kind, echo, limits=ServerLimits(body_bytes=10)) as port:
        counted = await talk(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world")
        chunked = await talk(
            port, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"
        )
    assert (status_of(counted), status_of(chunked)) == (413, 413)


async def test_admission_answers_before_the_body_is_read(kind: str) -> None:
    """A refusal by key or path does not wait for megabytes, and a later request is not fooled by them."""

    def admit(head: Request) -> Response | None:
        return Response(401, (), b"no key") if head.path == "/locked" else None

    async with serving(kind, echo, admit=admit) as port:
        answer = await talk(
            port,
            b"POST /locked HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
            seconds=0.5,
        )
        open_one = await talk(port, b"GET /open HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(open_one) == 200


@pytest.mark.parametrize(
    ("trusted", "client", "scheme"), [(("127.0.0.0/8",), "9.9.9.9", "https"), ((), "127.0.0.1", "http")]
)
async def test_forwarded_fields_count_only_from_a_trusted_proxy(
    kind: str, trusted: tuple[str, ...], client: str, scheme: str
) -> None:
    """The nearest stranger is the client; from anyone else the fields are dropped."""

    async def who(request: Request) -> Response:
        forwarded = b"x-forwarded-for" in request.headers
        return Response(200, (), f"{request.client} {request.scheme} {forwarded}".encode())

    async with serving(kind, who, trusted_proxies=trusted) as port:
        fields = b"X-Forwarded-For: 6.6.6.6, 9.9.9.9, 127.0.0.7\r\nX-Forwarded-Proto: https\r\n"
        answer = await talk(port, b"GET / HTTP/1.1\r\n" + CLOSE + fields + b"\r\n")
    assert answer.endswith(f"{client} {scheme} {bool(trusted)}".encode())

"""What uvicorn does otherwise than our server, beyond framing: the documentation's table against both."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

from equipoise.http import Abort, Request, Response, ServerLimits, asgi_application
from tests.wire.http.harness import own_server, talk, uvicorn_server

TABLE = Path(__file__).parents[3] / "docs" / "http-server.md"
LIMITS = ServerLimits(
    header_timeout=0.2,
    idle_timeout=0.2,
    body_timeout=0.2,
    body_rate=1_000_000,
    write_timeout=0.2,
    body_bytes=100,
    connections=2,
)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
# What a client sends, by row; then it waits.
SENT: dict[str, tuple[bytes, ...]] = {
    "a request line of 9,000 bytes": (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",),
    "101 header fields": (GET + b"X: y\r\n" * 100 + b"\r\n",),
    "header fields of 70,000 bytes": (GET + b"X: " + b"y" * 70_000 + b"\r\n\r\n",),
    "a body beyond the limit": (POST + b"101\r\n\r\n", b"x" * 101),
    "a head that stops half-way": (GET,),
    "a body that stops half-way": (POST + b"9\r\n\r\n", b"slow"),
    "a connection without a request": (),
    "a handler that aborts": (b"GET /abort HTTP/1.1\r\nHost: a\r\n\r\n",),
    "a handler that aborts with a reset": (b"GET /reset HTTP/1.1\r\nHost: a\r\n\r\n",),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",),
    "more connections than allowed": (GET + b"Connection: close\r\n\r\n",),
}


async def handler(request: Request) -> Response:
    """Aborts by path, pours without end at /pour, else 200."""
    if request.path in {"/abort", "/reset"}:
        raise Abort(reset=request.path == "/reset")
    if request.path == "/pour":
        return Response(200, (), pour())
    return Response(200)


async def pour() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65_536


async def outcome(port: int, pieces: tuple[bytes, ...]) -> str:
    """A status, `closed`, `reset`, or `open` after half a second."""
    answer = await talk(port, *pieces, seconds=0.6)
    if answer.startswith(b"HTTP/1.1 "):
        return answer[9:12].decode()
    return {b"": "closed", b"<reset>": "reset", b"<open>": "open"}[answer]


async def crowded(port: int) -> str:
    """What the third client gets while two others are there."""
    others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    await asyncio.sleep(0.05)
    said = await outcome(port, SENT["more connections than allowed"])
    for _, writer in others:
        writer.close()
    await asyncio.sleep(0.05)
    return said


async def unread(port: int) -> str:
    """`cut` if the server ends an answer that its client does not read, `open` if it waits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
    writer.write(b"GET /pour HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readexactly(1)
    await asyncio.sleep(0.8)
    end = b"x"
    try:
        async with asyncio.timeout(0.3):
            while end:
                end = await reader.read(1_000_000)
    except (TimeoutError, ConnectionError) as error:
        return "open" if isinstance(error, TimeoutError) else "cut"
    finally:
        writer.transport.abort()
    return "cut"


async def behaviour(port: int) -> dict[str, str]:
    """Every row of the table, asked of one server; what needs the whole server comes last."""
    rows = {row: await outcome(port, pieces) for row, pieces in SENT.items() if "connections" not in row}
    return rows | {
        "a client that takes nothing": await unread(port),
        "more connections than allowed": await crowded(port),
    }


def documented(column: int) -> dict[str, str]:
    """Row and the first word of one server's cell."""
    rows = re.findall(r"^\| ([^|]+) \| `([a-z0-9]+)`[^|]* \| `([a-z0-9]+)`[^|]* \|$", TABLE.read_text(), re.MULTILINE)
    return {row[0]: row[column] for row in rows}


async def test_limits_and_timeouts_differ_as_documented() -> None:
    """Each row of docs/http-server.md, measured on both servers; no row is missing and none is invented."""
    async with own_server(handler, limits=LIMITS) as server:
        ours = await behaviour(server.port)
    async with uvicorn_server(asgi_application(handler, limits=LIMITS)) as port:
        theirs = await behaviour(port)
    assert ours == documented(1)
    assert theirs == documented(2)

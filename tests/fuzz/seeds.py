"""Where the fuzzers start, and the words they put together."""

from __future__ import annotations

from typing import Final

from tests.wire.http.framing_cases import CASES
from tests.wire.http.test_upstreams import BROKEN

GET: Final = b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"
POST: Final = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
CHUNKS: Final = b"3\r\nabc\r\n0\r\n\r\n"

SEEDS: Final[dict[str, list[bytes]]] = {
    "requests": [*CASES.values(), GET, POST, GET + POST + GET],
    "chunks": [CHUNKS, b"3;a=b\r\nabc\r\na\r\n0123456789\r\n0\r\nX: y\r\n\r\nrest", b"0\r\n\r\n"],
    "responses": [
        *(broken[:400] for broken in BROKEN.values()),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
}
WORDS: Final = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"GET / HTTP/1.1\r\n",
    b"POST /x HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"\x0b",
    b"\xff",
    b"+",
    b"-",
    b"0x",
    b"FFFFFFFFFFFFFFFF",
]

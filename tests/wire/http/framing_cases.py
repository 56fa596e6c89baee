"""Requests on the edge of RFC 9112 and beyond: the classical ways to make two servers disagree."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.wire.http.harness import talk

# Follows every message that may end early in someone's reading; nobody may take it for a request of its own.
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HOST: Final = b"Host: a\r\n"


def get(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = HOST) -> bytes:
    """A request without body."""
    return line + b"\r\n" + host + fields + b"Connection: close\r\n\r\n"


def post(fields: bytes, body: bytes, line: bytes = b"POST / HTTP/1.1") -> bytes:
    """A request with a body, framed as the case has it."""
    return line + b"\r\n" + HOST + fields + b"Connection: close\r\n\r\n" + body


def chunks(body: bytes) -> bytes:
    """A chunked request."""
    return post(b"Transfer-Encoding: chunked\r\n", body)


FIVE: Final = b"Content-Length: 5\r\n"
CODED: Final = b"Transfer-Encoding: chunked\r\n"
DATA: Final = b"3\r\nabc\r\n0\r\n\r\n"

GOOD: Final[dict[str, bytes]] = {
    "a plain GET": get(),
    "HTTP/1.0 without Host": get(line=b"GET / HTTP/1.0", host=b""),
    "one empty line before the request": b"\r\n" + get(),
    "a blank after the length": post(b"Content-Length: 5 \r\n", b"hello"),
    "a tab before a value": get(b"X:\ta\r\n"),
    "Chunked in capitals": post(b"Transfer-Encoding: CHUNKED\r\n", DATA),
    "an empty field value": get(b"X-Empty:\r\n"),
    "obs-text in a value": get(b"X-Name: caf\xe9\r\n"),
    "a chunk extension": chunks(b"3;a=b\r\nabc\r\n0\r\n\r\n"),
    "a trailer field": chunks(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
    "leading zeros in a chunk size": chunks(b"0003\r\nabc\r\n0\r\n\r\n"),
    "absolute form with the same host": get(line=b"GET http://a/ HTTP/1.1"),
    "a method of another protocol": get(line=b"PROPFIND / HTTP/1.1"),
    "an upgrade that is not taken": get(b"Upgrade: h2c\r\n"),
}
BAD: Final[dict[str, bytes]] = {
    "length and chunked": post(FIVE + CODED, DATA + SMUGGLED),
    "chunked and length": post(CODED + FIVE, DATA + SMUGGLED),
    "two lengths that differ": post(FIVE + b"Content-Length: 6\r\n", b"hello!" + SMUGGLED),
    "two equal lengths": post(FIVE + FIVE, b"hello" + SMUGGLED),
    "a list of equal lengths": post(b"Content-Length: 5, 5\r\n", b"hello" + SMUGGLED),
    "a length with a sign": post(b"Content-Length: +5\r\n", b"hello" + SMUGGLED),
    "a negative length": post(b"Content-Length: -5\r\n", b"hello" + SMUGGLED),
    "a hexadecimal length": post(b"Content-Length: 0x5\r\n", b"hello" + SMUGGLED),
    "an empty length": post(b"Content-Length:\r\n", SMUGGLED),
    "an overflowing length": post(b"Content-Length: 18446744073709551621\r\n", b"hello" + SMUGGLED),
    "a folded field": get(b"X-Long: a\r\n b\r\n"),
    "a folded Transfer-Encoding": post(b"Transfer-Encoding:\r\n chunked\r\n", DATA + SMUGGLED),
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
    "one bare line feed": get(b"X: a\nY: b\r\n"),
    "a bare carriage return": get(b"X: a\rContent-Length: 5\r\n"),
    "NUL in a value": get(b"X: a\0b\r\n"),
    "a control character in a value": get(b"X: a\x01b\r\n"),
    "a space before the colon": post(b"Content-Length : 5\r\n", b"hello" + SMUGGLED),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked\r\n", DATA + SMUGGLED),
    "a blank before the first field": b"GET / HTTP/1.1\r\n Host: a\r\nConnection: close\r\n\r\n",
    "a field without a name": get(b": x\r\n"),
    "a field without a colon": get(b"nonsense\r\n"),
    "a field name with @": get(b"X@Y: a\r\n"),
    "HTTP/1.1 without Host": get(host=b""),
    "two Hosts": get(b"Host: b\r\n"),
    "Host with a path": get(host=b"Host: a/b\r\n"),
    "Host with credentials": get(host=b"Host: u@a\r\n"),
    "a coding that is not known": post(b"Transfer-Encoding: gzip\r\n", DATA + SMUGGLED),
    "a tab before chunked": post(b"Transfer-Encoding:\tchunked\r\n", DATA + SMUGGLED),
    "a tab behind chunked": post(b"Transfer-Encoding: chunked\t\r\n", DATA + SMUGGLED),
    "a tab before a length": post(b"Content-Length:\t5\r\n", b"hello" + SMUGGLED),
    "chunked twice": post(CODED + CODED, DATA + SMUGGLED),
    "gzip and chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", DATA + SMUGGLED),
    "chunked before identity": post(b"Transfer-Encoding: chunked, identity\r\n", DATA + SMUGGLED),
    "xchunked": post(b"Transfer-Encoding: xchunked\r\n", DATA + SMUGGLED),
    "a vertical tab before chunked": post(b"Transfer-Encoding: \x0bchunked\r\n", DATA + SMUGGLED),
    "quoted chunked": post(b'Transfer-Encoding: "chunked"\r\n', DATA + SMUGGLED),
    "chunked in HTTP/1.0": post(CODED, DATA + SMUGGLED, line=b"POST / HTTP/1.0"),
    "a chunk size with 0x": chunks(b"0x3\r\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "a negative chunk size": chunks(b"-3\r\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size with a plus": chunks(b"+3\r\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "a blank before a chunk size": chunks(b" 3\r\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "a blank behind a chunk size": chunks(b"3 \r\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "an empty chunk size": chunks(b"\r\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "an overflowing chunk size": chunks(b"10000000000000003\r\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size ended by LF": chunks(b"3\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "an extension ended by LF": chunks(b"3;a\nabc\r\n0\r\n\r\n" + SMUGGLED),
    "chunk data ended by LF": chunks(b"3\r\nabc\n0\r\n\r\n" + SMUGGLED),
    "a chunk longer than its size": chunks(b"3\r\nabcd\r\n0\r\n\r\n" + SMUGGLED),
    "a malformed trailer": chunks(b"3\r\nabc\r\n0\r\nX Y: 1\r\n\r\n" + SMUGGLED),
    "a length in the trailers": chunks(b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n" + SMUGGLED),
    "absolute form with another host": get(line=b"GET http://b/ HTTP/1.1"),
    "CONNECT": get(line=b"CONNECT a:443 HTTP/1.1"),
    "an asterisk with GET": get(line=b"GET * HTTP/1.1"),
    "a target without a slash": get(line=b"GET x HTTP/1.1"),
    "a fragment in the target": get(line=b"GET /#x HTTP/1.1"),
    "bytes beyond ASCII in the target": get(line=b"GET /\xc3\xa9 HTTP/1.1"),
    "a space in the target": get(line=b"GET /a b HTTP/1.1"),
    "two spaces behind the method": get(line=b"GET  / HTTP/1.1"),
    "tabs in the request line": get(line=b"GET\t/\tHTTP/1.1"),
    "a blank behind the version": get(line=b"GET / HTTP/1.1 "),
    "a version in small letters": get(line=b"GET / http/1.1"),
    "HTTP/2.0": get(line=b"GET / HTTP/2.0"),
    "HTTP/1.2": get(line=b"GET / HTTP/1.2"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "two empty lines before the request": b"\r\n\r\n" + get(),
    "an expectation that is not known": get(b"Expect: miracles\r\n"),
}
CASES: Final = GOOD | BAD


async def verdict(port: int, request: bytes, patience: float = 1.0) -> str:
    """`accept` if a handler answered, `refuse` if not, `wait` if the server still hopes for more."""
    answer = await talk(port, request, seconds=patience)
    if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
        return "accept"
    return "wait" if answer == b"<open>" else "refuse"


async def verdicts(port: int, patience: float = 1.0) -> dict[str, str]:
    """What one server says to all of them, asked at the same time."""
    answers = await asyncio.gather(*(verdict(port, request, patience) for request in CASES.values()))
    return dict(zip(CASES, answers, strict=True))

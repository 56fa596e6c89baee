"""What must hold for any bytes: three functions that a test, Hypothesis or a fuzzer can call.

Each raises AssertionError when a promise is broken; the errors that the parsers are meant to raise are caught here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import httptools

from equipoise.http.chunked import ChunkedBody
from equipoise.http.exchange import ClientConnection
from equipoise.http.messages import BadRequest, ServerLimits
from equipoise.http.pool import PoolLimits, Timeouts
from equipoise.http.reader import RequestReader

LIMITS: Final = ServerLimits(body_bytes=4_096, header_bytes=2_048, request_line=512, header_count=20)
Asked = tuple[str, bytes, dict[bytes, bytes], bytes]


def cuts(data: bytes, seed: int) -> list[bytes]:
    """The same bytes in pieces: of one byte, or cut in two where the seed says."""
    if seed % 4 == 0:
        return [data[at : at + 1] for at in range(len(data))]
    middle = seed % (len(data) + 1)
    return [data[:middle], data[middle:]]


# Requests


def read_requests(pieces: Sequence[bytes]) -> tuple[list[Asked], str]:
    """All requests in these bytes, and how reading ended: `400` and the like, `closed` or `more`."""
    reader, found = RequestReader(LIMITS), []
    request = None
    try:
        for piece in pieces:
            reader.feed(piece)
            while request is not None or reader.waiting:
                request = request or reader.head()
                body = None if request is None else reader.body()
                if request is None or body is None:
                    break
                found.append((request.method, request.path.encode(), request.headers, body))
                request = None
                if not reader.keep_alive:
                    return found, "closed"
    except BadRequest as refusal:
        return found, str(refusal.status)
    return found, "more"


class Oracle:
    """llhttp's reading of the same bytes."""

    def __init__(self) -> None:
        self.found: list[Asked] = []
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.url, self.body, self.in_body = b"", b"", False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            return
        name, value = name.lower(), value.strip()
        self.headers[name] = self.headers[name] + b", " + value if name in self.headers else value

    def on_headers_complete(self) -> None:
        self.in_body = True

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.found.append((self.parser.get_method().decode(), self.url, self.headers, self.body))


def check_requests(data: bytes, seed: int = 0) -> None:
    """Whole or in pieces the bytes mean the same, and llhttp reads alike whatever we accept."""
    found, end = read_requests([data])
    split, split_end = read_requests(cuts(data, seed))
    assert split == found, (data, seed, found, split)
    assert (split_end == "more") == (end == "more") or split_end == "more" or seed % 4 == 0, (
        data,
        seed,
        end,
        split_end,
    )
    if found and not _beyond_llhttp(found):
        oracle = Oracle()
        try:
            oracle.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError:
            pass  # what it refuses behind the requests we accepted is checked by their number
        for ours, theirs in zip(found, oracle.found, strict=False):
            assert _alike(ours, theirs), (data, ours, theirs)
        assert len(oracle.found) >= len(found), (data, found, oracle.found)


METHODS: Final = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}


def _beyond_llhttp(found: list[Asked]) -> bool:
    """llhttp knows a list of methods and stops at an upgrade."""
    return any(method not in METHODS or b"upgrade" in headers for method, _, headers, _ in found)


def _alike(ours: Asked, theirs: Asked) -> bool:
    path = theirs[1].partition(b"?")[0]
    same_path = ours[1] == path if path[:1] in {b"/", b"*"} else path.endswith(ours[1]) or ours[1] == b"/"
    return same_path and ours[0] == theirs[0] and ours[2:] == theirs[2:]


# Chunks


def decode(pieces: Sequence[bytes]) -> tuple[bytes, bytes, str]:
    """Body, rest, and `done`, `more` or the status of the refusal."""
    body, rest = ChunkedBody(LIMITS.body_bytes), b""
    try:
        for piece in pieces:
            rest = rest + piece if body.complete else body.feed(piece)
    except BadRequest as refusal:
        return b"", b"", str(refusal.status)
    return bytes(body.body), rest, "done" if body.complete else "more"


def check_chunks(data: bytes, seed: int = 0) -> None:
    """Pieces make no difference, and llhttp decodes alike whatever we accept."""
    whole = decode([data])
    split = decode(cuts(data, seed))
    assert split == whole, (data, seed, whole, split)
    body, rest, end = whole
    if end == "done":
        oracle = Oracle()
        oracle.parser.feed_data(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data[: len(data) - len(rest)]
        )
        assert [found[3] for found in oracle.found] == [body], (data, body, oracle.found)


# Responses


class Stub:
    """Loop, future, transport and pool in one: an exchange without any of them."""

    origin = "http://stub"
    limits = PoolLimits(head_bytes=2_048, body_bytes=1 << 20)

    def __init__(self) -> None:
        self.aborted = self.released = False

    def time(self) -> float:
        return 0.0

    def create_future(self) -> Stub:
        return self

    def done(self) -> bool:
        return True

    def call_at(self, at: float, callback: Callable[..., object]) -> Stub:
        return self

    def nothing(self, *arguments: object) -> None:
        return None

    cancel = write = pause_reading = resume_reading = forget = nothing

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True

    def release(self, connection: object) -> None:
        self.released = True


def read_response(pieces: Sequence[bytes], method: str) -> tuple[Any, ...]:
    """Everything that an exchange ends with: status, headers, body, whether complete, released, closed."""
    stub: Any = Stub()
    connection = ClientConnection(stub, stub)
    connection.connection_made(stub)
    response = connection.start(b"", Timeouts(), 0.0, 1.0, head_only=method == "HEAD")
    for piece in pieces:
        if not stub.aborted and piece:
            connection.data_received(piece)
    body = b"".join(response.pieces)
    if response.error is not None:
        return ("error", stub.released)
    return (response.complete, response.status, dict(response.headers), body, stub.released and not stub.aborted)


def check_responses(data: bytes, seed: int = 0) -> None:
    """Pieces make no difference to what is understood, and what breaks a rule is never kept for another request."""
    method = "HEAD" if seed % 5 == 1 else "GET"
    whole, split = read_response([data], method), read_response(cuts(data, seed), method)
    if whole[0] is True and split[0] is True:
        assert split[:4] == whole[:4], (data, seed, whole, split)
        assert whole[4] is split[4] or not split[4], (data, seed, whole, split)
    elif whole[0] is False:
        assert split[0] is False, (data, seed, whole, split)
        assert split[1:4] == whole[1:4], (data, seed, whole, split)
    assert whole[0] != "error" or not whole[1]


TARGETS: Final[dict[str, Callable[[bytes, int], None]]] = {
    "requests": check_requests,
    "chunks": check_chunks,
    "responses": check_responses,
}

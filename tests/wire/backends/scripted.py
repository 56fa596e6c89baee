"""The scripted upstream, recorded bodies, and requests to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from equipoise.backends.base import BackendClient, BackendError, Finished, Relayed, StreamItem, TextDelta
from equipoise.core.model import Answer, Message, Question, Request
from equipoise.http import Abort, Response, Server
from equipoise.http import Request as HTTPRequest

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wire"
JSON = ((b"content-type", b"application/json"),)
SSE = ((b"content-type", b"text/event-stream"),)
NDJSON = ((b"content-type", b"application/x-ndjson"),)

Script = Callable[[HTTPRequest], Response]


def recorded(name: str) -> bytes:
    """A wire body from the fixtures."""
    return (FIXTURES / name).read_bytes()


def request_for(text: str = "What marks early sepsis?", **fields: Any) -> Request:
    """A request with one question, or with the given fields of Question."""
    fields.setdefault("messages", [Message("user", text)])
    return Request(id="r-1", question=Question(**fields), input_tokens=40, repeatable=False)


async def pieces(parts: Sequence[bytes], *, then: str = "end") -> AsyncIterator[bytes]:
    """A body in pieces that ends well, is cut, or stalls."""
    for part in parts:
        yield part
    if then == "cut":
        raise Abort
    if then == "stall":
        await asyncio.sleep(60)


class ScriptedUpstream:
    """Answers every path from `routes`, else with `answer`; `seen` holds the requests in order."""

    def __init__(self) -> None:
        self.seen: list[HTTPRequest] = []
        self.routes: dict[str, Response | Script] = {}
        self.answer: Response | Script = Response(500)
        self._server = Server(self._handle)

    async def _handle(self, request: HTTPRequest) -> Response:
        self.seen.append(request)
        answer = self.routes.get(request.path, self.answer)
        return answer if isinstance(answer, Response) else answer(request)

    async def start(self) -> None:
        """Listen on a free port."""
        await self._server.start("127.0.0.1", 0)

    async def stop(self) -> None:
        """Cut what is open."""
        await self._server.drain(0.0)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._server.in_flight

    def body(self, index: int = -1) -> dict[str, Any]:
        """A request's JSON body."""
        return msgspec.json.decode(self.seen[index].body, type=dict[str, Any])

    def replies(self, body: bytes | str | dict[str, Any], status: int = 200, headers: Any = ()) -> None:
        """Answer everything with one body."""
        data = msgspec.json.encode(body) if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        self.answer = Response(status, (*JSON, *headers), data)

    def streams(self, *parts: bytes, headers: Any = SSE, then: str = "end") -> None:
        """Answer everything with a body in pieces."""
        self.answer = lambda _: Response(200, headers, pieces(parts, then=then))


async def collected(client: BackendClient, request: Request, timeout: float = 5.0) -> tuple[list[StreamItem], Answer]:
    """All items of a stream and the answer it finished with."""
    items = [item async for item in client.stream(request, timeout)]
    assert isinstance(items[-1], Finished)
    assert not any(isinstance(item, Finished) for item in items[:-1])
    return items[:-1], items[-1].answer


async def failed(client: BackendClient, request: Request, timeout: float = 5.0) -> BackendError:
    """The error that sending a request raises."""
    with pytest.raises(BackendError) as caught:
        await client.send(request, timeout)
    return caught.value


async def failed_stream(
    client: BackendClient, request: Request, timeout: float = 5.0
) -> tuple[list[StreamItem], BackendError]:
    """What a stream gave before the error it raised."""
    items: list[StreamItem] = []
    with pytest.raises(BackendError) as caught:
        async for item in client.stream(request, timeout):
            items.append(item)
    return items, caught.value


def text_of(items: Sequence[StreamItem]) -> str:
    """The text of a stream's pieces."""
    return "".join(item.text for item in items if isinstance(item, TextDelta))


def relayed(items: Sequence[StreamItem]) -> bytes:
    """The bytes of a stream's relayed events."""
    return b"".join(item.data for item in items if isinstance(item, Relayed))

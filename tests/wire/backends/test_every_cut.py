"""A stream cut anywhere, as clients of every dialect see it: the whole answer, or an explicit error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from equipoise.backends import make_client
from equipoise.core.model import BackendType
from equipoise.core.retry import RetryOptions
from equipoise.http import HTTPError, Response, Sink, pour
from tests.end_to_end.faults.hearing import DIALECTS, READERS, Heard, body_for
from tests.fakes import balancer
from tests.shell.gateway.scripted import gateway_of, http, whole
from tests.wire.backends.hostile import Told
from tests.wire.backends.scripted import recorded

Reading: TypeAlias = Callable[[Response], Awaitable[bytes]]
SSE, NDJSON = b"text/event-stream", b"application/x-ndjson"
KINDS: dict[str, tuple[BackendType, dict[str, Any], str, bytes]] = {
    "openai": (BackendType.OPENAI_DIRECT, {"model": "m"}, "openai_chat.sse", b'"finish_reason":"stop"'),
    "local": (BackendType.LOCAL_LLM, {"model": "m"}, "local_chat_crlf.sse", b'"finish_reason":"stop"'),
    "perplexity": (BackendType.PERPLEXITY, {"model": "m"}, "perplexity_agent.sse", b"event: response.completed"),
    "sonar": (BackendType.PERPLEXITY, {"model": "m", "api": "chat"}, "perplexity_chat.sse", b'"finish_reason": "stop"'),
    "lightrag": (BackendType.LIGHTRAG, {}, "lightrag_query.ndjson", b"\n"),
}
"""Kind, options, recorded stream, and the earliest sign of its end: nothing before it may pass for a whole answer."""
STREAMED = [name for name, (_, stream) in DIALECTS.items() if stream]
STRIDE = {"chat, streamed": 5, "responses, streamed": 19, "query, streamed": 19}


class CutShort(Told):
    """A response of which only some bytes come, a few at a time; then its connection breaks, or it ends as if whole."""

    def __init__(self, kind: bytes, body: bytes, *, broken: bool) -> None:
        super().__init__(200, kind, body)
        self._broken, self._at, self._stopped = broken, 0, False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if piece := self._next():
            return piece
        raise StopAsyncIteration

    async def pour(self, sink: Sink[bytes]) -> None:
        """Hands on what is left."""
        while not self._stopped and (piece := self._next()):
            sink(piece)

    def stop(self) -> None:
        """Nothing more is handed on."""
        self._stopped = True

    def _next(self) -> bytes:
        at, self._at = self._at, self._at + 50
        if self._broken and at >= len(self._body):
            raise HTTPError("the connection broke", phase="read")
        return self._body[at : at + 50]


class Upstream:
    """A pool that gives this response to everything."""

    def __init__(self, response: CutShort) -> None:
        self._response = response

    async def request(self, method: str, target: str, **more: Any) -> CutShort:
        return self._response

    async def close(self) -> None:
        """Nothing is open."""


async def handed_on(response: Response) -> bytes:
    """All of a body whose pieces are handed on as they come, where they can be."""
    got: list[bytes] = []
    pour(response.body, got.append)
    if isinstance(response.body, bytes):
        return response.body
    async for piece in response.body:
        got.append(piece)
    return b"".join(got)


async def hear(
    kind: str, dialect: str, length: int | None, *, broken: bool = False, reading: Reading = whole, then: bytes = b""
) -> Heard:
    """What a client hears of so many bytes of the recorded stream, and what comes `then`."""
    backend_type, options, name, _ = KINDS[kind]
    body = recorded(name)[:length] + then
    response = CutShort(NDJSON if kind == "lightrag" else SSE, body, broken=broken)
    client = make_client(
        backend_type, endpoint_url="http://127.0.0.1:1", api_key="k", pool=Upstream(response), **options
    )
    it, _ = balancer({"only": client}, retry=RetryOptions(max_attempts=1))  # type: ignore[dict-item]
    path, _ = DIALECTS[dialect]
    told = await gateway_of(it).handle(http("POST", path, body_for(dialect, "auto")))
    text = await reading(told)
    assert it.in_flight == 0
    if told.status != 200:
        return Heard(told.status, "", json.loads(text).get("error") or json.loads(text)["detail"], True, 0, None)
    return READERS[dialect](text)


def cuts(recording: bytes, stride: int) -> list[int]:
    """Where to cut: at every so many bytes, and around every line end, where parsers have their seams."""
    seams = {at + near for at, byte in enumerate(recording) if byte == 10 for near in (-1, 0, 1, 2)}
    return sorted(length for length in seams | set(range(0, len(recording), stride)) if 0 <= length < len(recording))


@pytest.mark.parametrize("broken", [True, False], ids=["connection breaks", "body ends"])
@pytest.mark.parametrize("dialect", STREAMED)
@pytest.mark.parametrize("kind", KINDS)
async def test_no_byte_at_which_a_stream_is_cut_makes_it_look_whole(kind: str, dialect: str, broken: bool) -> None:
    """Before the upstream's own sign of the end every cut is an explicit error after words that were really said.

    LightRAG's lines have no such sign; for them the end of the HTTP body is one, so only a broken connection tells.
    """
    recording, sign = recorded(KINDS[kind][2]), KINDS[kind][3]
    uncut = await hear(kind, dialect, None)
    assert (uncut.error, uncut.ended) == (None, True)
    for length in cuts(recording, STRIDE[dialect]):
        heard = await hear(kind, dialect, length, broken=broken)
        assert heard.ended, length
        assert uncut.text.startswith(heard.text), length
        if kind == "lightrag":
            assert heard.error is not None or (not broken and recording[:length].rstrip().endswith(b"}")), length
        elif sign not in recording[:length]:
            assert heard.error is not None, length
        else:
            assert heard.error is not None or heard.text == uncut.text, length


@pytest.mark.parametrize("broken", [True, False], ids=["connection breaks", "body ends"])
@pytest.mark.parametrize("kind", ["openai", "local", "sonar"])
async def test_what_is_handed_on_is_what_would_have_been_given(kind: str, broken: bool) -> None:
    """Cut at the same byte, the client hears the same words and the same end, whichever way the pieces came."""
    recording = recorded(KINDS[kind][2])
    for length in [*cuts(recording, 5), None]:
        given = await hear(kind, "chat, streamed", length, broken=broken and length is not None)
        poured = await hear(kind, "chat, streamed", length, broken=broken and length is not None, reading=handed_on)
        assert poured == given, length


@pytest.mark.parametrize(
    "then", [b'data: {"error": {"message": "out of memory"}}\n\n', b"data: {nothing\n\n", b"data: 7\n\n"]
)
async def test_what_is_wrong_in_the_middle_ends_what_is_handed_on_with_an_error(then: bytes) -> None:
    """An error told in the stream, or what is no event at all, after words that have gone out already."""
    recording = recorded(KINDS["openai"][2])
    begun = recording.find(b"\n\n", len(recording) // 2) + 2
    given = await hear("openai", "chat, streamed", begun, then=then)
    poured = await hear("openai", "chat, streamed", begun, then=then, reading=handed_on)
    assert (poured, poured.error is None, poured.text == "") == (given, False, False)

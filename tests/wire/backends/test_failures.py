"""The same failure means the same whatever the kind of upstream, and is told apart over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from equipoise.backends import make_client
from equipoise.backends.base import BackendClient
from equipoise.backends.transport import Patience
from equipoise.core.model import Verdict
from equipoise.http import Request, Response
from tests.wire.backends.scripted import JSON, ScriptedUpstream, failed, failed_stream, request_for

KINDS = ["lightrag", "perplexity", "chat", "openai_direct", "local_llm"]


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, upstream: ScriptedUpstream) -> AsyncIterator[BackendClient]:
    """A client of each kind, little patient."""
    kind = request.param
    options = {"api": "chat"} if kind == "chat" else {}
    kind = "perplexity" if kind == "chat" else kind
    made = make_client(kind, endpoint_url=upstream.url, api_key="secret-key", patience=Patience(idle=0.1), **options)
    yield made
    await made.close()


STATUSES = [
    (400, Verdict.IGNORED),
    (401, Verdict.REFUSED),
    (402, Verdict.REFUSED),
    (403, Verdict.REFUSED),
    (404, Verdict.FAILURE),
    (408, Verdict.FAILURE),
    (413, Verdict.IGNORED),
    (422, Verdict.IGNORED),
    (429, Verdict.THROTTLED),
    (500, Verdict.FAILURE),
    (502, Verdict.FAILURE),
    (503, Verdict.FAILURE),
    (529, Verdict.THROTTLED),
    (302, Verdict.FAILURE),
]


@pytest.mark.parametrize(("status", "verdict"), STATUSES)
async def test_a_status_has_one_meaning(
    client: BackendClient, upstream: ScriptedUpstream, status: int, verdict: Verdict
) -> None:
    """Whole and streamed, over every kind; the key in the upstream's words is not repeated."""
    headers = [(b"retry-after", b"7"), (b"location", b"/elsewhere")]
    upstream.replies({"error": {"message": "no, secret-key"}}, status, headers)
    error = await failed(client, request_for())
    items, streamed = await failed_stream(client, request_for(stream=True))
    assert items == []
    for found in (error, streamed):
        assert (found.verdict, found.status, found.sent) == (verdict, status, True)
        assert found.retry_after == (7.0 if verdict in (Verdict.THROTTLED, Verdict.FAILURE) else None)
        assert "secret-key" not in f"{found} {found.client_error}"
    assert len([seen for seen in upstream.seen if seen.method == "POST"]) == 2


async def test_an_upstream_that_never_answers_is_a_timeout(client: BackendClient, upstream: ScriptedUpstream) -> None:
    """The attempt ends when its time is over; the question may have been processed."""
    upstream.answer = lambda _: Response(200, JSON, _silence())
    error = await failed(client, request_for(), 0.05)
    assert (error.verdict, error.code, error.sent) == (Verdict.FAILURE, "upstream_timeout", True)


async def _silence() -> AsyncIterator[bytes]:
    await asyncio.sleep(0.5)  # ten times as long as anybody waits here
    yield b""


async def test_a_cut_body_is_a_failure(client: BackendClient, upstream: ScriptedUpstream) -> None:
    """Half a reply is none."""
    upstream.streams(b'{"choices"', headers=JSON, then="cut")
    assert (await failed(client, request_for())).verdict is Verdict.FAILURE


async def test_nobody_there_means_nothing_was_sent(upstream: ScriptedUpstream, client: BackendClient) -> None:
    """The question may be asked elsewhere whatever it costs."""
    await upstream.stop()
    error = await failed(client, request_for())
    assert (error.verdict, error.sent) == (Verdict.FAILURE, False)
    assert not (await client.probe()).healthy


async def test_every_kind_passes_the_trace_and_the_deadline_on_and_nothing_else(
    client: BackendClient, upstream: ScriptedUpstream
) -> None:
    """Headers are ours: of the client's only the trace; how long we wait is told, in whole milliseconds."""
    seen: list[Request] = []

    def note(request: Request) -> Response:
        if request.method == "POST":
            seen.append(request)
        return Response(500)

    upstream.answer = note
    trace = ((b"traceparent", b"00-a-b-01"),)
    await failed(client, msgspec.structs.replace(request_for(), trace=trace))
    assert seen[0].headers[b"traceparent"] == b"00-a-b-01"
    allowed = {b"host", b"content-length", b"content-type", b"accept", b"authorization", b"x-api-key", b"traceparent"}
    allowed.add(b"x-equipoise-deadline-ms")
    assert 0 < int(seen[0].headers[b"x-equipoise-deadline-ms"]) <= 60_000
    assert seen[0].headers.keys() <= allowed


@pytest.mark.parametrize("make", [lambda url: make_client("lightrag", endpoint_url=url + "/a b")])
def test_a_path_that_could_not_be_sent_is_refused_at_start(make: Callable[[str], BackendClient]) -> None:
    """Better than with every question."""
    with pytest.raises(ValueError, match="path"):
        make("http://127.0.0.1:1")

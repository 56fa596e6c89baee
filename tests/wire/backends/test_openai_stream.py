"""Streams of OpenAI-compatible upstreams: relayed byte for byte, and broken ones told from whole ones."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.backends import OpenAIClient
from equipoise.backends.base import Relayed, TextDelta
from equipoise.backends.transport import Patience
from equipoise.core.model import Usage, Verdict
from tests.wire.backends.scripted import (
    ScriptedUpstream,
    collected,
    failed_stream,
    recorded,
    relayed,
    request_for,
)

CLIENT_BODY = (
    b'{"model": "auto", "messages": [{"role":"user","content":"\\u00fcber"}],\n "logit_bias":{"1":2.50}, "stream":true}'
)
USAGE = Usage(input_tokens=21, output_tokens=9, cached_tokens=16, reasoning_tokens=4)


def client_for(upstream: ScriptedUpstream, **options: object) -> OpenAIClient:
    """A client whose own model is `gpt-5-mini`."""
    options.setdefault("model", "gpt-5-mini")
    return OpenAIClient(upstream.url, api_key="sk-test", **options)


async def test_a_clients_stream_is_relayed_without_usage_and_done(upstream: ScriptedUpstream) -> None:
    """Every event but the usage chunk and [DONE] arrives byte for byte; the role chunk waits for the first words."""
    wire = recorded("openai_chat.sse")
    events = wire.split(b"\n\n")
    upstream.streams(*(event + b"\n\n" for event in events[:-1]))
    items, answer = await collected(client_for(upstream), request_for(body=CLIENT_BODY, stream=True))
    assert relayed(items) == b"\n\n".join(events[:-3]) + b"\n\n"
    assert isinstance(items[0], Relayed)
    assert items[0].data.startswith(b"\n\n".join(events[:2]) + b"\n\n")
    assert (answer.usage, answer.finish_reason, answer.model) == (USAGE, "stop", "gpt-5-mini-2026")


async def test_another_dialects_stream_comes_as_text(upstream: ScriptedUpstream) -> None:
    """Without a client body in this form the pieces are decoded, and the whole text is in the last item."""
    upstream.streams(recorded("openai_chat.sse"))
    items, answer = await collected(client_for(upstream), request_for(stream=True))
    assert items == [TextDelta("Butyrate "), TextDelta("feeds "), TextDelta("the colon.")]
    assert answer.text == "Butyrate feeds the colon."


async def test_crlf_pings_and_usage_on_the_last_chunk(upstream: ScriptedUpstream) -> None:
    """What llama.cpp and proxies send is understood; the usage is taken out of the chunk that carries it."""
    upstream.streams(recorded("local_chat_crlf.sse"))
    items, answer = await collected(client_for(upstream), request_for(body=CLIENT_BODY, stream=True))
    assert answer.usage == Usage(input_tokens=21, output_tokens=9)
    assert b'"usage":{' not in relayed(items)
    assert b'"finish_reason":"stop"' in relayed(items)


async def test_a_stream_reads_the_same_cut_at_every_byte(upstream: ScriptedUpstream) -> None:
    """Wherever TCP cuts it, the client gets the same bytes."""
    wire = recorded("openai_chat.sse")
    client = client_for(upstream)
    upstream.streams(wire)
    whole = relayed((await collected(client, request_for(body=CLIENT_BODY, stream=True)))[0])
    for place in range(1, len(wire), 7):
        upstream.streams(wire[:place], wire[place:])
        items, answer = await collected(client, request_for(body=CLIENT_BODY, stream=True))
        assert (relayed(items), answer.usage) == (whole, USAGE)


async def test_a_cut_stream_is_an_error_wherever_it_is_cut(upstream: ScriptedUpstream) -> None:
    """A connection that breaks before [DONE] never looks like an answer, and what was used is told."""
    wire = recorded("openai_chat.sse")
    client = client_for(upstream)
    for place in range(0, wire.index(b"data: [DONE]"), 61):
        upstream.streams(wire[:place], then="cut")
        _, error = await failed_stream(client, request_for(body=CLIENT_BODY, stream=True))
        assert error.verdict is Verdict.FAILURE
        assert error.usage is not None


async def test_a_stream_that_just_ends_is_an_error(upstream: ScriptedUpstream) -> None:
    """A clean end of the body with neither [DONE] nor a finish reason is no end of an answer."""
    upstream.streams(b"\n\n".join(recorded("openai_chat.sse").split(b"\n\n")[:3]) + b"\n\n")
    items, error = await failed_stream(client_for(upstream), request_for(body=CLIENT_BODY, stream=True))
    assert items
    assert (error.verdict, error.code) == (Verdict.FAILURE, "upstream_malformed")


async def test_a_finish_reason_without_done_is_an_end(upstream: ScriptedUpstream) -> None:
    """Some servers never send [DONE]; usage is then estimated, a token a chunk."""
    upstream.streams(b"\n\n".join(recorded("openai_chat.sse").split(b"\n\n")[:5]) + b"\n\n")
    _, answer = await collected(client_for(upstream), request_for(body=CLIENT_BODY, stream=True))
    assert answer.usage == Usage(input_tokens=40, output_tokens=3, estimated=True)


async def test_an_error_event_before_the_first_word_leaves_nothing_behind(upstream: ScriptedUpstream) -> None:
    """The role chunk is not an answer: nothing was passed on when the error comes, so another backend can be asked."""
    role = recorded("openai_chat.sse").split(b"\n\n")[0] + b"\n\n"
    upstream.streams(role, b'data: {"error":{"message":"Overloaded","type":"overloaded_error","code":529}}\n\n')
    items, error = await failed_stream(client_for(upstream), request_for(body=CLIENT_BODY, stream=True))
    assert (items, error.verdict) == ([], Verdict.THROTTLED)
    upstream.streams(role, b'event: error\ndata: {"message":"engine died"}\n\n')
    items, error = await failed_stream(client_for(upstream), request_for(body=CLIENT_BODY, stream=True))
    assert (items, error.verdict) == ([], Verdict.FAILURE)


async def test_a_stalled_stream_is_an_error(upstream: ScriptedUpstream) -> None:
    """Silence between events has a limit of its own."""
    upstream.streams(recorded("openai_chat.sse")[:900], then="stall")
    client = client_for(upstream, patience=Patience(idle=0.1))
    items, error = await failed_stream(client, request_for(body=CLIENT_BODY, stream=True))
    assert items
    assert (error.verdict, error.code) == (Verdict.FAILURE, "upstream_timeout")


async def test_an_event_that_never_ends_is_malformed(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upstream cannot fill our memory with one event."""
    monkeypatch.setattr("equipoise.backends.openai_stream.EVENT_LIMIT", 1000)
    upstream.streams(*[b": hello\n\ndata: " + b"[1]" * 300 + b"\n\n"] * 3)
    _, error = await failed_stream(client_for(upstream), request_for(body=CLIENT_BODY, stream=True))
    assert error.code == "upstream_malformed"


async def test_a_connection_is_used_again_after_a_stream(upstream: ScriptedUpstream) -> None:
    """[DONE] is followed by the end of the body, which is read, so that the connection goes back to the pool."""
    client = client_for(upstream)
    for _ in range(3):
        upstream.streams(recorded("openai_chat.sse"))
        await collected(client, request_for(body=CLIENT_BODY, stream=True))
    assert client._upstream._pool.idle == 1
    assert client._upstream._pool.in_use == 0


async def test_closing_a_stream_closes_the_upstreams_connection(upstream: ScriptedUpstream) -> None:
    """A client that goes away stops what he would have been billed for."""
    upstream.streams(recorded("openai_chat.sse")[:900], then="stall")
    client = client_for(upstream)
    stream = client.stream(request_for(body=CLIENT_BODY, stream=True), 5.0)
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(2):
        while upstream.in_flight or client._upstream._pool.in_use:
            await asyncio.sleep(0.01)

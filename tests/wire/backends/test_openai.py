"""OpenAI-compatible upstreams: what is sent, what is relayed, what counts as an answer."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from equipoise.backends import OpenAIClient, make_client
from equipoise.backends.base import Relayed, TextDelta
from equipoise.backends.transport import Patience, endpoint, header_list
from equipoise.core.model import Citation, Message, Usage, Verdict
from equipoise.http import Response
from tests.wire.backends.scripted import (
    JSON,
    ScriptedUpstream,
    collected,
    failed,
    failed_stream,
    pieces,
    recorded,
    relayed,
    request_for,
    text_of,
)

CLIENT_BODY = (
    b'{"model": "auto", "messages": [{"role":"user","content":"\\u00fcber"}],\n "logit_bias":{"1":2.50}, "stream":true}'
)
USAGE = Usage(input_tokens=21, output_tokens=9, cached_tokens=16, reasoning_tokens=4)


def client_for(upstream: ScriptedUpstream, **options: object) -> OpenAIClient:
    """A client whose own model is `gpt-5-mini`."""
    options.setdefault("model", "gpt-5-mini")
    return OpenAIClient(upstream.url, api_key="sk-test", **options)


async def test_an_answer_comes_with_usage_and_the_very_bytes(upstream: ScriptedUpstream) -> None:
    """Typed fields are read, the body is kept as it came."""
    upstream.replies(recorded("openai_chat.json"))
    answer = await client_for(upstream).send(request_for(), 5.0)
    assert (answer.text, answer.usage, answer.finish_reason) == ("Butyrate feeds the colon.", USAGE, "stop")
    assert (answer.model, answer.upstream_id) == ("gpt-5-mini-2026", "chatcmpl-A1")
    assert answer.raw == recorded("openai_chat.json")


async def test_headers_are_ours_and_the_operators_with_the_trace(upstream: ScriptedUpstream) -> None:
    """Key, an operator's header and the trace of the request go out, nothing of the client's."""
    upstream.replies(recorded("openai_chat.json"))
    request = msgspec.structs.replace(request_for(), trace=((b"traceparent", b"00-1-2-01"),))
    await client_for(upstream, headers={"OpenAI-Organization": "org-1"}).send(request, 5.0)
    headers = upstream.seen[0].headers
    assert upstream.seen[0].path == "/v1/chat/completions"
    assert headers[b"authorization"] == b"Bearer sk-test"
    assert (headers[b"openai-organization"], headers[b"traceparent"]) == (b"org-1", b"00-1-2-01")


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


async def test_garbage_is_a_failure(upstream: ScriptedUpstream) -> None:
    """HTML in place of JSON, JSON that is no object, an event that is no JSON."""
    client = client_for(upstream)
    for garbage in (b"<html>", b"[1]", b'"x"', b"\xff", b""):
        upstream.replies(garbage)
        assert (await failed(client, request_for())).verdict is Verdict.FAILURE
        upstream.streams(b"data: " + garbage + b"\n\n")
        assert (await failed_stream(client, request_for(stream=True)))[1].verdict is Verdict.FAILURE


async def test_a_reply_that_says_nothing_is_no_answer(upstream: ScriptedUpstream) -> None:
    """Empty content and a plain stop: the money is spent, the question is not answered."""
    upstream.replies(
        {
            "choices": [{"message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3},
        }
    )
    error = await failed(client_for(upstream), request_for())
    assert (error.verdict, error.usage) == (Verdict.NO_ANSWER, Usage(input_tokens=3))
    upstream.streams(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    assert (await failed_stream(client_for(upstream), request_for(stream=True)))[1].verdict is Verdict.NO_ANSWER


async def test_odd_types_are_read_leniently(upstream: ScriptedUpstream) -> None:
    """Numbers as floats, content in parts, an id that is a number: still an answer."""
    choice = {"message": {"content": [{"type": "text", "text": "yes"}]}, "finish_reason": "length"}
    upstream.replies(
        {
            "id": 7,
            "choices": [choice],
            "usage": {"prompt_tokens": 12.0, "completion_tokens": "?", "cost": {"total_cost": 0.1}},
        }
    )
    answer = await client_for(upstream).send(request_for(), 5.0)
    assert (answer.text, answer.upstream_id, answer.finish_reason) == ("yes", "7", "length")
    assert (answer.usage.input_tokens, answer.metered_cost) == (12, 100_000_000)


async def test_sources_are_read_where_an_upstream_gives_them(upstream: ScriptedUpstream) -> None:
    """OpenAI's annotations, each address once, unsafe ones never."""
    notes = [
        {"type": "url_citation", "url_citation": {"url": url, "title": "T"}}
        for url in ("https://a.org/", "https://a.org/", "javascript:x")
    ]
    upstream.replies({"choices": [{"message": {"content": "x", "annotations": notes}, "finish_reason": "stop"}]})
    answer = await client_for(upstream).send(request_for(), 5.0)
    assert answer.citations == [Citation(1, "T", "https://a.org/")]


async def test_a_server_that_ignores_stream_is_still_answered_from(upstream: ScriptedUpstream) -> None:
    """A plain JSON reply to a streamed question comes as one piece."""
    upstream.replies(recorded("openai_chat.json"))
    items, answer = await collected(client_for(upstream), request_for(stream=True))
    assert (text_of(items), answer.usage) == ("Butyrate feeds the colon.", USAGE)


async def test_tool_calls_survive_both_ways(upstream: ScriptedUpstream) -> None:
    """Calls come whole from a reply, in pieces from a stream, and are put together in its last item."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    upstream.replies({"choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    assert (await client_for(upstream).send(request_for(), 5.0)).tool_calls == [call]
    first = {
        "choices": [{"delta": {"tool_calls": [{"index": 0, **call, "function": {"name": "f", "arguments": '{"a'}}]}}]
    }
    second = {
        "choices": [
            {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '":1}'}}]}, "finish_reason": "tool_calls"}
        ]
    }
    upstream.streams(*(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in (first, second)))
    _, answer = await collected(client_for(upstream), request_for(stream=True))
    assert answer.tool_calls == [call]


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


async def test_a_refused_connection_was_never_sent(upstream: ScriptedUpstream) -> None:
    """Nobody listens: the question may be asked elsewhere whatever it costs."""
    url = upstream.url
    await upstream.stop()
    error = await failed(OpenAIClient(url, model="m"), request_for())
    assert (error.verdict, error.sent) == (Verdict.FAILURE, False)


async def test_redirects_are_not_followed(upstream: ScriptedUpstream) -> None:
    """A redirect could lead anywhere with the key in hand."""
    upstream.answer = Response(302, ((b"location", upstream.url.encode() + b"/other"),))
    error = await failed(client_for(upstream), request_for())
    assert (error.verdict, error.code, len(upstream.seen)) == (Verdict.FAILURE, "redirect_not_followed", 1)


async def test_a_probe_validates_the_key_and_knows_the_model(upstream: ScriptedUpstream) -> None:
    """The list of models is free and needs the key."""
    upstream.replies({"object": "list", "data": [{"id": "gpt-5-mini"}]})
    result = await client_for(upstream).probe()
    assert (result.healthy, result.details) == (True, {"models": 1, "model_listed": True})
    upstream.replies({"error": {"message": "bad key"}}, 401)
    assert not (await client_for(upstream).probe()).healthy


async def test_a_local_server_without_a_list_is_asked_for_its_health(upstream: ScriptedUpstream) -> None:
    """`/health` stands in; a model that is still loading is not healthy yet."""
    client = make_client("local_llm", endpoint_url=upstream.url + "/v1", model="m")
    upstream.routes = {"/v1/models": Response(404), "/health": Response(200, JSON, b'{"status":"ok"}')}
    assert (await client.probe()).healthy
    upstream.routes["/health"] = Response(503, JSON, b'{"error":{"message":"Loading model"}}')
    result = await client.probe()
    assert (result.healthy, "Loading model" in (result.error or "")) == (False, True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h:1", "/v1"),
        ("http://h:1/", "/v1"),
        ("http://h:1/v1/", "/v1"),
        ("http://h:1/api/v1", "/api/v1"),
        ("https://h/v1beta/openai", "/v1beta/openai"),
        ("http://h:1/v1/chat/completions", "/v1"),
    ],
)
def test_an_endpoint_may_or_may_not_name_its_version(url: str, path: str) -> None:
    """All ways in which people write an endpoint lead to the same place."""
    assert endpoint(url, version=True)[1] == path


@pytest.mark.parametrize("url", ["ftp://h", "h:1", "http://", "http://u:p@h", "http://h?x=1"])
def test_an_endpoint_that_is_none_is_refused(url: str) -> None:
    """Better at start than with the first question."""
    with pytest.raises(ValueError, match="endpoint"):
        endpoint(url)


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nc: d"}, {"Content-Length": "3"}, {"a b": "c"}, {"X": "\x00"}])
def test_a_header_that_could_break_framing_is_refused(headers: dict[str, str]) -> None:
    """An operator's header cannot smuggle another one."""
    with pytest.raises(ValueError, match="cannot be sent"):
        header_list({}, headers)


async def test_several_bodies_at_once_do_not_mix(upstream: ScriptedUpstream) -> None:
    """One client serves many requests at the same time."""

    def echo(request: object) -> Response:
        question = msgspec.json.decode(request.body)["messages"][0]["content"]  # type: ignore[attr-defined]
        event = {"choices": [{"delta": {"content": question}, "finish_reason": "stop"}]}
        return Response(
            200, ((b"content-type", b"text/event-stream"),), pieces([b"data: " + msgspec.json.encode(event) + b"\n\n"])
        )

    upstream.answer = echo
    client = client_for(upstream)
    asked = [request_for(messages=[Message("user", f"q{n}")], stream=True) for n in range(20)]
    answers = await asyncio.gather(*(collected(client, request) for request in asked))
    assert [answer.text for _, answer in answers] == [f"q{n}" for n in range(20)]

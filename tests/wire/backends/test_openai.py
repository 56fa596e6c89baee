"""OpenAI-compatible upstreams: what is sent, what is relayed, what counts as an answer."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from equipoise.backends import OpenAIClient, make_client
from equipoise.backends.transport import endpoint, header_list
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


async def test_cancelling_a_question_closes_its_connection(upstream: ScriptedUpstream) -> None:
    """Cancellation passes through, and a half-answered connection is not used again."""
    upstream.streams(b'{"choices":', headers=JSON, then="stall")
    client = client_for(upstream)
    task = asyncio.create_task(client.send(request_for(), 60.0))
    async with asyncio.timeout(5):
        while not upstream.seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while upstream.in_flight or client._upstream._pool.in_use:
            await asyncio.sleep(0.01)
    assert client._upstream._pool.idle == 0


async def test_without_a_model_of_its_own_a_backend_asks_for_one_the_server_has(upstream: ScriptedUpstream) -> None:
    """`auto` means nothing to Ollama: the first model it lists stands in, but one it does list is left alone."""
    upstream.routes["/v1/models"] = Response(200, JSON, b'{"data":[{"id":"llama3.2"},{"id":"qwen3"}]}')
    upstream.replies(recorded("openai_chat.json"))
    client = OpenAIClient(upstream.url, local=True)
    await client.send(request_for(body=b'{"model":"auto","messages":[]}'), 5.0)
    assert upstream.body()["model"] == "llama3.2"
    await client.send(request_for(body=b'{"model":"qwen3","messages":[]}'), 5.0)
    assert upstream.body()["model"] == "qwen3"
    assert [seen.path for seen in upstream.seen].count("/v1/models") == 1
    await client.close()


async def test_what_was_said_to_a_graph_is_not_said_to_openai(upstream: ScriptedUpstream) -> None:
    """A client may set LightRAG's and Perplexity's options with `auto`: OpenAI would refuse them, a local server may not."""
    upstream.replies(recorded("openai_chat.json"))
    body = b'{"model":"m","mode":"mix","top_k":5,"search_recency_filter":"week","logit_bias":{"1":2},"messages":[]}'
    await client_for(upstream).send(request_for(body=body), 5.0)
    assert upstream.body().keys() == {"model", "logit_bias", "messages"}
    await OpenAIClient(upstream.url, local=True, model="m").send(request_for(body=body), 5.0)
    assert upstream.body()["top_k"] == 5

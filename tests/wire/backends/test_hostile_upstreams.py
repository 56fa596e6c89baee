"""Upstreams that lie: whatever stands where in a reply, it is an answer or a BackendError, and soon."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from equipoise.backends import make_client
from equipoise.backends.base import BackendError
from equipoise.backends.billing import count, decode_exactly, metered
from equipoise.backends.ndjson import LineDecoder
from equipoise.backends.openai import OpenAIClient
from equipoise.backends.sse import EventSplitter, EventTooLarge, SSEDecoder
from equipoise.core.model import BackendType, Request
from equipoise.gateway.dialects.base import opened
from tests.wire.backends.hostile import HUGE, Liar, spoilt
from tests.wire.backends.scripted import request_for

CALL = b'{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}'
CHAT = (
    b'{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":'
    b'"assistant","content":"hi [1]","annotations":[{"url_citation":{"url":"https://e.org","title":"t"}}],"tool_calls":['
    + CALL
    + b']}}],"citations":["https://e.org"],"search_results":[{"id":1,"url":"https://e.org","title":"t","snippet":"s"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":1},"cost":{"total_cost":1}}}'
)
CHUNK = CHAT.replace(b'"message"', b'"delta"').replace(b"chat.completion", b"chat.completion.chunk")
AGENT = (
    b'{"type":"response.completed","response":{"id":"r","status":"completed","model":"m","output":[{"type":"message",'
    b'"content":[{"type":"output_text","text":"hi","annotations":[{"url":"https://e.org"}]}]},{"type":"search_results",'
    b'"results":[{"id":1,"url":"https://e.org","title":"t"}]},{"type":"function_call","call_id":"c","name":"f",'
    b'"arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":1,"tool_calls_details":{"search_web":{"invocation":1}},'
    b'"cost":{"currency":"USD","total_cost":0.1}},"error":null,"incomplete_details":{"reason":"x"}}}'
)
GRAPH = b'{"response":"hi [1]","references":[{"reference_id":"1","file_path":"a.pdf","content":["p"]}],"llm_generated":true}'
ERROR = (
    b'{"error":{"message":"m","type":"t","code":"c","param":"p"},"detail":[{"loc":["body","a"],"msg":"m","type":"t"}]}'
)
KINDS: dict[str, tuple[BackendType, dict[str, Any], bytes]] = {
    "openai": (BackendType.OPENAI_DIRECT, {"model": "m"}, CHAT),
    "perplexity": (
        BackendType.PERPLEXITY,
        {"model": "sonar"},
        msgspec.json.encode(msgspec.json.decode(AGENT)["response"]),
    ),
    "sonar": (BackendType.PERPLEXITY, {"model": "sonar", "api": "chat"}, CHAT),
    "lightrag": (BackendType.LIGHTRAG, {}, GRAPH),
}
EVENTS = {"openai": CHUNK, "perplexity": AGENT, "sonar": CHUNK, "lightrag": GRAPH}


def made(kind: str, liar: Liar) -> Any:
    backend_type, options, _ = KINDS[kind]
    return make_client(backend_type, endpoint_url="http://127.0.0.1:1", api_key="sk-own", pool=liar, **options)


async def heard(client: Any, request: Request) -> None:
    """A whole answer, or a stream to its end; only BackendError may come of it."""
    with contextlib.suppress(BackendError):
        if request.question.stream:
            [item async for item in client.stream(request, 5.0)]
        else:
            opened(await client.send(request, 5.0))


@pytest.mark.parametrize("kind", KINDS)
async def test_an_absurd_value_anywhere_in_a_reply_is_an_answer_or_a_backend_error(kind: str) -> None:
    """Every value of a whole reply in turn is each of sixteen absurd ones; no other exception leaves the client."""
    liar = Liar()
    client, request = made(kind, liar), request_for()
    for liar.body in spoilt(KINDS[kind][2]):
        await heard(client, request)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_absurd_value_anywhere_in_a_stream_is_an_answer_or_a_backend_error(kind: str) -> None:
    """The same in the first event of a stream, which is decoded into pieces."""
    liar = Liar()
    liar.kind = b"application/x-ndjson" if kind == "lightrag" else b"text/event-stream"
    client, request = made(kind, liar), request_for(stream=True)
    for body in spoilt(EVENTS[kind]):
        liar.body = body + b"\n" if kind == "lightrag" else b"data: " + body + b"\n\ndata: [DONE]\n\n"
        await heard(client, request)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_absurd_error_body_is_a_backend_error(kind: str) -> None:
    """Whatever an upstream says went wrong, its status alone is enough to judge by."""
    liar = Liar()
    client, request = made(kind, liar), request_for()
    for liar.status in (400, 500):
        for liar.body in spoilt(ERROR):
            with pytest.raises(BackendError):
                await client.send(request, 5.0)


def test_a_number_of_a_billion_digits_is_no_count() -> None:
    """`1e999999999` takes twelve bytes to send and minutes to write out: it is compared, never expanded."""
    assert count(Decimal(HUGE)) == 0
    assert count(Decimal("12.0")) == 12
    assert count(Decimal("12.5")) == count(Decimal("NaN")) == count(True) == count(-1) == 0
    assert metered(decode_exactly(b"1e99999999999999999999")) is None


async def test_a_reply_that_repeats_our_key_does_not_spread_it() -> None:
    """An upstream that sends our own headers back (a debugging proxy does) leaves no key in the error."""
    liar = Liar()
    liar.body = b"you sent: Bearer plain-key-without-prefix"
    client = OpenAIClient("http://127.0.0.1:1", api_key="plain-key-without-prefix", model="m", pool=liar)  # type: ignore[arg-type]
    with pytest.raises(BackendError) as caught:
        await client.send(request_for(), 5.0)
    assert "plain-key" not in str(caught.value)


async def test_calls_of_tools_keep_their_shape() -> None:
    """A proper call is handed on as it is; arguments that came as an object are JSON text."""
    liar = Liar()
    liar.body = CHAT.replace(b'"arguments":"{}"', b'"arguments":{"a":1}')
    answer = await made("openai", liar).send(request_for(), 5.0)
    assert answer.tool_calls == [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]


@pytest.mark.parametrize("decoder", [SSEDecoder, EventSplitter, LineDecoder])
def test_a_stream_that_never_ends_is_given_up(decoder: Any) -> None:
    """Small proper events without end would fill the memory of whoever gathers them: their sum is bounded."""
    endless = decoder(most=1_000)
    with pytest.raises(EventTooLarge, match="1000 bytes in all"):
        for _ in range(101):
            endless.feed(b"data: 1\n\n ")


async def test_where_a_backend_listens_is_not_told_to_who_asks() -> None:
    """Neither its host nor its port, in the error of a question or in its story; which backend it is, is."""
    client = make_client(BackendType.OPENAI_DIRECT, endpoint_url="http://127.0.0.1:9/v1", model="m", api_key="sk-own")
    with pytest.raises(BackendError) as refused:
        await client.send(request_for("What?"), 5.0)
    await client.close()
    for told in (str(refused.value), refused.value.plain):
        assert "127.0.0.1" not in told
        assert ":9" not in told
        assert told.startswith("openai")

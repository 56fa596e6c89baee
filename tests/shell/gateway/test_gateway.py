"""The public routes, with a scripted balancer behind them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from equipoise.backends.base import Finished, TextDelta
from equipoise.core.attempts import Attempted, Interrupted, Unanswered
from equipoise.core.model import Answer, CostSource, Request, Verdict
from equipoise.gateway.gateway import ASKING
from equipoise.gateway.headers import clean
from equipoise.gateway.hints import NAMES
from equipoise.gateway.streaming import StreamBody
from equipoise.reply import Reply
from tests.shell.gateway.scripted import CITED, ScriptedBalancer, fields_of, gateway_of, http, whole

QUESTION = b'{"model":"auto","messages":[{"role":"user","content":"Why?"}]}'
STREAMED = b'{"model":"auto","stream":true,"messages":[{"role":"user","content":"Why?"}]}'
FAILED = Attempted("web-b", Verdict.FAILURE, 2_000, 0.1, "HTTP 500", CostSource.ESTIMATED)


@pytest.fixture
def balancer() -> ScriptedBalancer:
    return ScriptedBalancer()


async def test_an_answer_says_who_gave_it_and_why(balancer: ScriptedBalancer):
    """All headers of a whole answer; money with nine decimals."""
    balancer.warning = "unknown model 'gpt-9'"
    response = await gateway_of(balancer).handle(http("POST", "/v1/chat/completions", QUESTION, x_request_id="mine-1"))
    fields = fields_of(response)
    told = {name.decode(): fields[name].decode() for name in fields}
    overhead, timing = told.pop("x-equipoise-overhead-ms"), told.pop("server-timing")
    assert told == {
        "content-type": "application/json",
        "x-request-id": "mine-1",
        "x-equipoise-backend": "graph-a",
        "x-equipoise-model": "sonar",
        "x-equipoise-strategy": "cost_optimized",
        "x-equipoise-reason": "lowest expected cost",
        "x-equipoise-attempts": "1",
        "x-equipoise-cost-usd": "0.001234567",
        "x-equipoise-cost-source": "metered",
        "x-equipoise-warning": "unknown model 'gpt-9'",
    }
    assert float(overhead) >= 0
    assert timing.startswith("equipoise;dur=")
    assert "upstream;dur=500.000" in timing


@given(st.text(max_size=300))
def test_no_text_can_break_a_header(text: str):
    """Neither line breaks nor controls nor anything beyond Latin-1, and never long."""
    value = clean(text)
    assert len(value) <= 200
    assert all(byte >= 32 and not 127 <= byte < 160 for byte in value)


async def test_hostile_words_of_an_upstream_stay_inside_their_header(balancer: ScriptedBalancer):
    """A model name with a line break adds no header."""
    balancer.answer_with = Answer(text="x", model="m\r\nset-cookie: a=b\u2028")
    response = await gateway_of(balancer).handle(http("POST", "/v1/chat/completions", QUESTION))
    assert fields_of(response)[b"x-equipoise-model"] == b"m  set-cookie: a=b?"


async def test_a_stream_says_what_is_known_at_its_first_byte(balancer: ScriptedBalancer):
    """Backend, strategy, reason, attempts; the cost is in the last chunk."""
    balancer.stream_with = [TextDelta("Water"), Finished(CITED)]
    response = await gateway_of(balancer).handle(http("POST", "/v1/chat/completions", STREAMED))
    fields = fields_of(response)
    assert fields[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert (fields[b"x-equipoise-backend"], fields[b"x-equipoise-attempts"]) == (b"graph-a", b"1")
    assert b"x-equipoise-cost-usd" not in fields
    body = await whole(response)
    assert b'"cost_usd":"0.001234567"' in body
    assert body.endswith(b"data: [DONE]\n\n")


async def test_an_interrupted_stream_ends_in_an_error(balancer: ScriptedBalancer):
    """What was passed on is followed by the error and what it cost, never by a finish reason."""
    cut = Interrupted("stream_interrupted", "cut after 5 bytes", attempts=(FAILED,), request_id="mine-1")
    balancer.stream_with = [TextDelta("Water"), cut]
    response = await gateway_of(balancer).handle(http("POST", "/v1/chat/completions", STREAMED, x_request_id="mine-1"))
    last, done = (await whole(response)).split(b"\n\n")[-3:-1]
    error = json.loads(last[6:])
    assert (error["error"]["code"], error["request_id"], error["cost_usd"]) == (
        "stream_interrupted",
        "mine-1",
        "0.000002000",
    )
    assert done == b"data: [DONE]"


async def test_nobody_answering_is_an_openai_error(balancer: ScriptedBalancer):
    """Status, four fields, attempts, reasons, money spent, and when to come again."""
    balancer.answer_with = Unanswered(
        "rate_limit_exceeded", "slow down", retry_after=1.2, attempts=(FAILED,), reasons={"web-b": "throttled"}
    )
    response = await gateway_of(balancer).handle(http("POST", "/v1/chat/completions", QUESTION, x_request_id="r"))
    fields = fields_of(response)
    assert response.status == 429
    assert json.loads(await whole(response)) == {
        "error": {"message": "slow down", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"},
        "request_id": "r",
        "attempts": 1,
        "cost_usd": "0.000002000",
        "reasons": {"web-b": "throttled"},
    }
    assert (fields[b"retry-after"], fields[b"retry-after-ms"], fields[b"x-should-retry"]) == (b"2", b"1200", b"true")
    assert (fields[b"x-equipoise-cost-usd"], fields[b"x-equipoise-attempts"]) == (b"0.000002000", b"1")


async def test_the_callers_fault_is_told_in_the_upstreams_words(balancer: ScriptedBalancer):
    """Known fields only, as text."""
    theirs: dict[str, Any] = {"message": "bad temperature", "param": "temperature", "code": 400, "secret": {"a": 1}}
    balancer.answer_with = Unanswered("invalid_request_error", "HTTP 400", client_error=theirs)
    response = await gateway_of(balancer).handle(http("POST", "/v1/chat/completions", QUESTION))
    assert response.status == 400
    assert json.loads(await whole(response))["error"] == {
        "message": "bad temperature",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "400",
    }


async def test_a_bad_hint_is_a_400_before_anything_is_asked(balancer: ScriptedBalancer):
    """The header is named, and the balancer is not troubled."""
    gateway = gateway_of(balancer)
    for name, value in (("x_equipoise_deadline_ms", "soon"), ("x_equipoise_strategy", "astrology")):
        response = await gateway.handle(http("POST", "/v1/chat/completions", QUESTION, **{name: value}))
        error = json.loads(await whole(response))["error"]
        assert (response.status, error["param"]) == (400, name.replace("_", "-"))
    assert balancer.asked == []


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/agent", "/chat/completions", "/query", "/query/stream"])
async def test_every_dialect_has_its_path(balancer: ScriptedBalancer, path: str):
    """Aliases included; each answers in its own form."""
    body = b'{"query":"Why?","stream":false,"input":"Why?","messages":[{"role":"user","content":"Why?"}]}'
    response = await gateway_of(balancer).handle(http("POST", path, body))
    assert response.status == 200
    assert balancer.asked[0].question.text == "Why?"
    assert CITED.text in (await whole(response)).decode()


async def test_lightrags_clients_get_their_own_errors(balancer: ScriptedBalancer):
    """`detail` instead of `error`."""
    balancer.answer_with = Unanswered("no_healthy_backend", "all are down")
    response = await gateway_of(balancer).handle(http("POST", "/query", b'{"query":"Why?"}'))
    assert (response.status, json.loads(await whole(response))["detail"]) == (503, "all are down")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing", 404, None),
        ("POST", "/", 404, None),
        ("GET", "/v1/chat/completions", 405, b"POST, OPTIONS"),
        ("POST", "/v1/models", 405, b"GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/requests/known", 405, b"GET, HEAD, OPTIONS"),
        ("OPTIONS", "/query", 204, b"POST, OPTIONS"),
        ("OPTIONS", "/livez", 204, b"GET, HEAD, OPTIONS"),
        ("HEAD", "/livez", 200, None),
        ("HEAD", "/v1/models", 200, None),
    ],
)
async def test_other_methods_and_paths(balancer: ScriptedBalancer, method: str, path: str, status: int, allow: Any):
    """404 and 405 in OpenAI's form, with the methods that would do; no CORS."""
    response = await gateway_of(balancer).handle(http(method, path))
    assert response.status == status
    assert fields_of(response).get(b"allow") == allow
    assert not any(name.startswith(b"access-control") for name, _ in response.headers)
    if status in (404, 405):
        assert set(json.loads(await whole(response))["error"]) == {"message", "type", "param", "code"}


@given(
    st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "x\x00y"]),
    st.sampled_from([*ASKING, "/v1/models", "/readyz", "/metrics"])
    | st.text().map("/v1/requests/{}".format)
    | st.text(),
    st.dictionaries(st.sampled_from([*NAMES, "authorization", "traceparent", "x-request-id"]), st.binary(max_size=40)),
    st.binary(max_size=60) | st.sampled_from([QUESTION, STREAMED, b'{"query":"abc"}', b'{"input":"x"}']),
)
@example("POST", "/v1/embeddings", {}, b'{"input":"x"}')
async def test_nothing_a_stranger_sends_is_a_defect_of_ours(
    method: str, path: str, headers: dict[str, bytes], body: bytes
):
    """Any method, path, headers and body: an answer, or the client's fault in a field, never a 5xx or an exception."""
    request = http(method, path, body)
    request.headers.update({name.encode(): value for name, value in headers.items()})
    gateway = gateway_of(ScriptedBalancer())
    response = gateway.admit(request) or await gateway.handle(request)
    assert response.status < 500
    for name, value in response.headers:
        assert b"\n" not in name + value
        assert b"\r" not in name + value
    if not isinstance(response.body, bytes):
        await response.body.aclose()


async def test_a_client_that_leaves_before_its_answer_is_told_of(balancer: ScriptedBalancer):
    """The question is cancelled, and observers learn that nobody waited any more."""

    async def never(request: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    balancer.answer = never
    asked = asyncio.create_task(gateway_of(balancer).handle(http("POST", "/v1/chat/completions", QUESTION)))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert [(event.status, event.error_code) for event in balancer.events] == [(499, "cancelled")]


async def test_an_untranslatable_answer_is_a_502_with_its_cost(balancer: ScriptedBalancer):
    """An upstream's broken JSON that only needed relaying cannot be told in another form."""
    balancer.answer_with = Answer(raw=b"{nonsense")
    response = await gateway_of(balancer).handle(http("POST", "/v1/responses", b'{"input":"Why?"}'))
    assert response.status == 502
    assert fields_of(response)[b"x-equipoise-cost-usd"] == b"0.001234567"


async def test_observers_are_told_how_every_question_ended(balancer: ScriptedBalancer):
    """One event a question: answered, refused, streamed, cut, left by its client."""
    gateway = gateway_of(balancer)
    await gateway.handle(http("POST", "/v1/chat/completions", QUESTION))
    await gateway.handle(http("POST", "/v1/chat/completions", b"{}"))
    cut = Interrupted("stream_interrupted", "cut", attempts=(FAILED,))
    for script in ([TextDelta("a"), Finished(CITED)], [TextDelta("a"), cut]):
        balancer.stream_with = list(script)
        await whole(await gateway.handle(http("POST", "/v1/chat/completions", STREAMED)))
    left = await gateway.handle(http("POST", "/v1/chat/completions", STREAMED))
    assert isinstance(left.body, StreamBody)
    await left.body.aclose()
    told = [(e.status, e.stream, e.interrupted, e.error_code) for e in balancer.events]
    assert told == [
        (200, False, False, None),
        (400, False, False, "invalid_request_error"),
        (200, True, False, None),
        (200, True, True, "stream_interrupted"),
        (499, True, False, "cancelled"),
    ]
    assert balancer.events[0].cost == 1_234_567

"""The demo's client believes what it is told, and only that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal

import pytest

from equipoise.http import Abort, Pool, Request, Response, Server
from equipoise.sandbox.demo.asking import Fate, Heard, ask
from equipoise.sandbox.demo.questions import questions

WHOLE, _, STREAMED, HINTED = questions(4, 1)
HEAD = ((b"x-request-id", b"r1"), (b"x-equipoise-attempts", b"2"), (b"x-equipoise-backend", b"web"))
CONTENT = b'data: {"choices":[{"delta":{"content":"Yes"}}]}\n\n'
LAST = b'data: {"choices":[],"usage":{"cost":1.23e-7},"equipoise":{"attempts":3}}\n\n'
CUT = b'data: {"error":{"code":"stream_interrupted","message":"gone"},"attempts":1,"cost_usd":"0.000000007"}\n\n'
DONE = b"data: [DONE]\n\n"

Answering = Callable[[Response], Awaitable[Heard]]


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[Server, list[Request], list[Response]]]:
    """A gateway that gives the responses it was handed and keeps what it was asked."""
    asked: list[Request] = []
    given: list[Response] = []

    async def handle(request: Request) -> Response:
        asked.append(request)
        return given.pop(0)

    server = Server(handle)
    await server.start()
    yield server, asked, given
    await server.drain(0)


async def pieces(*parts: bytes, abort: bool = False) -> AsyncIterator[bytes]:
    """A body piece by piece, perhaps torn off."""
    for part in parts:
        yield part
    if abort:
        raise Abort(reset=True)


Gateway = tuple[Server, list[Request], list[Response]]


async def told(gateway: Gateway, response: Response, question: object = STREAMED) -> Heard:
    """What the client makes of one response."""
    server, _, given = gateway
    given.append(response)
    pool = Pool(f"http://127.0.0.1:{server.port}")
    try:
        return await ask(pool, question)  # type: ignore[arg-type]
    finally:
        await pool.close()


async def test_a_whole_answer_is_read_with_its_headers(gateway: Gateway) -> None:
    """Backend, attempts, citations, and the cost to the nano-dollar."""
    body = b'{"choices":[{"message":{"content":"Yes [1]"}}],"citations":["https://a.example"]}'
    heard = await told(gateway, Response(200, (*HEAD, (b"x-equipoise-cost-usd", b"0.000000123")), body), WHOLE)
    assert (heard.fate, heard.backend, heard.attempts, heard.citations) == (Fate.ANSWERED, "web", 2, 1)
    assert (heard.cost, heard.request_id) == (Decimal("0.000000123"), "r1")


async def test_a_stream_is_read_to_its_done(gateway: Gateway) -> None:
    """The cost is in the last chunk, and no float comes near it."""
    heard = await told(gateway, Response(200, HEAD, pieces(CONTENT, CONTENT, LAST, DONE)))
    assert (heard.fate, heard.text, heard.cost, heard.attempts) == (Fate.ANSWERED, "YesYes", Decimal("1.23E-7"), 3)


async def test_a_stream_with_an_error_event_is_interrupted_and_paid(gateway: Gateway) -> None:
    """`[DONE]` after it makes no answer of it."""
    heard = await told(gateway, Response(200, HEAD, pieces(CONTENT, CUT, DONE)))
    assert (heard.fate, heard.cost) == (Fate.INTERRUPTED, Decimal("0.000000007"))
    assert heard.error == "stream_interrupted: gone"


@pytest.mark.parametrize("abort", [False, True])
async def test_a_stream_that_just_ends_has_failed(gateway: Gateway, abort: bool) -> None:
    """Torn off or ended politely: without `[DONE]` nobody knows whether it was all."""
    heard = await told(gateway, Response(200, HEAD, pieces(CONTENT, abort=abort)))
    assert heard.fate is Fate.FAILED
    assert heard.error


async def test_an_error_keeps_its_cost(gateway: Gateway) -> None:
    """Failed attempts may have been billed."""
    body = b'{"error":{"code":"upstream_error","message":"all failed"}}'
    heard = await told(gateway, Response(502, (*HEAD, (b"x-equipoise-cost-usd", b"0.000000009")), body))
    assert (heard.fate, heard.cost, heard.error) == (Fate.FAILED, Decimal("0.000000009"), "upstream_error: all failed")


async def test_an_empty_answer_is_no_answer(gateway: Gateway) -> None:
    """A 200 whose message says nothing."""
    heard = await told(gateway, Response(200, HEAD, b'{"choices":[{"message":{"content":""}}]}'), WHOLE)
    assert heard.fate is Fate.FAILED


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b'{"choices":[]}', b'{"choices":[{"message":null}]}'])
async def test_a_body_of_another_shape_is_a_failure_and_no_exception(gateway: Gateway, body: bytes) -> None:
    """Whatever a broken gateway sends, the demo goes on and counts."""
    heard = await told(gateway, Response(200, HEAD, body), WHOLE)
    assert (heard.fate, heard.error != "") == (Fate.FAILED, True)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"choices":7}', b'{"error":{},"cost_usd":"much"}'])
async def test_an_event_of_another_shape_is_a_failure_and_no_exception(gateway: Gateway, data: bytes) -> None:
    """The same in a stream."""
    heard = await told(gateway, Response(200, HEAD, pieces(CONTENT, b"data: " + data + b"\n\n", DONE)))
    assert (heard.fate, heard.error != "") == (Fate.FAILED, True)


async def test_a_hint_is_sent_as_a_header(gateway: Gateway) -> None:
    """Every fourth question asks for a strategy."""
    await told(gateway, Response(500, HEAD, b"{}"), HINTED)
    assert HINTED.strategy is not None
    assert gateway[1][0].headers[b"x-equipoise-strategy"] == HINTED.strategy.encode()


async def test_a_dead_gateway_is_a_failure_and_no_exception(gateway: Gateway) -> None:
    """The demo goes on and counts."""
    server, _, _ = gateway
    await server.drain(0)
    heard = await told(gateway, Response(200))
    assert (heard.fate, heard.cost) == (Fate.FAILED, None)

"""A question asked again under its Idempotency-Key: one answer, one charge, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from equipoise.backends.base import Finished, StreamItem, TextDelta
from equipoise.core.attempts import Interrupted, Unanswered
from equipoise.core.model import Answer, Request
from equipoise.gateway import ClientKeys
from equipoise.gateway.idempotency import BOOKKEEPING, Keeping
from equipoise.gateway.keys import digest
from equipoise.http import Response
from equipoise.reply import Reply
from tests.patience import turns
from tests.shell.gateway.scripted import ScriptedBalancer, ScriptedStream, fields_of, gateway_of, http, whole

CHAT = "/v1/chat/completions"
QUESTION = b'{"model":"auto","messages":[{"role":"user","content":"Why?"}]}'
OTHER = b'{"model":"auto","messages":[{"role":"user","content":"When?"}]}'
STREAMED = b'{"model":"auto","stream":true,"messages":[{"role":"user","content":"Why?"}]}'


class Slow(ScriptedBalancer):
    """Answers, and ends its streams, only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def answer(self, request: Request) -> Reply:
        self.asked.append(request)
        await self.go.wait()
        self.asked.pop()
        return await super().answer(request)

    async def open(self, request: Request) -> ScriptedStream:
        stream = await super().open(request)
        stream.items = self._held(stream.items)  # type: ignore[method-assign]
        return stream

    def _held(self, items: Any) -> Any:
        async def held() -> Any:
            async for item in items():
                if isinstance(item, Finished):
                    await self.go.wait()
                yield item

        return held


async def ask(gateway: Any, body: bytes = QUESTION, key: str = "k-1", path: str = CHAT, **headers: str) -> Response:
    response: Response = await gateway.handle(http("POST", path, body, idempotency_key=key, **headers))
    return response


async def test_a_repeat_is_given_the_same_answer_and_charged_nothing():
    """Byte for byte, with the first one's id, and headers that add nothing to anybody's sum."""
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer)
    first, again = await ask(gateway), await ask(gateway)
    assert len(balancer.asked) == 1
    assert again.body == first.body
    fields = fields_of(again)
    assert fields[b"x-request-id"] == fields_of(first)[b"x-request-id"]
    assert (fields[b"idempotent-replayed"], fields[b"x-equipoise-cost-usd"]) == (b"true", b"0.000000000")
    assert b"idempotent-replayed" not in fields_of(first)
    assert [(event.cost, event.attempts, event.status) for event in balancer.events] == [
        (1_234_567, 1, 200),
        (0, 0, 200),
    ]


async def test_repeats_join_the_question_in_flight():
    """Ten at once are one question."""
    balancer = Slow()
    gateway = gateway_of(balancer)
    asking = [asyncio.create_task(ask(gateway)) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(balancer.asked) == 1
    balancer.go.set()
    bodies = {response.body for response in await asyncio.gather(*asking)}
    assert len(bodies) == len(balancer.asked) == 1


async def test_an_answer_goes_on_without_the_client_that_asked_first():
    """It hung up; when it comes back with its key the answer is there, asked for once."""
    balancer = Slow()
    gateway = gateway_of(balancer)
    first = asyncio.create_task(ask(gateway))
    await turns()
    first.cancel()
    balancer.go.set()
    assert (await ask(gateway)).status == 200
    assert len(balancer.asked) == 1


async def test_a_streamed_answer_is_given_again_as_the_same_stream():
    """While it runs (from its beginning) and when it is over; the upstream is closed once."""
    balancer = Slow()
    balancer.stream_with = [TextDelta("Because "), TextDelta("of that."), Finished(Answer(text="Because of that."))]
    gateway = gateway_of(balancer)
    first = await ask(gateway, STREAMED)
    joined = asyncio.create_task(whole(await ask(gateway, STREAMED)))
    await asyncio.sleep(0)
    balancer.go.set()
    told = await whole(first)
    assert await joined == told == await whole(await ask(gateway, STREAMED))
    assert told.endswith(b"data: [DONE]\n\n")
    assert (len(balancer.asked), balancer.streams[0].closed) == (1, 1)


async def test_a_stream_nobody_reads_is_still_made_to_its_end():
    """The client went away after the head: its answer waits for it."""
    balancer = ScriptedBalancer()
    balancer.stream_with = [TextDelta("So."), Finished(Answer(text="So."))]
    gateway = gateway_of(balancer)
    left = await ask(gateway, STREAMED)
    await left.body.aclose()  # type: ignore[union-attr]
    assert b"So." in await whole(await ask(gateway, STREAMED))
    assert len(balancer.asked) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_no_whole_answer_is_asked_again(stream: bool):
    """An error or a cut stream is told to those who wait for it, and kept for nobody."""
    balancer = ScriptedBalancer()
    gateway, body = gateway_of(balancer), STREAMED if stream else QUESTION
    script: list[StreamItem | Exception] = [TextDelta("Bec"), Interrupted("stream_interrupted", "cut")]
    balancer.stream_with = script
    balancer.answer_with = Answer(text="x") if stream else Unanswered("upstream_error", "it broke")
    assert b"error" in await whole(await ask(gateway, body))
    balancer.answer_with, balancer.stream_with = Answer(text="At last"), [TextDelta("At last"), Finished(Answer())]
    assert b"At last" in await whole(await ask(gateway, body))
    assert len(balancer.asked) == 2


@pytest.mark.parametrize(("path", "body"), [(CHAT, OTHER), ("/v1/responses", QUESTION)])
async def test_a_key_belongs_to_one_question(path: str, body: bytes):
    """Another body, or the same one elsewhere, is an error that says so, and nobody is asked."""
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer)
    await ask(gateway)
    refused = await ask(gateway, body, path=path)
    error = json.loads(await whole(refused))["error"]
    assert (refused.status, error["code"], error["param"]) == (422, "idempotency_key_reused", "Idempotency-Key")
    assert fields_of(refused)[b"x-should-retry"] == b"false"
    assert len(balancer.asked) == 1


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
async def test_what_is_no_key_is_refused(key: str):
    """400, before anybody is asked."""
    balancer = ScriptedBalancer()
    request = http("POST", CHAT, QUESTION)
    request.headers[b"idempotency-key"] = key.encode("latin-1")
    assert (await gateway_of(balancer).handle(request)).status == 400
    assert balancer.asked == []


async def test_tenants_do_not_share_keys():
    """The same key of two tenants is two questions; a stranger gets nothing at all."""
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer, ClientKeys({digest("one"): "a", digest("two"): "b"}))
    for _ in range(2):
        for key in ("one", "two"):
            assert (await ask(gateway, x_api_key=key)).status == 200
    assert [hints.tenant for hints in balancer.hints] == ["a", "b"]
    assert (await ask(gateway, x_api_key="three")).status == 401


async def test_answers_are_kept_for_a_time_and_within_bounds():
    """After ten minutes, or when there is no room any more, the question is asked again; the oldest goes first."""
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer, keeping=Keeping(600.0, 2 * BOOKKEEPING + 4_000))
    clock = [0.0]
    gateway.repeats._now = lambda: clock[0]
    for key in ("a", "b", "a", "b"):
        await ask(gateway, key=key)
    assert len(balancer.asked) == 2
    clock[0] = 600.0
    await ask(gateway, key="a")
    assert len(balancer.asked) == 3
    for number in range(10):
        await ask(gateway, key=f"more-{number}")
    assert gateway.repeats._kept.bytes <= 2 * BOOKKEEPING + 4_000
    await ask(gateway, key="a")
    assert len(balancer.asked) == 14


async def test_an_answer_that_never_came_breaks_off_for_all():
    """The gateway stops: who waits is told to ask again, who reads sees a broken stream, never a clean end."""
    balancer = Slow()
    balancer.stream_with = [TextDelta("Bec"), Finished(Answer())]
    gateway = gateway_of(balancer)
    waiting = asyncio.create_task(ask(gateway))
    streamed = await ask(gateway, STREAMED, key="k-2")
    reading = asyncio.create_task(whole(streamed))
    await turns()
    await gateway.repeats.close()
    assert (await waiting).status == 503
    with pytest.raises(Exception, match="closed without an answer"):
        await reading

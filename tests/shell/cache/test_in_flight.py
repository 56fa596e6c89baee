"""Identical questions at the same time: one is asked, all are answered."""

from __future__ import annotations

import asyncio

import msgspec

from equipoise.backends.base import Finished, Relayed, TextDelta
from equipoise.core.attempts import Attempted, Unanswered
from equipoise.core.events import AnswerReused, RequestEnded
from equipoise.core.model import Answer, CostSource, Verdict
from tests.patience import turns
from tests.shell.cache.asking import Kitchen, said
from tests.shell.gateway.scripted import fields_of, whole

STREAMED = {"stream": True}


async def test_identical_questions_in_flight_cost_one():
    """Everybody who asks while it is under way gets the one answer; only the first pays."""
    kitchen = Kitchen()
    kitchen.balancer.go.clear()
    asking = [asyncio.create_task(kitchen.ask(x_request_id=str(number))) for number in range(20)]
    await turns()
    kitchen.balancer.go.set()
    answers = await asyncio.gather(*asking)
    assert len(kitchen.balancer.asked) == 1
    assert sorted(map(said, answers)) == ["joined"] * 19 + ["miss"]
    costs = [fields_of(answer)[b"x-equipoise-cost-usd"] for answer in answers]
    assert costs.count(b"0.000000000") == 19


async def test_a_failure_is_shared_by_those_who_waited_for_it():
    """Twenty questions do not become twenty failures upstream; its attempts and cost are the first one's."""
    kitchen = Kitchen()
    attempt = Attempted("graph-a", Verdict.FAILURE, 5, 0.1, "broke", CostSource.ESTIMATED)
    kitchen.balancer.answer_with = Unanswered("upstream_error", "it fell over", attempts=(attempt,))
    kitchen.balancer.go.clear()
    asking = [asyncio.create_task(kitchen.ask()) for _ in range(5)]
    await turns()
    kitchen.balancer.go.set()
    assert [answer.status for answer in await asyncio.gather(*asking)] == [502] * 5
    assert len(kitchen.balancer.asked) == 1
    ended = [event for event in kitchen.balancer.events if isinstance(event, RequestEnded)]
    assert sorted(event.cost for event in ended) == [0, 0, 0, 0, 5]


async def test_who_asked_first_may_go():
    """The answer is made for those who still wait; only when all have gone is it given up."""
    kitchen = Kitchen()
    kitchen.balancer.go.clear()
    first, second = (asyncio.create_task(kitchen.ask()) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    kitchen.balancer.go.set()
    assert (await second).status == 200
    assert len(kitchen.balancer.asked) == 1

    kitchen.balancer.go.clear()
    alone = asyncio.create_task(kitchen.ask({"seed": 1}))
    await turns()
    alone.cancel()
    await turns()
    assert kitchen.cache.status()["in_flight"] == 0


async def test_streams_are_joined_piece_by_piece_and_kept():
    """Who joins gets all pieces from the first, as they come; later ones get the same stream at once."""
    kitchen = Kitchen()
    pieces = [TextDelta("Yes"), TextDelta(", it"), TextDelta(" does.")]
    kitchen.balancer.stream_with = [*pieces, Finished(Answer(text="Yes, it does."))]
    kitchen.balancer.go.clear()
    first, second = await kitchen.ask(STREAMED), await kitchen.ask(STREAMED)
    reading = [asyncio.create_task(whole(answer)) for answer in (first, second)]
    await turns()
    assert not any(task.done() for task in reading)
    kitchen.balancer.go.set()
    texts = [_words(await task) for task in reading]
    third = await kitchen.ask(STREAMED)
    texts.append(_words(await whole(third)))
    assert texts == ["Yes, it does."] * 3
    assert [said(answer) for answer in (first, second, third)] == ["miss", "joined", "hit"]
    assert len(kitchen.balancer.streams) == 1
    reused = [event for event in kitchen.balancer.events if isinstance(event, AnswerReused)]
    assert [event.result for event in reused] == ["joined", "hit"]


async def test_a_relayed_stream_is_given_again_byte_by_byte():
    """What an OpenAI-compatible backend sent is the same for the second reader, but for the bookkeeping at its end."""
    kitchen = Kitchen()
    events = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % number for number in range(3)]
    kitchen.balancer.stream_with = [*map(Relayed, events), Finished(Answer())]
    bodies = [await whole(await kitchen.ask(STREAMED)) for _ in range(2)]
    assert all(body.startswith(b"".join(events)) and body.endswith(b"data: [DONE]\n\n") for body in bodies)
    assert b'"cost":0.0' in bodies[1]


async def test_a_cut_stream_is_cut_for_all_and_kept_by_nobody():
    """Who joined meets the same break at the same place, and the next one asks anew."""
    kitchen = Kitchen()
    kitchen.balancer.stream_with = [TextDelta("Ye"), Unanswered("stream_interrupted", "it broke")]
    kitchen.balancer.go.clear()
    both = [await kitchen.ask(STREAMED) for _ in range(2)]
    kitchen.balancer.go.set()
    bodies = [await whole(answer) for answer in both]
    assert all(b"stream_interrupted" in body and b'"Ye"' in body for body in bodies)
    kitchen.balancer.stream_with = [TextDelta("Yes"), Finished(Answer(text="Yes"))]
    assert said(await kitchen.ask(STREAMED)) == "miss"


async def test_a_stream_goes_on_while_anybody_reads():
    """The first reader's leaving cuts nobody off; the last one's closes the upstream, and nothing half is kept."""
    kitchen = Kitchen()
    kitchen.balancer.stream_with = [TextDelta("Yes"), Finished(Answer(text="Yes"))]
    kitchen.balancer.go.clear()
    first, second = await kitchen.ask(STREAMED), await kitchen.ask(STREAMED)
    await first.body.aclose()  # type: ignore[union-attr]
    assert kitchen.balancer.streams[0].closed == 0
    await second.body.aclose()  # type: ignore[union-attr]
    await turns()
    assert kitchen.balancer.streams[0].closed
    kitchen.balancer.go.set()
    again = await kitchen.ask(STREAMED)
    assert (said(again), _words(await whole(again))) == ("miss", "Yes")


async def test_no_cache_is_not_content_with_an_older_flight():
    """Who wants a fresh answer does not join a question that set out before; later ones join his."""
    kitchen = Kitchen()
    kitchen.balancer.go.clear()
    asking = [asyncio.create_task(kitchen.ask())]
    await turns()
    asking += [asyncio.create_task(kitchen.ask(cache_control="no-cache"))]
    await turns()
    asking += [asyncio.create_task(kitchen.ask())]
    await turns()
    kitchen.balancer.go.set()
    assert [said(answer) for answer in await asyncio.gather(*asking)] == ["miss", "miss", "joined"]


def _words(body: bytes) -> str:
    chunks = [msgspec.json.decode(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk.get("choices"))

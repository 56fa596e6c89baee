"""Answers that are given again: when, for how long, at whose wish, and which are not kept."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from equipoise.core.attempts import Attempted, Unanswered
from equipoise.core.events import AnswerReused, AnswerScored, RequestEnded
from equipoise.core.model import Answer, CostSource, Verdict
from equipoise.core.routing import CacheOptions
from equipoise.gateway.given import BOOKKEEPING
from tests.patience import turns
from tests.shell.cache.asking import Kitchen, said
from tests.shell.gateway.scripted import fields_of

STREAMED = {"stream": True}


async def test_the_same_question_is_answered_once():
    """The second answer has the same words, its own id, costs nothing, and says how old it is."""
    kitchen = Kitchen()
    first = await kitchen.ask(x_request_id="one")
    kitchen.clock += 12.5
    second = await kitchen.ask(x_request_id="two")
    assert [said(first), said(second)] == ["miss", "hit"]
    assert len(kitchen.balancer.asked) == 1
    bodies = [msgspec.json.decode(response.body) for response in (first, second)]
    assert bodies[0]["choices"] == bodies[1]["choices"]
    assert bodies[1]["id"] == "chatcmpl-two"
    assert bodies[1]["usage"]["cost"] == 0
    assert bodies[1]["equipoise"]["attempts"] == 0
    fields = fields_of(second)
    assert fields[b"age"] == b"12"
    assert fields[b"x-equipoise-cost-usd"] == b"0.000000000"
    assert fields[b"x-equipoise-backend"] == b"graph-a"
    assert b"age" not in fields_of(first)


async def test_observers_are_told_what_was_saved():
    """The request ends as a hit that cost nothing; what it saved is a record of its own, naming whose answer it was."""
    kitchen = Kitchen()
    await kitchen.ask(x_request_id="one")
    await kitchen.ask(x_request_id="two")
    ended = [event for event in kitchen.balancer.events if isinstance(event, RequestEnded)]
    assert [(event.cache, event.cost, event.attempts) for event in ended] == [("miss", 1_234_567, 1), ("hit", 0, 0)]
    (reused,) = [event for event in kitchen.balancer.events if isinstance(event, AnswerReused)]
    assert (reused.request_id, reused.source, reused.saved, reused.result) == ("two", "one", 1_234_567, "hit")


async def test_without_cache_on_its_route_nothing_is_kept_or_said():
    """Off is the default: every question is asked and no header speaks of a cache."""
    kitchen = Kitchen(None)
    for _ in range(2):
        assert said(await kitchen.ask()) == ""
    assert len(kitchen.balancer.asked) == 2


BAD: dict[str, dict[str, Any]] = {
    "cut": {"answer": Answer(text="Half an", finish_reason="length")},
    "filtered": {"answer": Answer(text="", finish_reason="content_filter")},
    "tool-call": {"answer": Answer(tool_calls=[{"id": "c"}], finish_reason="tool_calls")},
    "no-context": {"attempts": (Attempted("graph-a", Verdict.NO_ANSWER, 1, 0.1, None, CostSource.METERED),)},
    "fallback": {"decision": None},
    "below-floor": {"quality": 0.2},
    "escalated-in-doubt": {"escalated_from": ("graph-a", 0.1)},
    "rescue": {"role": "rescue"},
}


@pytest.mark.parametrize("name", BAD)
async def test_what_nobody_wants_again_is_not_kept(name: str):
    """Cut, filtered, acting, empty, doubtful answers, and those of a fallback, are given once."""
    kitchen = Kitchen()
    kitchen.route = msgspec.structs.replace(kitchen.route, min_quality=0.5)
    changes = dict(BAD[name])
    if name == "fallback":
        kitchen.route = msgspec.structs.replace(kitchen.route, backends=("web-b",))
        changes = {}
    kitchen.balancer.replies = changes
    assert [said(await kitchen.ask()) for _ in range(2)] == ["miss", "miss"]


async def test_failures_are_not_kept():
    """An error is told once; the next one asks."""
    kitchen = Kitchen()
    kitchen.balancer.answer_with = Unanswered("upstream_error", "it fell over")
    assert (await kitchen.ask()).status == 502
    kitchen.balancer.answer_with = Answer(text="Yes.")
    assert said(await kitchen.ask()) == "miss"


async def test_answers_grow_old():
    """After its time an answer is asked for again."""
    kitchen = Kitchen(CacheOptions(ttl=60.0))
    await kitchen.ask()
    kitchen.clock += 60.0
    assert said(await kitchen.ask()) == "hit"
    kitchen.clock += 0.1
    assert said(await kitchen.ask()) == "miss"


async def test_a_stale_answer_is_given_while_one_asks_anew():
    """Within the stale time everybody is answered at once, one question goes out, and its answer comes next."""
    kitchen = Kitchen(CacheOptions(ttl=60.0, stale=60.0))
    await kitchen.ask()
    kitchen.clock += 90.0
    kitchen.balancer.go.clear()
    assert [said(await kitchen.ask()) for _ in range(3)] == ["stale"] * 3
    kitchen.balancer.go.set()
    await turns()
    assert len(kitchen.balancer.asked) == 2
    assert kitchen.balancer.asked[1].id.endswith("-refresh")
    assert said(await kitchen.ask()) == "hit"


async def test_a_refresh_that_fails_leaves_the_stale_answer():
    """What could not be renewed is given until its time is over, and then the failure shows."""
    kitchen = Kitchen(CacheOptions(ttl=60.0, stale=60.0))
    await kitchen.ask()
    kitchen.balancer.answer_with = Unanswered("upstream_error", "it fell over")
    kitchen.clock += 90.0
    for _ in range(2):
        assert said(await kitchen.ask()) == "stale"
        await asyncio.sleep(0)
    kitchen.clock += 60.0
    assert (await kitchen.ask()).status == 502


async def test_clients_may_say_no():
    """no-store leaves no trace; no-cache asks anew and renews; max-age bounds the age; in whichever header or metadata."""
    kitchen = Kitchen()
    assert said(await kitchen.ask(cache_control="no-store")) == "bypass"
    assert said(await kitchen.ask(x_equipoise_cache="no-store")) == "bypass"
    assert said(await kitchen.ask({"metadata": {"x-equipoise-cache": "no-store"}})) == "bypass"
    assert said(await kitchen.ask(cache_control="private, no-cache")) == "miss"
    assert said(await kitchen.ask()) == "hit"
    kitchen.clock += 30.0
    assert said(await kitchen.ask(cache_control="max-age=31")) == "hit"
    assert said(await kitchen.ask(cache_control="max-age=29")) == "miss"
    assert said(await kitchen.ask(cache_control="max-age=nonsense")) == "miss"
    assert said(await kitchen.ask(cache_control="only-if-cached")) == "hit"


async def test_only_if_cached_asks_nobody():
    """504 with a code of its own where nothing is kept (RFC 9111, 5.2.1.7)."""
    kitchen = Kitchen()
    answer = await kitchen.ask(cache_control="only-if-cached")
    assert answer.status == 504
    assert b"not_cached" in answer.body  # type: ignore[operator]
    assert kitchen.balancer.asked == []


async def test_memory_has_a_bound():
    """The answer that was not asked for the longest goes first; what is longer than allowed is never kept."""
    kitchen = Kitchen(most_bytes=3 * (BOOKKEEPING + 1_000))
    for seed in (1, 2, 3):
        await kitchen.ask({"seed": seed})
    assert said(await kitchen.ask({"seed": 1})) == "hit"
    await kitchen.ask({"seed": 4})
    assert kitchen.cache.status()["bytes"] <= 3 * (BOOKKEEPING + 1_000)
    assert [said(await kitchen.ask({"seed": seed}, cache_control="only-if-cached")) for seed in (1, 2)] == ["hit", ""]
    kitchen.balancer.answer_with = Answer(text="long " * 1_000)
    kitchen.cache.limits = msgspec.structs.replace(kitchen.cache.limits, most_answer_bytes=BOOKKEEPING + 4_000)
    assert [said(await kitchen.ask({"seed": 9})) for _ in range(2)] == ["miss", "miss"]


async def test_purging_takes_what_is_in_flight_too():
    """After a purge nothing from before it is given, not even an answer that was under way."""
    kitchen = Kitchen()
    await kitchen.ask({"seed": 1})
    kitchen.balancer.go.clear()
    under_way = asyncio.create_task(kitchen.ask())
    await turns()
    assert kitchen.cache.purge(tenant="nobody") == 0
    assert kitchen.cache.purge(route="auto") == 1
    kitchen.balancer.go.set()
    await under_way
    assert [said(await kitchen.ask(body)) for body in ({"seed": 1}, {})] == ["miss", "miss"]


async def test_an_answer_that_people_rate_badly_is_not_given_again():
    """Feedback or a judge below the route's floor takes it away; a better opinion, or a rule's, does not."""
    kitchen = Kitchen()
    kitchen.route = msgspec.structs.replace(kitchen.route, min_quality=0.6)
    await kitchen.ask(x_request_id="one")

    def scored(quality: float, source: str) -> AnswerScored:
        return AnswerScored(
            request_id="one", attempt=1, backend_id="graph-a", route="auto", tenant="default", kind="general",
            role="answer", quality=quality, variance=0.1, source=source,
        )  # fmt: skip

    for event in (scored(0.9, "feedback"), scored(0.1, "proxy")):
        kitchen.cache.observe(event)
    assert said(await kitchen.ask()) == "hit"
    kitchen.cache.observe(scored(0.1, "feedback"))
    assert said(await kitchen.ask()) == "miss"

"""Which questions are the same one, and which are never answered from what is kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from equipoise.backends.base import Finished, TextDelta
from equipoise.core.model import Answer
from equipoise.core.routing import CacheOptions
from tests.shell.cache.asking import CHAT, QUESTION, Kitchen, said
from tests.shell.gateway.scripted import whole

STREAMED = {"stream": True}


async def test_spelling_does_not_matter():
    """Order of fields, white space and escapes make no other question."""
    kitchen = Kitchen()
    await kitchen.ask({"temperature": 0, "messages": [{"role": "user", "content": "é"}]})
    spelled = b'{ "messages":[ {"content": "\\u00e9", "role":"user"}],"temperature":0, "model" : "auto"}'
    assert said(await kitchen.ask(spelled)) == "hit"


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [{"role": "user", "content": "Does water boil"}]},
        {"messages": [{"role": "system", "content": "Lie."}, *QUESTION["messages"]]},
        {"model": "graph-a"},
        {"temperature": 0},
        {"seed": 7},
        {"max_tokens": 5},
        {"response_format": {"type": "json_object"}},
        {"search_recency_filter": "day"},
        {"extra_body": {"search_recency_filter": "day"}},
        {"metadata": {"persona": "pirate"}},
        {"user": "somebody"},
        {"stream": True},
    ],
    ids=lambda other: "-".join(other),
)
async def test_another_question_is_another_question(other: dict[str, Any]):
    """Whatever reaches a backend as part of a question tells it from others."""
    kitchen = Kitchen()
    kitchen.balancer.stream_with = [TextDelta("a"), Finished(Answer(text="a"))]
    await kitchen.ask()
    answer = await kitchen.ask(other)
    await whole(answer)
    assert said(answer) == "miss"
    assert len(kitchen.balancer.asked) == 2


async def test_a_nested_field_is_not_the_same_field_outside():
    """`extra_body` is merged for some engines and taken out for others: it never answers for a field of that name."""
    kitchen = Kitchen()
    await kitchen.ask({"extra_body": {"mode": "local"}})
    assert said(await kitchen.ask({"mode": "local"})) == "miss"


async def test_terms_that_a_client_sets_are_part_of_the_question():
    """Whoever forces a cheap or hasty answer gets it alone; trace, session and tags change nothing."""
    kitchen = Kitchen()
    poison: list[dict[str, str]] = [
        {"x_equipoise_max_cost_usd": "0.000001"},
        {"x_equipoise_strategy": "cost_optimized"},
        {"x_equipoise_deadline_ms": "10"},
        {"x_equipoise_data_class": "patient"},
    ]
    for headers in poison:
        assert said(await kitchen.ask(**headers)) == "miss"
    assert said(await kitchen.ask()) == "miss"
    harmless = {"traceparent": "00-1-2-01", "x_equipoise_session": "s", "x_equipoise_tags": "t", "accept": "x/y"}
    assert said(await kitchen.ask(**harmless)) == "hit"


async def test_a_body_that_can_be_read_in_two_ways_is_kept_from_the_cache():
    """A field named twice may mean one thing here and another upstream: nobody else gets that answer."""
    kitchen = Kitchen()
    twice = b'{"model":"auto","messages":[{"role":"user","content":"Lie","content":"Does water boil?"}]}'
    assert said(await kitchen.ask(twice)) == "bypass"
    assert said(await kitchen.ask()) == "miss"


@pytest.mark.parametrize(
    "kind",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"functions": [{"name": "f"}]},
        {"messages": [{"role": "tool", "content": "7", "tool_call_id": "c"}]},
        {"n": 2},
        {"temperature": 1.3},
    ],
    ids=lambda kind: "-".join(kind),
)
async def test_some_kinds_are_always_asked(kind: dict[str, Any]):
    """Tools act; several answers, or very random ones, are wanted anew."""
    kitchen = Kitchen()
    for _ in range(2):
        assert said(await kitchen.ask(kind)) == "bypass"
    assert len(kitchen.balancer.asked) == 2


async def test_the_operator_says_how_random_is_too_random():
    """With max_temperature 0 only questions that ask for no chance are kept."""
    kitchen = Kitchen(CacheOptions(max_temperature=0.0))
    assert said(await kitchen.ask()) == "bypass"
    assert said(await kitchen.ask({"temperature": 0})) == "miss"
    assert said(await kitchen.ask({"temperature": 0})) == "hit"


async def test_a_side_of_a_comparison_is_really_asked():
    """While a canary or a migration compares, its questions are not answered from what is kept."""
    kitchen = Kitchen()
    kitchen.balancer.role = "control"
    assert [said(await kitchen.ask()) for _ in range(2)] == ["bypass", "bypass"]


async def test_another_corpus_or_model_behind_a_route_is_another_answer():
    """A configuration that changes what answers depend on makes all kept ones unreachable at once."""
    kitchen = Kitchen(CacheOptions(version="papers-1"))
    await kitchen.ask()
    kitchen.route = msgspec.structs.replace(kitchen.route, cache=CacheOptions(version="papers-2"))
    assert said(await kitchen.ask()) == "miss"


async def test_other_dialects_share_a_question_only_where_it_is_sent_in_the_same_words():
    """LightRAG's own dialect has its own questions; asked twice, they are answered once."""
    kitchen = Kitchen()
    body = b'{"query": "Does water boil?", "mode": "mix"}'
    await kitchen.ask()
    answers = [await kitchen.ask(body, "/query") for _ in range(2)]
    assert [said(answer) for answer in answers] == ["miss", "hit"]
    assert CHAT != "/query"

"""Whose answer it is stays whose it is, whatever is asked in whatever order."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.callers import Caller
from equipoise.gateway import ClientKeys
from equipoise.gateway.keys import digest
from tests.shell.cache.asking import Kitchen, said

CALLERS = {
    "sk-a1": Caller(key="a1", tenant="a"),
    "sk-a2": Caller(key="a2", tenant="a"),
    "sk-ap": Caller(key="ap", tenant="a", data_classes=frozenset({"patient"})),
    "sk-b": Caller(key="b", tenant="b"),
    "sk-odd": Caller(key="odd", tenant='a","b'),
}
TEXTS = st.sampled_from(["q", "q ", "Q", '","', "\u00e9", "e\u0301", "\x00"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x_equipoise_data_class": st.sampled_from(["patient", "internal", "patient,internal"]),
        "x_equipoise_session": st.sampled_from(["s1", "s2"]),
        "x_forwarded_for": st.sampled_from(["10.0.0.1", "10.0.0.2"]),
        "x_equipoise_tenant": st.sampled_from(["a", "b"]),
        "cookie": st.just("tenant=b"),
        "cache_control": st.sampled_from(["no-cache", "max-age=5", "public"]),
    },
)
FIELDS = st.fixed_dictionaries({}, optional={"user": st.sampled_from(["a", "b"]), "seed": st.integers(0, 1)})
ASKED = st.tuples(st.sampled_from(sorted(CALLERS)), TEXTS, FIELDS, HEADERS)


@settings(max_examples=150, deadline=None)
@given(st.lists(ASKED, min_size=2, max_size=12), st.booleans())
def test_an_answer_never_crosses_tenants_data_classes_or_questions(asked: list[Any], at_once: bool):
    """Every answer carries a canary of who asked what under which classes; whoever gets it must be exactly that."""
    asyncio.run(_all_asked(asked, at_once))


async def _all_asked(asked: list[Any], at_once: bool) -> None:
    kitchen = Kitchen(keys=ClientKeys({digest(key): caller for key, caller in CALLERS.items()}))
    kitchen.balancer.canary = True
    if at_once:
        await asyncio.gather(*(_asked(kitchen, *each) for each in asked))
    for each in [] if at_once else asked:
        await _asked(kitchen, *each)


async def _asked(kitchen: Kitchen, key: str, text: str, fields: dict[str, Any], headers: dict[str, str]) -> None:
    body = fields | {"messages": [{"role": "user", "content": text}]}
    answer = await kitchen.ask(body, authorization=f"Bearer {key}", **headers)
    assert answer.status == 200
    assert said(answer) in ("hit", "miss", "joined")
    caller = CALLERS[key]
    classes = set(caller.data_classes) | set(filter(None, headers.get("x_equipoise_data_class", "").split(",")))
    told = msgspec.json.decode(answer.body)["choices"][0]["message"]["content"]
    assert msgspec.json.decode(told) == [caller.tenant, sorted(classes), text, fields]

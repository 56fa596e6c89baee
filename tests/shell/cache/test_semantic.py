"""Kept answers given to the same question in other words: when, to whom, within which bounds; never where in doubt."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest

from equipoise.build.cache import nearness_of
from equipoise.config.load import load
from equipoise.core.events import AnswerReused, RequestEnded
from equipoise.core.intake import NO_HINTS
from equipoise.core.model import Message, Question, Request
from equipoise.core.routing import CacheOptions
from equipoise.gateway import ClientKeys
from equipoise.gateway.cache_control import UNSAID
from equipoise.gateway.caching import ResponseCache
from equipoise.semantic.nearness import DIMENSIONS, Asked, Nearness, NearnessOptions
from tests.patience import turns
from tests.shell.cache.asking import Kitchen, said
from tests.shell.gateway.scripted import fields_of

ONE, OTHER = "What is the fastest way to boil water?", "what's the quickest way to boil water"
HERE = {"here": {"backend_type": "function", "function": "bench.cache.hit:answer"}}
MEANING = {"quickest": "fast", "fastest": "fast"}


def direction(text: str) -> Any:
    """A mean of words, as a static embedding is one; words with one meaning are near, all others far."""
    words = text.lower().replace("'s", " is").strip("?!. ").split()
    if not words:
        return None
    total = np.sum([_word(MEANING.get(word, word)) + 0.3 * _word(word) for word in words], axis=0)
    return (total / np.sqrt(total @ total)).astype(np.float32)


def _word(word: str) -> Any:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
    return np.random.default_rng(seed).standard_normal(DIMENSIONS)


class Wordy(Kitchen):
    """A kitchen whose cache looks for the same question in other words."""

    def __init__(self, options: CacheOptions | None = None, keys: ClientKeys | None = None, **bounds: Any) -> None:
        super().__init__(options or CacheOptions(), keys)
        self.near = Nearness(direction, NearnessOptions(0.8, **bounds))
        self.cache = ResponseCache(
            self.balancer,  # type: ignore[arg-type]
            lambda: {"auto": self.route},
            self.cache.limits,
            lambda: self.clock,
            near=self.near,
        )
        self.gateway.cache = self.cache

    async def words(self, text: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        turn = {"role": "user", "content": text}
        return await self.ask({"messages": [turn]} | (body or {}), **headers)


async def test_the_same_question_in_other_words_is_answered_by_what_is_kept():
    """The header says that it was not the same words, and how near they were; nobody is asked, nothing is paid."""
    kitchen = Wordy()
    await kitchen.words(ONE, x_request_id="one")
    kitchen.clock += 3.0
    answer = await kitchen.words(OTHER, x_request_id="two")
    assert said(answer) == "semantic"
    fields = fields_of(answer)
    assert 0.8 <= float(fields[b"x-equipoise-cache-similarity"]) < 1.0
    assert fields[b"age"] == b"3"
    assert fields[b"x-equipoise-cost-usd"] == b"0.000000000"
    assert len(kitchen.balancer.asked) == 1
    (reused,) = [event for event in kitchen.balancer.events if isinstance(event, AnswerReused)]
    assert (reused.request_id, reused.source, reused.result, reused.saved) == ("two", "one", "semantic", 1_234_567)
    ended = [event.cache for event in kitchen.balancer.events if isinstance(event, RequestEnded)]
    assert ended == ["miss", "semantic"]


@pytest.mark.parametrize(
    "near_miss",
    [
        "What is the fastest way to boil 2 water?",
        "What is the fastest way not to boil water?",
        "What was the fastest way to boil water?",
        "What is the fastest way to boil Evian water?",
        "What is the fastest way to boil milk?",
    ],
)
async def test_a_near_miss_is_asked(near_miss: str):
    """What differs in a number, a negation, a tense, a name or a word is another question, however alike it sounds."""
    kitchen = Wordy()
    kitchen.near.options = NearnessOptions(0.5)
    await kitchen.words(ONE)
    assert said(await kitchen.words(near_miss)) == "miss"
    assert sum(kitchen.near.refused.values()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0},
        {"seed": 7},
        {"user": "somebody"},
        {"max_tokens": 5},
        {"response_format": {"type": "json_object"}},
        {"search_recency_filter": "day"},
        {"metadata": {"persona": "pirate"}},
        {"model": "graph-a"},
        {"messages": [{"role": "system", "content": "Lie."}, {"role": "user", "content": OTHER}]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": OTHER}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": OTHER}]}]},
    ],
    ids=lambda other: "-".join(other),
)  # fmt: skip
async def test_only_the_words_of_the_last_turn_may_differ(other: dict[str, Any]):
    """Instructions, options, tenant fields and earlier turns must be the same, and a conversation is never compared."""
    kitchen = Wordy()
    await kitchen.words(ONE)
    assert said(await kitchen.words(OTHER, other)) == "miss"


async def test_conversations_are_not_kept_for_others():
    """A last turn that leans on what was said before leads to no answer, and gets none."""
    kitchen = Wordy()
    before = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    await kitchen.ask({"messages": [*before, {"role": "user", "content": ONE}]})
    assert len(kitchen.near) == 0
    assert said(await kitchen.ask({"messages": [*before, {"role": "user", "content": OTHER}]})) == "miss"


async def test_instructions_that_are_the_same_do_not_stand_in_the_way():
    """One system prompt, two wordings."""
    kitchen = Wordy()
    system = {"role": "system", "content": "Be brief."}
    for text, expected in ((ONE, "miss"), (OTHER, "semantic")):
        answer = await kitchen.ask({"messages": [system, {"role": "user", "content": text}]})
        assert said(answer) == expected


def _request(**terms: Any) -> Request:
    return Request(id="r", question=Question(messages=[Message("user", ONE)]), **terms)


@pytest.mark.parametrize(
    "terms",
    [
        {"tenant": "clinic"},
        {"route": "search"},
        {"data_classes": frozenset({"health"})},
        {"strategy": "weighted"},
        {"pinned": "graph-a"},
        {"max_cost": 5},
    ],
    ids=lambda terms: next(iter(terms)),
)
def test_never_across_whom_or_what_it_is_for(terms: dict[str, Any]):
    """Tenant, route, data classes, strategy, backend and bounds each make a family of their own."""
    near = Nearness(direction, NearnessOptions(0.5))
    mine, theirs = (near.asked(_request(**each), NO_HINTS, CacheOptions()) for each in ({}, terms))
    assert mine is not None
    assert theirs is not None
    near.add(b"mine", mine)
    assert list(near.nearest(theirs)) == []


def test_never_across_corpora_or_kinds_of_backends():
    """What the route's answers depend on (its version) is part of the family."""
    near = Nearness(direction, NearnessOptions(0.5))
    old, new = (near.asked(_request(), NO_HINTS, CacheOptions(version=name)) for name in ("papers-10", "papers-11"))
    assert old is not None
    assert new is not None
    near.add(b"old", old)
    assert list(near.nearest(new)) == []
    assert [key for key, _ in near.nearest(old)] == [b"old"]


async def test_clients_and_routes_may_want_their_own_words_only():
    """`exact`, no-cache, no-store, a young max-age, and a route that says so."""
    kitchen = Wordy()
    await kitchen.words(ONE)
    kitchen.clock += 30.0
    for header, expected in (("exact", "miss"), ("no-store", "bypass"), ("no-cache", "miss")):
        assert said(await kitchen.words(OTHER + "?!", x_equipoise_cache=header)) == expected
    kitchen = Wordy()
    await kitchen.words(ONE)
    kitchen.clock += 30.0
    assert said(await kitchen.words(OTHER, cache_control="max-age=29, only-if-cached")) == ""
    assert said(await kitchen.words(OTHER, cache_control="max-age=31, only-if-cached")) == "semantic"
    kitchen = Wordy(CacheOptions(semantic=False))
    await kitchen.words(ONE)
    assert said(await kitchen.words(OTHER)) == "miss"


async def test_a_stale_answer_is_for_its_own_words_only():
    """Past its time an answer is given to the same words while it is asked anew, and to no others; then to both again."""
    kitchen = Wordy(CacheOptions(ttl=60.0, stale=600.0))
    await kitchen.words(ONE)
    kitchen.clock += 90.0
    assert said(await kitchen.words(OTHER, x_equipoise_cache="only-if-cached")) == ""
    assert said(await kitchen.words(ONE)) == "stale"
    await turns()
    assert said(await kitchen.words(OTHER)) == "semantic"


async def test_what_is_purged_is_not_found_by_its_meaning():
    """Words and answer go together."""
    kitchen = Wordy()
    await kitchen.words(ONE)
    assert kitchen.cache.status()["semantic"]["entries"] == 1
    kitchen.cache.purge(route="auto")
    assert kitchen.cache.status()["semantic"] | {"refused": {}} == {
        "entries": 0, "bytes": 0, "threshold": 0.8, "max_entries": 10_000, "refused": {},
    }  # fmt: skip
    assert said(await kitchen.words(OTHER)) == "miss"


async def test_remembered_questions_are_bounded():
    """By number and by bytes: the one that was not asked for the longest goes, its answer stays for its own words."""
    kitchen = Wordy(most_entries=2)
    for text in (ONE, "Why do cats purr at night?", "Where does amber come from?"):
        await kitchen.words(text)
    assert len(kitchen.near) == 2
    assert said(await kitchen.words(ONE)) == "hit"
    assert said(await kitchen.words(OTHER)) == "miss"
    kitchen = Wordy(most_bytes=6_000)
    for text in (ONE, "Why do cats purr at night?", "Where does amber come from?"):
        await kitchen.words(text)
    assert kitchen.near.bytes <= 6_000
    assert 0 < len(kitchen.near) < 3


def test_rows_find_their_answers_whatever_comes_and_goes():
    """Adding and removing in any order leaves every row where its key says."""
    near = Nearness(direction, NearnessOptions(0.99))
    texts = [f"Which mineral is number {number} in the cabinet of curiosities?" for number in range(40)]

    def asked(text: str) -> Asked:
        question = Question(messages=[Message("user", text)])
        found = near.asked(Request(id="r", question=question), NO_HINTS, CacheOptions())
        assert found is not None
        return found

    for number, text in enumerate(texts):
        near.add(b"%d" % number, asked(text))
    for number in range(0, 40, 3):
        near.forget(b"%d" % number)
    for number, text in enumerate(texts):
        assert [key for key, _ in near.nearest(asked(text))] == ([] if number % 3 == 0 else [b"%d" % number])
    for number in range(40):
        near.forget(b"%d" % number)
    assert (len(near), near.bytes) == (0, 0)


async def test_explain_says_what_would_be_done():
    """`POST /v1/route/explain` names the result, the likeness and whose answer it is."""
    kitchen = Wordy()
    await kitchen.words(ONE)
    sized, hints = kitchen.balancer.asked[0], kitchen.balancer.hints[0]
    other = msgspec.structs.replace(sized.question, messages=[Message("user", OTHER)], body=None)
    plain = msgspec.structs.replace(sized.question, body=None)
    kept = kitchen.near.asked(msgspec.structs.replace(sized, question=plain), hints, CacheOptions())
    assert kept is not None
    kitchen.near.add(next(key for key, _, _ in kitchen.cache._shelf.items()), kept)
    told = kitchen.cache.foresee(msgspec.structs.replace(sized, question=other), hints, UNSAID)
    assert (told["result"], told["backend"]) == ("semantic", "graph-a")
    assert 0.8 <= told["similarity"] < 1.0


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """Asked for and not installed is an error with a cure, not a cache that silently does less."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    config = load({"backend_instances": HERE, "cache": {"semantic": True}}).config
    with pytest.raises(ImportError, match=r"pip install 'equipoise\[semantic\]'"):
        nearness_of(config)
    assert nearness_of(load({"backend_instances": HERE}).config) is None


def test_off_by_default():
    """Nothing is found by meaning unless `cache.semantic` says so; `true` is the default threshold."""
    assert load({"backend_instances": HERE}).config.cache.semantic is None
    said_so = load({"backend_instances": HERE, "cache": {"semantic": True}}).config.cache.semantic
    assert said_so is not None
    assert said_so.threshold == 0.85

"""Scoring runs beside the requests: bounded, sampled, joined by request id, and replaced by better opinions."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Mapping
from typing import Any

import pytest

from equipoise.backends.base import Relayed
from equipoise.balancer import LoadBalancer
from equipoise.core.allowance import Allowance
from equipoise.core.events import AnswerScored, Event, QualityCrossed
from equipoise.core.model import Answer, NanoUSD, Question, Request
from equipoise.scoring.calibration import Calibration, merged
from equipoise.scoring.judge import Judge, Judged
from equipoise.scoring.opinions import opinion
from equipoise.scoring.remembered import Known
from equipoise.scoring.scorer import Options, Scorer
from tests.fakes import FakeClock, ScriptedClient, answer, balancer

GOOD = "A metabolite is a small molecule made or used when food, drugs or the body's own tissue are broken down."
REFUSAL = "I'm sorry, I do not have enough information to answer."


def scorer(options: Options | None = None, **more: Any) -> Scorer:
    return Scorer(
        options or Options(sampling=1.0),
        Calibration({"a": 0.9, "b": 0.9}),
        chance=random.Random(1),
        wall=lambda: 5.0,
        **more,
    )


def scored(events: list[Event]) -> list[AnswerScored]:
    return [event for event in events if isinstance(event, AnswerScored)]


def with_scorer(it: LoadBalancer, of: Scorer) -> Scorer:
    it.scorer, of.tell = of, it.scored
    return of


async def test_an_answer_is_scored_after_it_went_out() -> None:
    """The reply is there before its quality is; the event names attempt, kind and parts."""
    it, events = balancer({"a": ScriptedClient(answer(GOOD))})
    of = with_scorer(it, scorer())
    await of.start()
    reply = await it.ask("What is a metabolite?", request_id="r1", tenant="t")
    assert scored(events) == []
    await of.drained()
    (event,) = scored(events)
    assert (event.request_id, event.attempt, event.backend_id, event.tenant) == ("r1", 1, reply.backend_id, "t")
    assert (event.source, event.by, event.replaces) == ("proxy", "proxy", None)
    assert 0.8 < event.quality <= 0.9
    assert "relevance" in event.dimensions
    await of.close()


async def test_only_a_share_is_scored_and_none_waits_beyond_the_queue() -> None:
    """Chance decides, and what finds the queue full is dropped and counted."""
    half = scorer(Options(sampling=0.5, queue=1000))
    it, _ = balancer({"a": ScriptedClient(answer(GOOD))})
    with_scorer(it, half)
    for _ in range(200):
        await it.ask("What is a metabolite?")
    assert 70 < half.status()["waiting"] < 130
    full = with_scorer(it, scorer(Options(sampling=1.0, queue=4)))
    for _ in range(10):
        await it.ask("What is a metabolite?")
    assert (full.status()["waiting"], full.counts.dropped) == (4, 6)


async def test_words_are_let_go_of_once_scored() -> None:
    """What is remembered holds no text."""

    class Tracked(Answer, weakref=True):
        """An answer of which one can see when it is gone."""

    text = Tracked(text=GOOD)
    of = scorer()
    await of.start()
    of.offer(_request(), text, "a", 1, wanted=True)
    alive = weakref.ref(text)
    del text
    await of.drained()
    gc.collect()
    assert alive() is None
    assert GOOD not in repr(of.recent.get("r1"))
    await of.close()


async def test_scoring_begins_after_a_lull(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever got the answer may ask again before anybody looks at it."""
    monkeypatch.setattr("equipoise.scoring.scorer.LULL", 0.5)
    of = scorer()
    await of.start()
    of.offer(_request(), answer(GOOD), "a", 1, wanted=True)
    for _ in range(50):
        await asyncio.sleep(0)
    assert of.status()["waiting"] == 1
    await of.drained()
    assert of.counts.scored == 1
    await of.close()


async def test_scoring_rests_many_times_as_long_as_it_works() -> None:
    """Between two answers the loop is others'."""
    of = scorer()
    await of.start()
    for _ in range(20):
        of.offer(_request(), answer(GOOD), "a", 1, wanted=True)
    began = asyncio.get_running_loop().time()
    await of.drained()
    passed = asyncio.get_running_loop().time() - began
    assert passed > 5 * (of.counts.seconds - of.counts.longest)
    await of.close()


async def test_a_whole_stream_is_scored_even_when_it_was_relayed_undecoded() -> None:
    """Its words are read from what was passed on."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'

    class Relaying(ScriptedClient):
        async def stream(self, request: Request, timeout: float) -> Any:
            async for item in super().stream(request, timeout):
                yield Relayed(event % item.text.encode()) if hasattr(item, "text") else item

    it, events = balancer({"a": Relaying(answer(""), pieces=[f"{word} " for word in GOOD.split()])})
    of = with_scorer(it, scorer())
    await of.start()
    async for _ in (await it.open(it.request(Question(messages=_request().question.messages, stream=True))[0])).items():
        pass
    await of.drained()
    (found,) = scored(events)
    assert found.quality > 0.8
    await of.close()


async def test_bad_answers_move_the_choice_though_the_operator_thought_otherwise() -> None:
    """A refusing backend loses its place under quality_based; crossing the floor is told once."""
    clients = {"a": ScriptedClient(answer(REFUSAL)), "b": ScriptedClient(answer(GOOD))}
    options = {"a": {"quality": 0.95}, "b": {"quality": 0.8}}
    it, events = balancer(clients, strategy="quality_based", options=options, min_quality=0.7)
    of = with_scorer(it, scorer())
    await of.start()
    chosen = []
    for _ in range(60):
        chosen.append((await it.ask("What is a metabolite?")).backend_id)
        await of.drained()
    assert chosen[0] == "a"
    assert chosen[-20:].count("b") >= 18
    for _ in range(20):
        await it.ask("What is a metabolite?", model="a")
        await of.drained()
    crossed = [event for event in events if isinstance(event, QualityCrossed)]
    assert [(event.backend_id, event.below) for event in crossed] == [("a", True)]
    await of.close()


async def test_a_better_opinion_replaces_a_lesser_one_and_no_other() -> None:
    """Rules, then the judge, then people; a judge who comes late changes nothing."""
    of, told = scorer(), list[AnswerScored]()
    of.tell = told.append
    known = Known("r1", 1, "a", "auto", "t", "general", "answer", score=0.8)
    assert of.state_opinion(known, opinion("judge", 0.5))
    assert of.state_opinion(known, opinion("rating", 0.75))
    assert not of.state_opinion(known, opinion("judge", 0.0))
    assert of.state_opinion(known, opinion("expert", 1.0))
    assert of.state_opinion(known, opinion("expert", 0.9))
    assert [(event.by, event.replaces) for event in told] == [
        ("judge", None), ("rating", 0.5), ("expert", 0.75), ("expert", 1.0),
    ]  # fmt: skip
    assert of.calibration.labels("a") == 4.0  # the expert's word alone
    assert [event.source for event in told] == ["judge", "feedback", "feedback", "feedback"]


async def test_the_judges_attempt_is_booked_under_its_own_role_and_never_judged() -> None:
    """Blind, in the same books, and no answer to anybody's question."""
    clients = {"a": ScriptedClient(answer(GOOD)), "j": ScriptedClient(answer('{"overall": 2}'))}
    it, events = balancer(clients, own=("a",), fallback=(("j",),))

    async def ask(request: Request, question: Question, most: NanoUSD) -> Judged:
        sized, _ = it.intake.request(question)
        from msgspec.structs import replace

        reply = await it.answer(replace(sized, pinned="j", role="judge", max_cost=most))
        return Judged(reply.text, reply.cost)

    of = with_scorer(
        it, scorer(Options(sampling=1.0, judged=1.0), judge=Judge("j", ask, Allowance(10**9, 1, FakeClock())))
    )
    await of.start()
    await it.ask("What is a metabolite?", request_id="r1")
    await of.drained()
    assert [(event.by, event.quality) for event in scored(events)][1] == ("judge", 0.25)
    roles = [
        event.attempt.role for event in events if hasattr(event, "attempt") and not isinstance(event, AnswerScored)
    ]
    assert roles == ["answer", "judge"]
    assert scored(events)[1].replaces == scored(events)[0].quality
    assert len(scored(events)) == 2
    await of.close()


class Disk:
    """Keeps what it is given; may be full."""

    def __init__(self) -> None:
        self.kept: Mapping[str, Any] | None = None
        self.full = False

    def read(self) -> Mapping[str, Any] | None:
        return self.kept

    def add(self, news: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.full:
            raise OSError("no space left")
        self.kept = merged(self.kept, news)
        return self.kept


async def test_labels_outlive_the_process_and_a_full_disk() -> None:
    """What could not be written is written later; the next process begins with all of it."""
    disk, troubles = Disk(), list[str]()
    of = scorer(keeper=disk, on_trouble=troubles.append)
    await of.start()
    of.state_opinion(Known("r1", 1, "a", "auto", "t", "general", "answer", score=0.8), opinion("expert", 0.1))
    disk.full = True
    await of.save()
    assert len(troubles) == 1
    disk.full = False
    await of.close()
    another = scorer(keeper=disk)
    await another.start()
    assert another.calibration.labels("a") == 4.0
    await another.close()


async def test_a_new_configuration_keeps_labels_and_answers() -> None:
    """`inherit` takes them over."""
    first, second = scorer(), scorer()
    first.offer(_request(), answer(GOOD), "a", 1, wanted=False)
    first.state_opinion(first.recent.get("r1"), opinion("rating", 1.0))  # type: ignore[arg-type]
    second.inherit(first)
    assert (await second.known("r1")) is first.recent.get("r1")


def _request() -> Request:
    from tests.fakes import request

    return request(id="r1", tenant="t")


async def test_a_defect_in_scoring_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go on; somebody is told that scoring does not."""
    troubles = list[str]()
    of = scorer(on_trouble=troubles.append)
    monkeypatch.setattr("equipoise.scoring.scorer.score", lambda *given: 1 / 0)
    await of.start()
    of.offer(_request(), answer(GOOD), "a", 1, wanted=True)
    async with asyncio.timeout(10.0):
        while not troubles:
            await asyncio.sleep(0.005)
    assert troubles == ["answers are no longer scored: ZeroDivisionError"]
    await of.close()

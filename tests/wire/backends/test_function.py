"""A Python function as a backend: every form it may have, and whatever it may raise."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from equipoise.backends import FunctionClient
from equipoise.backends.base import BackendError, TextDelta
from equipoise.core.model import Answer, Citation, Request, Usage, Verdict
from tests.wire.backends.scripted import collected, failed, failed_stream, request_for


async def test_a_plain_function_runs_in_a_thread() -> None:
    """It may block without blocking anybody else."""
    threads: list[int] = []

    def answer(text: str) -> str:
        threads.append(threading.get_ident())
        return text.upper()

    reply = await FunctionClient(answer).send(request_for("why"), 5.0)
    assert (reply.text, reply.model, reply.usage.estimated) == ("WHY", "answer", True)
    assert threads != [threading.get_ident()]


async def test_a_coroutine_function_may_take_the_request_and_return_an_answer() -> None:
    """The whole request in, a full answer with usage out."""

    async def answer(request: Request) -> Answer:
        return Answer(text=request.id, usage=Usage(3, 4))

    reply = await FunctionClient(answer, takes="request").send(request_for(), 5.0)
    assert (reply.text, reply.usage) == ("r-1", Usage(3, 4))


async def test_a_mapping_is_an_answer_too() -> None:
    """Fields of Answer by name; what does not fit is a failure."""
    client = FunctionClient(lambda _: {"text": "x", "citations": [{"index": 1, "url": "https://a.org"}]})
    assert (await client.send(request_for(), 5.0)).citations[0].url == "https://a.org"
    for wrong in ({"text": 3}, 7, None):
        error = await failed(FunctionClient(lambda _, wrong=wrong: wrong), request_for())
        assert error.verdict is Verdict.FAILURE


async def test_its_sources_are_checked_like_everybodys() -> None:
    """No script for an address, no number below 1, no source that is nowhere; a file may stay without its address."""
    offered = [(1, "https://a.example", None), (2, "javascript:x", None), (3, "data:,x", "notes.md"), (0, None, "b.md")]
    citations = [Citation(index=index, url=url, file=file) for index, url, file in offered]
    answer = await FunctionClient(lambda question: Answer(text="See [1].", citations=citations)).send(
        request_for(), 1.0
    )
    assert [(c.index, c.url, c.file) for c in answer.citations] == [
        (1, "https://a.example", None),
        (3, None, "notes.md"),
    ]


async def test_a_generator_streams() -> None:
    """Its pieces come one by one; asked for a whole answer it is read to its end."""

    async def answer(text: str) -> AsyncIterator[str]:
        for word in ("a ", "", "b"):
            yield word

    client = FunctionClient(answer)
    items, reply = await collected(client, request_for(stream=True))
    assert (items, reply.text) == ([TextDelta("a "), TextDelta("b")], "a b")
    assert (await client.send(request_for(), 5.0)).text == "a b"
    items, reply = await collected(FunctionClient(lambda _: "whole"), request_for(stream=True))
    assert (items, reply.text) == ([TextDelta("whole")], "whole")


async def test_whatever_it_raises_is_a_failed_attempt() -> None:
    """Its own classified error passes; a bug or a cancellation within is a failure without its secrets."""

    def broken(_: str) -> str:
        raise KeyError("password")

    async def cancelled(_: str) -> str:
        raise asyncio.CancelledError

    async def busy(_: str) -> str:
        raise BackendError(Verdict.THROTTLED, "later", retry_after=3.0)

    error = await failed(FunctionClient(broken), request_for())
    assert (error.verdict, str(error)) == (Verdict.FAILURE, "broken raised KeyError")
    assert (await failed(FunctionClient(cancelled), request_for())).verdict is Verdict.FAILURE
    assert (await failed(FunctionClient(busy), request_for())).retry_after == 3.0


async def test_a_generator_that_breaks_after_some_words_breaks_the_stream() -> None:
    """What came before is kept, the end is an error; a piece that is no text is one too."""

    async def breaks(_: str) -> AsyncIterator[object]:
        yield "a"
        raise RuntimeError

    async def numbers(_: str) -> AsyncIterator[object]:
        yield 7

    items, error = await failed_stream(FunctionClient(breaks), request_for(stream=True))
    assert (items, error.verdict) == ([TextDelta("a")], Verdict.FAILURE)
    assert (await failed_stream(FunctionClient(numbers), request_for(stream=True)))[1].verdict is Verdict.FAILURE


async def test_time_runs_out() -> None:
    """A function that takes too long is cancelled, streaming or not."""
    cleaned: list[bool] = []

    async def slow(_: str) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)
        return ""

    async def stalls(_: str) -> AsyncIterator[str]:
        yield "a"
        await asyncio.sleep(60)

    assert (await failed(FunctionClient(slow), request_for(), 0.02)).code == "upstream_timeout"
    assert cleaned == [True]
    assert (await failed_stream(FunctionClient(stalls), request_for(stream=True), 0.02))[1].code == "upstream_timeout"


async def test_cancelling_the_attempt_cancels_the_function() -> None:
    """Nothing goes on for a client who went away."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def slow(_: str) -> str:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return ""

    task = asyncio.create_task(FunctionClient(slow).send(request_for(), 60.0))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_nothing_said_is_no_answer_and_a_probe_calls_nothing() -> None:
    """An empty text does not answer; a probe never calls the function."""
    called: list[str] = []
    client = FunctionClient(lambda text: called.append(text) or "")
    assert (await client.probe()).healthy
    assert called == []
    assert (await failed(client, request_for())).verdict is Verdict.NO_ANSWER

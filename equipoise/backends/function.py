"""A Python callable as a backend: the smallest one, and the hook for whatever has no HTTP API."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, Literal

import msgspec

from equipoise.backends.base import BackendError, Finished, ProbeResult, StreamItem, TextDelta
from equipoise.backends.citations import checked
from equipoise.backends.classify import Blame, malformed, no_answer
from equipoise.core.model import Answer, Request, Usage, Verdict
from equipoise.core.pricing import estimate_tokens

CLEANING_UP: Final = 1.0
"""Seconds that a function which is cancelled may take to clean up."""


class FunctionClient:
    """Calls `function` with the question's text, or with the whole Request when `takes` says so.

    It may be plain (it then runs in a thread), a coroutine function, or an asynchronous generator of text, and returns
    text, a mapping of Answer's fields, or an Answer. What it raises, a BackendError excepted, is a failure.
    """

    def __init__(
        self, function: Callable[..., Any], *, takes: Literal["text", "request"] = "text", name: str | None = None
    ) -> None:
        self._function, self._takes = function, takes
        self._blame = Blame(who=name or str(getattr(function, "__name__", "function")))
        self._streams = inspect.isasyncgenfunction(function)

    async def send(self, request: Request, timeout: float) -> Answer:
        """Call it and wait for the whole answer."""
        if self._streams:
            async with aclosing(self._pieces(request, timeout)) as pieces:
                return self._answer("".join([piece async for piece in pieces]), request)
        result = await self._outcome(self._call(request), asyncio.get_running_loop().time() + timeout)
        return self._answer(result, request)

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[StreamItem, None]:
        """Its pieces as they come; a function that gives no pieces answers in one."""
        if not self._streams:
            answer = await self.send(request, timeout)
            yield TextDelta(answer.text)
            yield Finished(answer)
            return
        said: list[str] = []
        async with aclosing(self._pieces(request, timeout)) as pieces:
            async for piece in pieces:
                said.append(piece)
                yield TextDelta(piece)
        yield Finished(self._answer("".join(said), request))

    async def probe(self) -> ProbeResult:
        """A function is there: it is never called to find out."""
        return ProbeResult(healthy=True, seconds=0.0)

    async def close(self) -> None:
        """Nothing to close."""

    def _argument(self, request: Request) -> Request | str:
        return request if self._takes == "request" else request.question.text

    async def _call(self, request: Request) -> object:
        if inspect.iscoroutinefunction(self._function):
            return await self._function(self._argument(request))
        result = await asyncio.to_thread(self._function, self._argument(request))
        return await result if inspect.isawaitable(result) else result

    async def _pieces(self, request: Request, timeout: float) -> AsyncGenerator[str, None]:
        """Its pieces; an empty one is passed over. `anext` ends with None, which is no piece."""
        until = asyncio.get_running_loop().time() + timeout
        async with aclosing(self._function(self._argument(request))) as pieces:
            while (piece := await self._outcome(anext(pieces, None), until)) is not None:
                if not isinstance(piece, str):
                    raise malformed(f"it gave a {type(piece).__name__} instead of text", self._blame)
                if piece:
                    yield piece

    async def _outcome(self, work: Awaitable[object], until: float) -> object:
        """What foreign code came to by then: its own task, so that whatever it raises is looked at, not caught."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        finally:
            in_time = task.done()
            if not in_time:
                task.cancel()
                await asyncio.wait({task}, timeout=CLEANING_UP)
        if not in_time:
            raise self._failed("took too long", "upstream_timeout")
        return self._result(task)

    def _result(self, task: asyncio.Future[object]) -> object:
        if task.cancelled():
            raise self._failed("cancelled itself", "upstream_error")
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, Exception) and not isinstance(error, BackendError):
            raise self._failed(f"raised {type(error).__name__}", "upstream_error") from error
        raise error

    def _answer(self, reply: object, request: Request) -> Answer:
        answer = self._converted(reply)
        if not answer.text.strip() and not answer.tool_calls:
            raise no_answer("it returned no text", self._blame)
        if answer.usage.estimated and not answer.usage.output_tokens:
            answer.usage = Usage(request.input_tokens, estimate_tokens(answer.text), estimated=True)
        answer.citations = checked(answer.citations)
        answer.model = answer.model or self._blame.who
        return answer

    def _converted(self, reply: object) -> Answer:
        if isinstance(reply, Answer):
            return reply
        if isinstance(reply, str):
            return Answer(text=reply)
        if not isinstance(reply, Mapping):
            raise malformed(f"it returned a {type(reply).__name__}", self._blame)
        try:
            return msgspec.convert(dict(reply), Answer)
        except msgspec.ValidationError as error:
            raise malformed(f"it returned no answer: {error}", self._blame) from error

    def _failed(self, what: str, code: str) -> BackendError:
        return BackendError(Verdict.FAILURE, f"{self._blame.who} {what}", code=code)

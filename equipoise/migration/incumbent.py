"""The old side as a backend like another: a Python object that routes, or an HTTP endpoint of its own kind."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from functools import partial
from typing import Any, Final

import msgspec

from equipoise.backends.base import BackendClient, BackendError, Finished, ProbeResult, StreamItem, TextDelta
from equipoise.backends.classify import Blame, malformed, no_answer
from equipoise.backends.function import FunctionClient
from equipoise.backends.probing import probed
from equipoise.backends.transport import Patience, Upstream, endpoint, header_list
from equipoise.core.accounting import bill_of
from equipoise.core.data_classes import NOT_ALLOWED, forbidden
from equipoise.core.model import Answer, Request, Usage, Verdict
from equipoise.core.pricing import Price, estimate_tokens
from equipoise.http import Pool
from equipoise.migration.reading import Prediction, read_result

METHODS: Final = ("route_query_with_health_monitoring", "route_query")
THREADS: Final = 64
"""Questions that a plain (not asynchronous) old router may be answering at once."""
ANYBODY: Final = ("either", "hybrid", None)
LONGER_THAN_ANY_ATTEMPT: Final = 3600.0
"""Seconds given to whoever answers for a router: the attempt's own limit, which ends it by cancelling, is shorter."""


class Answerer(msgspec.Struct, frozen=True):
    """Who answers when an old router only decides, at what price, and which data classes it may be shown."""

    client: BackendClient
    price: Price | None = None
    allows: frozenset[str] = frozenset()


class IncumbentClient:
    """An old router, used as it is.

    `router` has `route_query_with_health_monitoring` or `route_query` (plain, then called in a thread, or a coroutine
    function; with or without a second argument `context`), or is such a callable itself. A result that only decides is
    answered by the one of `answerers` that its `routing_decision` (or backend) names; `either`, `hybrid` and unknown
    ones by the first. They stay their owner's: closing this client closes none of them.
    """

    def __init__(
        self, router: object, answerers: Mapping[str, Answerer] | None = None, *, name: str = "incumbent"
    ) -> None:
        self.name, self._route = name, method_of(router)
        self._coroutine = inspect.iscoroutinefunction(self._route)
        self._with_context = _takes_context(self._route)
        self._answerers = dict(answerers or {})
        self._client = FunctionClient(self._answer, takes="request", name=name)
        # Threads of its own: a slow old router must not keep those waiting that write the ledger and the state.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=name)

    async def send(self, request: Request, timeout: float) -> Answer:
        """Have it route, and answer or have answered."""
        return await self._client.send(request, timeout)

    def stream(self, request: Request, timeout: float) -> AsyncIterator[StreamItem]:
        """The same in one piece: an old router knows no streams."""
        return self._client.stream(request, timeout)

    async def probe(self) -> ProbeResult:
        """An object is there: it is never called to find out."""
        return await self._client.probe()

    async def close(self) -> None:
        """Let its threads end; what runs in one cannot be cut off, and is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def predict(self, text: str, context: Mapping[str, Any] | None = None) -> Prediction:
        """What the router itself says of a question, read into one form."""
        arguments = (text, dict(context or {})) if self._with_context else (text,)
        if self._coroutine:
            return read_result(await self._route(*arguments))
        call = partial(copy_context().run, self._route, *arguments)
        result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        return read_result(await result if inspect.isawaitable(result) else result)

    async def _answer(self, request: Request) -> Answer:
        context = {"request_id": request.id, "session": request.session, "tenant": request.tenant}
        prediction = await self.predict(request.question.text, context)
        return prediction.answer if prediction.text is not None else await self._answered(prediction, request)

    async def _answered(self, prediction: Prediction, request: Request) -> Answer:
        """A decision without an answer: let the one it names answer, and book what he costs."""
        who = self._answerer(prediction)
        if (why := forbidden(request.data_classes, who.allows)) is not None:
            text = f"whom {self.name} decided for may not be shown this question: {why}"
            raise BackendError(Verdict.IGNORED, text, code=NOT_ALLOWED, usage=Usage(requests=0))
        answer = await who.client.send(request, LONGER_THAN_ANY_ATTEMPT)
        if answer.metered_cost is None and who.price is not None:
            answer.metered_cost = bill_of(who.price, answer.usage, None).cost
        return answer

    def _answerer(self, prediction: Prediction) -> Answerer:
        named = prediction.routing_decision, prediction.backend_id
        found = next((self._answerers[name] for name in named if name in self._answerers), None)
        if found is None and self._answerers and prediction.routing_decision in ANYBODY:
            found = next(iter(self._answerers.values()))
        if found is None:
            told = prediction.routing_decision or prediction.backend_id
            text = f"{self.name} only decides ({told}), and nobody is there to answer for it"
            raise BackendError(Verdict.NO_ANSWER, text, code="no_answer", usage=Usage(requests=0))
        return found


def method_of(router: object) -> Callable[..., Any]:
    """The routing method of an object, or the callable it is. Raises ValueError for anything else."""
    for name in METHODS:
        if callable(method := getattr(router, name, None)):
            return method  # type: ignore[no-any-return]
    if callable(router):
        return router
    raise ValueError(f"a {type(router).__name__} has none of {', '.join(METHODS)}, and cannot be called")


def _takes_context(function: Callable[..., Any]) -> bool:
    """May it be given a second argument?"""
    try:
        inspect.signature(function).bind("", {})
    except TypeError:
        return False
    except ValueError:  # some built-ins do not tell
        return False
    return True


class HTTPIncumbent:
    """An old system behind an endpoint of its own: the question is posted as one field of a JSON object.

    The reply may be JSON in any shape that `read_result` reads, or plain text. Statuses of 400 and above are failures
    of the usual kinds. Raises ValueError for an address that is none.
    """

    def __init__(
        self,
        endpoint_url: str,
        *,
        question_field: str = "query",
        options: Mapping[str, Any] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        pool: Pool | None = None,
        patience: Patience | None = None,
        probe_path: str | None = None,
        probe_timeout: float = 5.0,
    ) -> None:
        origin, self._path = endpoint(endpoint_url)
        own = {"content-type": "application/json", "accept": "application/json, text/plain"}
        keyed = {**own, "authorization": f"Bearer {api_key}"} if api_key else own
        self._blame = Blame(who="the old side", secret=api_key or "", own_body=True)
        self._upstream = Upstream(origin, pool, header_list(keyed, headers), self._blame, patience or Patience())
        self._field, self._options = question_field, dict(options or {})
        self._probe_path, self._probe_timeout = probe_path or self._path or "/", probe_timeout

    async def send(self, request: Request, timeout: float) -> Answer:
        """Post the question and read whatever comes."""
        body = {**self._options, self._field: request.question.text}
        data = await self._posted(msgspec.json.encode(body), request, timeout)
        prediction = read_result(_decoded(data, self._blame))
        if prediction.text is None or not prediction.text.strip():
            raise no_answer("it replied without an answer", self._blame)
        answer = prediction.answer
        answer.usage = Usage(request.input_tokens, estimate_tokens(prediction.text), estimated=True)
        return answer

    async def stream(self, request: Request, timeout: float) -> AsyncIterator[StreamItem]:
        """The whole answer in one piece."""
        answer = await self.send(request, timeout)
        yield TextDelta(answer.text)
        yield Finished(answer)

    async def probe(self) -> ProbeResult:
        """Any reply but a server's error says that somebody is there; nothing is asked."""
        return await probed(self._probe)

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def _posted(self, body: bytes, request: Request, timeout: float) -> bytes:
        response = await self._upstream.post(self._path or "/", body, timeout, trace=request.trace)
        with closing(response):
            return await self._upstream.read(response)

    async def _probe(self) -> dict[str, Any]:
        status, _ = await self._upstream.get(self._probe_path, self._probe_timeout)
        if status >= 500:
            raise malformed(f"answered its probe with {status}", self._blame)
        return {"status": status}


def _decoded(data: bytes, blame: Blame) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise malformed("its reply is neither JSON nor text", blame) from error

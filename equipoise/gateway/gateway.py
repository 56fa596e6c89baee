"""The public face: which path does what, and the few steps from a body to an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from equipoise.backends.errors import UNREADABLE
from equipoise.core.attempts import Unanswered
from equipoise.core.callers import ANYBODY, Caller
from equipoise.core.intake import Hints
from equipoise.gateway import endings, explaining, feedback, openapi, problems
from equipoise.gateway import headers as fields
from equipoise.gateway.admin import Admin, Site, Steer, Weigh
from equipoise.gateway.auditing import Auditor
from equipoise.gateway.backends import Command
from equipoise.gateway.beside import Beside
from equipoise.gateway.cache_control import read_directives
from equipoise.gateway.caching import ResponseCache
from equipoise.gateway.dialects import (
    chat,
    chat_stream,
    embeddings,
    lightrag,
    responses,
    responses_stream,
    responses_write,
)
from equipoise.gateway.dialects.base import Asked, Envelope, Malformed, encode
from equipoise.gateway.health import Health
from equipoise.gateway.hints import bad_strategy, read_hints
from equipoise.gateway.idempotency import KEY, Keeping, Repeats
from equipoise.gateway.ids import RequestIds
from equipoise.gateway.keys import ClientKeys
from equipoise.gateway.limits import Allowances
from equipoise.gateway.lookup import NOTHING, Lookup
from equipoise.gateway.pages import Pages, is_here
from equipoise.gateway.people import People
from equipoise.gateway.problems import Problem
from equipoise.gateway.records import Records, Reuses, Usage
from equipoise.gateway.streaming import StreamBody, StreamWriter
from equipoise.gateway.together import Alone, Together
from equipoise.http import Request, Response

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer, Reply
    from equipoise.core.model import Question
    from equipoise.core.model import Request as Sized

Endpoint: TypeAlias = Callable[[Request, str], Coroutine[Any, Any, Response]]
Stream: TypeAlias = Callable[[Asked, Envelope, str], StreamWriter]


class Dialect(NamedTuple):
    """How one family of clients speaks. Who `relays` passes on what already is an answer in its form."""

    read: Callable[[bytes], Asked]
    write: Callable[[Reply, Asked, Envelope], bytes]
    stream: Stream
    stream_type: bytes
    problem: Callable[[dict[str, Any]], bytes] = encode
    relays: bool = False


SSE, NDJSON = chat_stream.ChatStream.content_type, lightrag.QueryStream.content_type
CHAT = Dialect(chat.read_chat, chat.write_chat, chat_stream.ChatStream, SSE, relays=True)
RESPONSES = Dialect(responses.read_responses, responses_write.write_responses, responses_stream.ResponsesStream, SSE)
QUERY = Dialect(lightrag.read_plain_query, lightrag.write_query, lightrag.QueryStream, NDJSON, lightrag.write_error)
EMBEDDINGS = CHAT._replace(read=embeddings.read_embeddings, write=embeddings.write_embeddings, relays=False)
STREAM_QUERY = QUERY._replace(read=lightrag.read_stream_query, write=lightrag.write_line)

ASKING: Mapping[str, Dialect] = {
    "/v1/chat/completions": CHAT,
    "/chat/completions": CHAT,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/responses": RESPONSES,
    "/v1/agent": RESPONSES,
    "/query": QUERY,
    "/query/stream": STREAM_QUERY,
}
OPEN = frozenset({"/livez", "/readyz", "/health", "/metrics", openapi.PATH})
"""Paths that need no key: probes carry none, and nothing secret is there; /metrics looks itself who comes from elsewhere."""

BEFORE_ANY_HANDLER = {
    408: "request_timeout",
    413: "request_too_large",
    431: "request_header_fields_too_large",
    500: "internal_error",
    503: "too_many_connections",
}


class Gateway:
    """Answers HTTP requests with the help of a balancer, and of a `cache` where a route keeps answers.

    `story` gives the recorded attempts of a request, `metrics` the Prometheus text, `ready` a word for each check
    ("ok" or what is wrong); `config_dump`, `ledger_summary`, `stats` and `operations` (what more is done at a method
    and path) and `steer` and `weigh` (drains, resumes, weights) and `commands` (backends that come, change and go) feed the admin listener, `configuration` what /health says of it. With `keys`, whoever shows none is turned away; `keeping` bounds what is remembered for an Idempotency-Key. `people` guards the admin listener, `auditor` writes down what is done there, `pages` says which web pages may ask, `usage` tells a key's holder what it has used; `site` are pages on the admin listener, `read_only` says that nothing is changed there. `together` shows what other processes behind the same port know, too. Set `health.draining` before shutting down: readiness fails while requests are still answered.
    """

    def __init__(
        self,
        balancer: LoadBalancer,
        *,
        story: Callable[[str], Awaitable[list[dict[str, Any]] | None]],
        metrics: Callable[[], bytes],
        ready: Callable[[], dict[str, str]],
        keys: ClientKeys | None = None,
        config_dump: Callable[[], dict[str, Any]] = dict,
        ledger_summary: Callable[[], Awaitable[dict[str, Any]]] | None = None,
        stats: Callable[[], dict[str, Any]] | None = None,
        admin_hosts: tuple[str, ...] = (),
        operations: Mapping[tuple[str, str], Callable[[Request], Awaitable[Any]]] | None = None,
        steer: Steer | None = None,
        weigh: Weigh | None = None,
        configuration: Callable[[], dict[str, Any]] | None = None,
        keeping: Keeping | None = None,
        people: People | None = None,
        auditor: Auditor | None = None,
        pages: Pages | None = None,
        commands: Mapping[str, Command] | None = None,
        usage: Usage | None = None,
        beside: Beside | None = None,
        site: Site | None = None,
        read_only: Callable[[], bool] = lambda: False,
        cache: ResponseCache | None = None,
        reuses: Reuses | None = None,
        together: Together | None = None,
        open_metrics: bool = False,
    ) -> None:
        together = together or Alone(balancer, metrics)
        self._beside, self._pages = beside or Beside(), pages or Pages()
        self._balancer, self._keys = balancer, keys
        self._people, self._open_metrics = people or People(), open_metrics
        self.cache = cache or ResponseCache(balancer)
        self.repeats = Repeats(keeping or Keeping())
        self._ids, self.allowances = RequestIds(), Allowances()
        self.health = Health(
            balancer,
            ready=ready,
            together=together,
            may_see=self._may_see,
            may_scrape=self._may_scrape,
            configuration=configuration,
        )
        self._records = Records(balancer, story, usage, reuses)
        self._admin = Admin(
            balancer,
            health=self.health,
            together=together,
            config_dump=config_dump,
            ledger_summary=ledger_summary,
            stats=stats,
            hosts=admin_hosts,
            operations=operations,
            steer=steer,
            weigh=weigh,
            people=self._people,
            auditor=auditor,
            commands=commands,
            site=site,
            read_only=read_only,
        )
        self._routes = self._table()

    def accept(self, keys: ClientKeys | None) -> None:
        """Take these keys from now on; without any, everybody is welcome."""
        self._keys = keys

    def _table(self) -> dict[tuple[str, str], Endpoint]:
        table: dict[tuple[str, str], Endpoint] = {
            ("POST", path): partial(self._asked, dialect) for path, dialect in ASKING.items()
        }
        table["POST", explaining.PUBLIC] = self._explain
        table["POST", feedback.PATH] = self._rate
        probes = self.health.routes() | {openapi.PATH: _described}
        return table | {(method, path): probe for path, probe in probes.items() for method in ("GET", "HEAD")}

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """The response to one public request. Raises nothing but what is a defect of ours."""
        endpoint = self._routes.get((request.method, request.path)) or self._elsewhere
        response = endpoint(request, self._ids.of(request.headers))
        return self._shown(request, response) if self._pages.any else response

    async def _shown(self, request: Request, response: Coroutine[Any, Any, Response]) -> Response:
        return self._pages.shown(request, await response)

    async def handle_admin(self, request: Request) -> Response:
        """The response to one request on the admin listener."""
        return await self._admin.handle(request, self._ids.of(request.headers))

    def admit(self, head: Request) -> Response | None:
        """Turn away before the body is read: unknown paths, wrong methods, missing keys. Answers browsers that ask first."""
        if head.method == "OPTIONS" and (allowed := self._pages.preflight(head)) is not None:
            return allowed
        try:
            if (head.method, head.path) not in self._routes:
                self._require_path(head)
            self._caller(head)
        except Problem as problem:
            request_id = self._ids.of(head.headers, claims=False)
            if head.path in ASKING:
                self._balancer.tell(endings.of_problem(None, request_id, "", problem, time.perf_counter()))
            return self._pages.shown(head, problems.refusal(problem, request_id, _problem_writer(head.path)))
        return None

    def refused(self, status: int, reason: str, client: str) -> Response:
        """The words for a request that never got as far as a handler: too large, too slow, not HTTP."""
        problem = Problem(status, BEFORE_ANY_HANDLER.get(status, "bad_request"), reason)
        return problems.refusal(problem, self._ids.of({}))

    def _asked(self, dialect: Dialect, request: Request, request_id: str) -> Coroutine[Any, Any, Response]:
        """One question, which may come again under an Idempotency-Key."""
        ask = self._ask if KEY not in request.headers else self._ask_once
        return ask(dialect, request, request_id)

    async def _ask_once(self, dialect: Dialect, request: Request, request_id: str) -> Response:
        started, tenant = time.perf_counter(), "default"
        try:
            caller = self._caller(request)
            tenant, ask = caller.tenant, partial(self._ask, dialect, request, request_id)
            whose = f"{tenant} {caller.key}"  # another key of the tenant may not be allowed to ask this
            response, again = await self.repeats.response(whose, request, ask, caller.data_classes)
        except Problem as problem:
            self._balancer.tell(endings.of_problem(None, request_id, tenant, problem, started))
            return problems.refusal(problem, request_id, dialect.problem)
        if again:
            self._balancer.tell(endings.of_repeat(request_id, tenant, response, started))
        return response

    async def _ask(self, dialect: Dialect, request: Request, request_id: str) -> Response:
        """One question: read it, have it answered, write the answer."""
        started, tenant, sized, found = time.perf_counter(), "default", None, NOTHING
        balancer, beside = self._balancer, self._beside
        try:
            caller = self._caller(request)
            tenant, asked = caller.tenant, dialect.read(request.body)
            hints = read_hints(request.headers, asked, request_id, caller)
            if beside.sees_questions:
                hints = await beside.asked(asked, hints)
            size = balancer.request if hints.strategy is None else self._sized
            sized, warning = size(asked.question, hints)
            problems.require_allowed(caller, sized, balancer)
            if asked.question.embeddings:
                embeddings.require_one_model(sized, balancer)
            wanted = read_directives(request.headers, asked.metadata)
            if caller.limited or self.cache.minds(sized, wanted):
                await self.allowances.admitted(caller, sized)
                found = await self.cache.look(sized, hints, wanted)
            if asked.question.stream:
                return await self._stream(dialect, asked, sized, found, warning, started)
            reply = await (balancer.answer(sized) if found is NOTHING else self.cache.answer(sized, found))
            if beside.sees_answers:
                await beside.answered(reply, asked, sized)
            raw = reply.answer.raw if dialect.relays else None
            body = _written(dialect, reply, asked, request_id) if raw is None else raw
        except (Problem, Malformed, Unanswered) as error:
            problem = _problem(error)
            balancer.tell(endings.of_problem(sized, request_id, tenant, problem, started, found.result))
            self._failed(sized, problem)
            return problems.refusal(problem, request_id, dialect.problem)
        except asyncio.CancelledError:
            balancer.tell(endings.of_problem(sized, request_id, tenant, endings.client_gone(), started, found.result))
            raise
        head = fields.of_reply(request_id, reply, warning, started)
        balancer.tell(endings.of_reply(sized, reply, started, found.result))
        alone = found is NOTHING and not self.allowances.known
        return Response(200, head if alone else self._with_more(head, found, sized), body)

    def _failed(self, sized: Sized | None, problem: Problem) -> None:
        if sized is not None:
            self._beside.failed(sized, problem)
            problem.headers += tuple(fields.canary(sized.role))

    def _with_more(self, head: fields.Fields, found: Lookup, sized: Sized) -> fields.Fields:
        """The fields of an answer with those of the cache and of the key's limits."""
        return head + found.fields() + self.allowances.fields(sized.key)

    def _sized(self, question: Question, hints: Hints) -> tuple[Sized, str | None]:
        """For a strategy that a client names, and that may be none."""
        try:
            return self._balancer.request(question, hints)
        except Unanswered as error:
            if error.code != "invalid_request_error":
                raise
            raise bad_strategy(error.message) from None

    async def _stream(
        self, dialect: Dialect, asked: Asked, sized: Sized, found: Lookup, warning: str | None, started: float
    ) -> Response:
        stream = await self.cache.open(sized, found)
        self._beside.opened(stream, sized.tenant)

        def ended(problem: Problem | None) -> None:
            if problem is None:
                self._beside.passed_on(stream, asked, sized)
            else:
                self._beside.failed(sized, problem)
            self._balancer.tell(endings.of_stream(sized, stream, problem, started, found.result))

        writer = dialect.stream(asked, Envelope(sized.id, int(time.time())), stream.model)
        head = fields.of_stream(sized.id, stream, warning, dialect.stream_type)
        return Response(200, self._with_more(head, found, sized), StreamBody(stream, writer, ended))

    async def _explain(self, request: Request, request_id: str) -> Response:
        try:
            told = explaining.of_request(self._balancer, request, request_id, self._caller(request), self.cache)
        except (Problem, Malformed) as error:
            return problems.refusal(_problem(error), request_id)
        return Response(200, (fields.JSON, (b"x-request-id", request_id.encode())), encode(told))

    async def _rate(self, request: Request, request_id: str) -> Response:
        try:
            everyone = self._keys is None
            told = await feedback.given(self._balancer, request, self._caller(request).tenant, everyone=everyone)
        except Problem as problem:
            return problems.refusal(problem, request_id)
        return Response(200, (fields.JSON, (b"x-request-id", request_id.encode())), encode(told))

    def _caller(self, request: Request) -> Caller:
        """Whose request it is; raises Problem 401 where a key is needed and none is good."""
        if self._keys is None or request.path in OPEN:
            self._pages.require_own(request)
            if self._keys is None:
                self._pages.require_own_name(request)
            return ANYBODY
        caller = self._keys.admitted(request)
        if caller is None:
            raise problems.wrong_key()
        if caller.expires is not None and self._keys.expired(caller):
            raise problems.expired_key()
        return caller

    def _may_see(self, request: Request) -> bool:
        """Sums are those of all tenants: for an operator's key, or a client's that is of no tenant of its own."""
        if self._keys is None or self._keys.tenant(request.headers) == ANYBODY.tenant:
            return True
        return self._people.keyed and self._people.who(request) is not None

    def _may_scrape(self, request: Request) -> bool:
        """Whoever is on this machine may, too."""
        if self._open_metrics or self._may_see(request):
            return True
        return is_here(request.client) and self._pages.by_own_name(request)

    async def _elsewhere(self, request: Request, request_id: str) -> Response:
        """Paths with an id in them, OPTIONS, and all that does not exist."""
        try:
            allowed = self._require_path(request)
            if request.method == "OPTIONS":
                return Response(204, ((b"allow", allowed.encode()),))
            return await self._records.one(request, self._caller(request), request_id, everyone=self._keys is None)
        except Problem as problem:
            return problems.refusal(problem, request_id, _problem_writer(request.path))

    def _require_path(self, request: Request) -> str:
        """The methods a path allows; raises Problem 404 or 405."""
        path = request.path
        if self._records.serves(path) or ("GET", path) in self._routes:
            allowed = "GET, HEAD, OPTIONS"
        elif ("POST", path) in self._routes:
            allowed = "POST, OPTIONS"
        else:
            raise problems.unknown_path(path)
        if request.method not in allowed.split(", "):
            raise problems.wrong_method(request.method, allowed)
        return allowed


async def _described(request: Request, request_id: str) -> Response:
    return Response(200, (fields.JSON,), openapi.written("public"))


def _problem(error: Problem | Malformed | Unanswered) -> Problem:
    if isinstance(error, Problem):
        return error
    return problems.of_malformed(error) if isinstance(error, Malformed) else problems.of_unanswered(error)


def _written(dialect: Dialect, reply: Reply, asked: Asked, request_id: str) -> bytes:
    try:
        return dialect.write(reply, asked, Envelope(request_id, int(time.time())))
    except UNREADABLE as error:
        raise problems.unreadable(reply, error) from error


def _problem_writer(path: str) -> Callable[[dict[str, Any]], bytes]:
    return ASKING[path].problem if path in ASKING else encode

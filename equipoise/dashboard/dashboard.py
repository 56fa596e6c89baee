"""Which address shows what, to whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from equipoise.core.callers import Caller
from equipoise.dashboard import filters, layout, responses
from equipoise.dashboard.facts import Facts
from equipoise.dashboard.guessing import Guesses
from equipoise.dashboard.orders import order
from equipoise.dashboard.pages import PAGES, requests
from equipoise.dashboard.sessions import Sessions, cookie, given
from equipoise.dashboard.sources import SOURCES
from equipoise.dashboard.table import Table
from equipoise.dashboard.view import Page, View
from equipoise.gateway.admin import Ask
from equipoise.gateway.auditing import Auditor
from equipoise.gateway.people import People
from equipoise.gateway.problems import Problem, wrong_key
from equipoise.http import Request, Response
from equipoise.stores import StoreError

ROOT = "/dashboard"
AT_ONCE, PATIENCE = 2, 15.0
"""Pages that are made at once, and the seconds each may take."""
REST, LONGEST_REST = 9.0, 0.5
"""How many times as long as a page took its turn is left free (seconds at most), so that questions keep their processor."""
LONGEST_FORM, LONGEST_ID = 4_096, 256
BY_NAME = {page.name: page for page in PAGES}


class Order(NamedTuple):
    """Who gives an order, by which request."""

    request: Request
    request_id: str
    person: Caller


class Dashboard:
    """Pages for operators; whom it lets in, and what he may, is told by People. `read_only`: no orders are taken."""

    def __init__(
        self,
        facts: Facts,
        *,
        read_only: Callable[[], bool] = lambda: False,
        draining: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._facts, self._read_only, self._draining = facts, read_only, draining
        self._people = People()
        self._ask: Ask | None = None
        self._auditor: Auditor | None = None
        self._sessions = Sessions(now)
        self._guesses = Guesses(now)
        self._turns = asyncio.Semaphore(AT_ONCE)

    def connect(self, people: People, ask: Ask, auditor: Auditor | None) -> None:
        """Who knows people, from whom to have what the admin listener tells, who writes down who came in."""
        self._people, self._ask, self._auditor = people, ask, auditor
        self._facts.connect(ask)

    def serves(self, path: str) -> bool:
        """Is this address one of ours?"""
        return path == "/" or path == ROOT or path.startswith(f"{ROOT}/")

    async def handle(self, request: Request, request_id: str) -> Response:
        """The response to one request whose origin the listener has checked. Raises nothing foreseen."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._respond(request, request_id)
        except TimeoutError:
            return responses.trouble(503, "Too slow", "This took too long. Choose a shorter range.")
        except filters.Unclear as error:
            return responses.trouble(400, "Unclear", f"{error}.")
        except StoreError as error:
            return responses.trouble(503, "The record cannot be read", f"{error}.")
        except Problem as problem:
            return responses.trouble(problem.status, "Not done", problem.message)

    async def _respond(self, request: Request, request_id: str) -> Response:
        parts = [unquote(part) for part in request.path.removeprefix(ROOT).split("/")[1:]]
        if request.path == "/":
            return responses.elsewhere(ROOT)
        if parts[:1] == ["static"] and len(parts) == 2:
            return responses.asset(parts[1])
        if request.method == "POST":
            return await self._posted(request, request_id, parts)
        if request.method not in ("GET", "HEAD"):
            raise Problem(405, "method_not_allowed", "Pages are looked at with GET.", should_retry=False)
        return await self._shown(request, parts)

    async def _shown(self, request: Request, parts: list[str]) -> Response:
        person = self._visitor(request)
        if person is None:
            return self._login(parts)
        if parts == ["login"]:
            return responses.elsewhere(ROOT)
        view = self._view(request, person)
        async with self._turn():
            match parts:
                case ["tables", name]:
                    return await self._table(name, view)
                case ["requests", request_id]:
                    return await self._story(request_id, view)
                case ["requests", request_id, name]:
                    return await self._story_table(request_id, name)
                case [] | [""]:
                    return await self._page(BY_NAME[""], view)
                case [name] if name in BY_NAME:
                    return await self._page(BY_NAME[name], view)
        return responses.trouble(404, "Not found", "There is no such page.")

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        await self._turns.acquire()
        began = time.perf_counter()
        try:
            yield
        finally:
            rest = min(LONGEST_REST, REST * (time.perf_counter() - began))
            asyncio.get_running_loop().call_later(rest, self._turns.release)

    def _login(self, parts: list[str]) -> Response:
        if parts[:1] == ["tables"]:
            return responses.page(layout.login("Log in first, or show the admin key as a bearer token."), 401)
        return responses.page(layout.login(), 200 if parts == ["login"] else 401)

    def _visitor(self, request: Request) -> Caller | None:
        """Who it is, by the key behind his session, else by what the request itself shows."""
        key = self._sessions.key(request)
        return self._people.who(request if key is None else showing(key))

    def _view(self, request: Request, person: Caller) -> View:
        return View(
            filters=filters.read(request.query),
            person=person,
            proof=self._sessions.proof(request),
            now=self._facts.wall(),
            read_only=self._read_only(),
            logged_in=self._people.keyed and bool(cookie(request)),
            draining=self._draining(),
        )

    async def _page(self, page: Page, view: View) -> Response:
        found = await asyncio.gather(*(self._source(name, view) for name in page.sources))
        tables = dict(zip(page.sources, found, strict=True))
        # In a thread of its own: while a large page is written, questions are answered.
        body = await asyncio.to_thread(lambda: layout.framed(page, PAGES, view, page.draw(tables, view)))
        return responses.page(body)

    async def _source(self, name: str, view: View) -> Table:
        """A table, or an empty one that says why it cannot be had: one trouble is not to hide the rest of a page."""
        try:
            return await SOURCES[name](self._facts, view.filters)
        except StoreError as error:
            late = "interrupted" in str(error)
            told = (
                "Reading this took too long: choose a shorter range or a filter."
                if late
                else f"This cannot be read: {error}."
            )
            return Table(name=name, columns=(), rows=(), empty=told)

    async def _table(self, name: str, view: View) -> Response:
        table, _, kind = name.rpartition(".")
        if table not in SOURCES or kind not in ("json", "csv"):
            return responses.trouble(
                404, "Not found", f"There is no such table; there are {', '.join(SOURCES)}, as .json and .csv."
            )
        found = await SOURCES[table](self._facts, view.filters)
        return responses.file(name, await asyncio.to_thread(found.as_json if kind == "json" else found.as_csv))

    async def _attempts(self, request_id: str) -> list[dict[str, Any]]:
        attempts = await self._facts.story(request_id) if 0 < len(request_id) <= LONGEST_ID else None
        if not attempts or all(row.get("parent") == request_id for row in attempts):
            raise Problem(404, "request_not_found", "No record of this request is kept.", should_retry=False)
        return attempts

    async def _story_table(self, request_id: str, name: str) -> Response:
        wanted, _, kind = name.rpartition(".")
        table = requests.story_table(request_id, await self._attempts(request_id), wanted)
        if table is None or kind not in ("json", "csv"):
            return responses.trouble(
                404, "Not found", f"There is no such table; there are {', '.join(requests.FILES)}."
            )
        return responses.file(name, await asyncio.to_thread(table.as_json if kind == "json" else table.as_csv))

    async def _story(self, request_id: str, view: View) -> Response:
        attempts = await self._attempts(request_id)
        inside = await asyncio.to_thread(lambda: requests.story(request_id, attempts, view))
        return responses.page(layout.framed(BY_NAME["requests"], PAGES, view, inside, title=f"Request {request_id}"))

    async def _posted(self, request: Request, request_id: str, parts: list[str]) -> Response:
        if len(request.body) > LONGEST_FORM:
            raise Problem(413, "request_too_large", "This form is too large.", should_retry=False)
        said = _form(request.body)
        if parts == ["login"]:
            return await self._log_in(request, request_id, said)
        person = self._visitor(request)
        if person is None:
            return responses.page(layout.login("You are logged out."), 401)
        if not self._sessions.proves(request, said.get("proof", "")):
            raise Problem(403, "forbidden_form", "This form is too old or not ours. Load the page again.")
        if parts == ["logout"]:
            self._sessions.end(request)
            return responses.elsewhere(f"{ROOT}/login", (b"set-cookie", given("", secure=request.scheme == "https")))
        return await self._ordered(Order(request, request_id, person), parts, said)

    async def _ordered(self, by: Order, parts: list[str], said: dict[str, str]) -> Response:
        if parts[:1] != ["do"] or len(parts) != 2 or self._ask is None:
            raise Problem(404, "unknown_order", "There is no such order.", should_retry=False)
        path, body, page = order(parts[1], said, by.person.key)
        sent = Request("POST", path, "", {}, msgspec.json.encode(body), client=by.request.client)
        await self._ask(sent, by.request_id, by.person)
        return responses.elsewhere(f"{ROOT}/{page}")

    async def _log_in(self, request: Request, request_id: str, said: dict[str, str]) -> Response:
        if self._guesses.too_many(request.client):
            return responses.page(layout.login("Too many wrong keys. Wait a minute."), 429)
        key = said.get("key", "").strip().encode()
        person = self._people.who(showing(key))
        if person is None:
            self._guesses.wrong(request.client)
            if self._auditor is not None:
                await self._auditor.refused(request, request_id, None, wrong_key())
            return responses.page(layout.login("This key is not known, or may nothing here."), 401)

        async def enter() -> Response:
            token = given(self._sessions.begin(key), secure=request.scheme == "https")
            return responses.elsewhere(ROOT, (b"set-cookie", token))

        return await (self._auditor.watched(request, request_id, person, enter) if self._auditor else enter())


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=20))
    except ValueError as error:
        raise Problem(
            400, "invalid_request_error", f"This form cannot be read: {error}.", should_retry=False
        ) from error


def showing(key: bytes) -> Request:
    """A request that shows this key."""
    return Request("GET", ROOT, "", {b"authorization": b"Bearer " + key})

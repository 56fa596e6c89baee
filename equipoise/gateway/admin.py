"""The operator's listener: backends, configuration, bill. Meant for this machine, and guarded against browsers on it."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from equipoise.core.callers import Caller
from equipoise.gateway import openapi
from equipoise.gateway.auditing import Auditor
from equipoise.gateway.backends import Command, key_required
from equipoise.gateway.breakers import CLOSE, OPEN, Breakers
from equipoise.gateway.configuring import WeightBody, read_body
from equipoise.gateway.dialects.base import encode
from equipoise.gateway.headers import JSON
from equipoise.gateway.health import NO_STORE, Health
from equipoise.gateway.pages import host_name
from equipoise.gateway.people import BACKENDS, People, require_role
from equipoise.gateway.problems import Problem, refusal, unknown_path, wrong_method
from equipoise.gateway.records import readable
from equipoise.gateway.together import Silent, Together
from equipoise.http import Request, Response

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer


class Steer(Protocol):
    """Drains a backend or takes it back; raises KeyError for one there is not."""

    async def __call__(self, backend_id: str, *, draining: bool) -> None: ...


class Weigh(Protocol):
    """Changes a backend's weight; raises KeyError for one there is not, ValueError for a number that is no weight."""

    async def __call__(self, backend_id: str, weight: float) -> None: ...


class Ask(Protocol):
    """What somebody whom the listener knows asks: as far as his role goes, and written down where it acts."""

    async def __call__(self, request: Request, request_id: str, person: Caller) -> Response: ...


class Site(Protocol):
    """Pages for people; they have their facts, and give their orders, as everybody does who asks here."""

    def connect(self, people: People, ask: Ask, auditor: Auditor | None) -> None: ...

    def serves(self, path: str) -> bool: ...

    async def handle(self, request: Request, request_id: str) -> Response: ...


VERBS = {"drain": True, "resume": False}
WEIGHT = "weight"
DEFENCES = ((b"x-content-type-options", b"nosniff"), (b"cross-origin-resource-policy", b"same-origin"))


class Admin:
    """Answers operators.

    A page in a browser on this machine could reach the listener too: through a name that resolves to a loopback
    address (DNS rebinding; the Host it sends gives it away) or by a form that is posted here (Origin does). Both are
    refused, and no CORS header is ever sent.
    """

    def __init__(
        self,
        balancer: LoadBalancer,
        *,
        health: Health,
        config_dump: Callable[[], dict[str, Any]],
        ledger_summary: Callable[[], Awaitable[dict[str, Any]]] | None,
        stats: Callable[[], dict[str, Any]] | None,
        hosts: tuple[str, ...] = (),
        operations: Mapping[tuple[str, str], Callable[[Request], Awaitable[Any]]] | None = None,
        steer: Steer | None = None,
        weigh: Weigh | None = None,
        people: People | None = None,
        auditor: Auditor | None = None,
        commands: Mapping[str, Command] | None = None,
        site: Site | None = None,
        read_only: Callable[[], bool] = lambda: False,
        together: Together,
    ) -> None:
        self._together = together
        self._balancer, self._health = balancer, health
        self._steer, self._weigh = steer or self._at_once, weigh or self._weigh_at_once
        self._config_dump, self._ledger_summary, self._stats = config_dump, ledger_summary, stats
        self._people, self._auditor, self._commands = people or People(), auditor, dict(commands or {})
        self._hosts = frozenset(host.lower() for host in hosts)
        self._started = time.monotonic()
        self._routes: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
            BACKENDS: self._backends,
            "/admin/config_dump": self._config,
            "/admin/ledger/summary": self._ledger,
            "/admin/stats": self._statistics,
        }
        self._operations = {**(operations or {}), **(auditor.operations() if auditor else {})}
        self._operated = {path: method for method, path in self._operations}
        self._probes = health.routes() | {openapi.PATH: _described}
        self._breakers, self._site = Breakers(balancer, read_only), site
        if site is not None:
            site.connect(self._people, self._ask, auditor)

    async def handle(self, request: Request, request_id: str) -> Response:
        """The response to one request of an operator."""
        try:
            if self._site is not None and self._site.serves(request.path):
                self._require_friend(request)
                return await self._site.handle(request, request_id)
            if request.path not in self._probes:
                return await self._watched(request, request_id)
            self._require_friend(request)
            return await self._respond(request, request_id)
        except Problem as problem:
            return refusal(problem, request_id)

    async def _watched(self, request: Request, request_id: str) -> Response:
        """Probes and scrapers show no key; for everything else somebody answers, and actions are written down."""
        try:
            self._require_friend(request)
            person = self._people.require(request)
        except Problem as problem:
            if self._auditor is not None:
                await self._auditor.refused(request, request_id, self._people.who(request), problem)
            raise
        return await self._ask(request, request_id, person)

    async def _ask(self, request: Request, request_id: str, person: Caller) -> Response:
        try:
            require_role(person, request)
        except Problem as problem:
            if self._auditor is not None:
                await self._auditor.refused(request, request_id, person, problem)
            raise
        act = partial(self._respond, request, request_id)
        return await (self._auditor.watched(request, request_id, person, act) if self._auditor is not None else act())

    async def _respond(self, request: Request, request_id: str) -> Response:
        path = request.path
        if path.startswith(BACKENDS + "/"):
            return await self._command(request, *_command_of(path))
        if path in self._operated:
            return await self._operate(request)
        if path not in self._routes and path not in self._probes:
            raise unknown_path(path)
        if request.method == "OPTIONS":
            return Response(204, ((b"allow", b"GET, HEAD, OPTIONS"),))
        if request.method not in ("GET", "HEAD"):
            raise wrong_method(request.method, "GET, HEAD, OPTIONS")
        if path in self._probes:
            return await self._probes[path](request, request_id)
        return _json(await self._routes[path]())

    def _require_friend(self, request: Request) -> None:
        host = request.headers.get(b"host", b"").decode("latin-1")
        if not self._is_own(host):
            raise Problem(403, "forbidden_host", "This listener is asked by an address of its own machine only.")
        origin = request.headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2].lower() != host.lower():
            raise Problem(403, "forbidden_origin", "Pages of other origins may not ask this listener.")
        if request.headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            raise Problem(403, "forbidden_origin", "Pages of other origins may not ask this listener.")

    def _is_own(self, host: str) -> bool:
        name = host_name(host)
        if name in self._hosts or name == "localhost":
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    async def _operate(self, request: Request) -> Response:
        operation = self._operations.get((request.method, request.path))
        if operation is None:
            raise wrong_method(request.method, self._operated[request.path])
        done = await operation(request)
        return done if isinstance(done, Response) else _json(done)

    async def _at_once(self, backend_id: str, *, draining: bool) -> None:
        (self._balancer.drain if draining else self._balancer.resume)(backend_id)

    async def _weigh_at_once(self, backend_id: str, weight: float) -> None:
        self._balancer.set_weight(backend_id, weight)

    async def _command(self, request: Request, backend_id: str, verb: str) -> Response:
        if verb not in (WEIGHT, OPEN, CLOSE, *VERBS, *self._commands):
            raise unknown_path(request.path)
        if request.method != "POST":
            raise wrong_method(request.method, "POST")
        if verb in self._commands:
            return await self._rearrange(request, backend_id, verb)
        try:
            if verb == WEIGHT:
                await self._weigh(backend_id, read_body(request.body, WeightBody).weight)
            elif verb in (OPEN, CLOSE):
                self._breakers.command(backend_id, verb, request)
            else:
                await self._steer(backend_id, draining=VERBS[verb])
        except KeyError:
            raise Problem(404, "backend_not_found", "There is no backend of this name.", param="id") from None
        except ValueError as error:
            raise Problem(400, "invalid_request_error", f"{error}.", param=verb, should_retry=False) from error
        rows = self._balancer.status()["backends"]
        return _json({"done": verb, "backend": next((row for row in rows if row["id"] == backend_id), None)})

    async def _rearrange(self, request: Request, backend_id: str, verb: str) -> Response:
        """Backends that come, change and go; never without a key, for questions and keys go where they say."""
        if not self._people.keyed:
            raise key_required()
        return _json(await self._commands[verb](backend_id, request))

    async def _backends(self) -> dict[str, Any]:
        try:
            return await self._together.status()
        except Silent as silent:
            raise Problem(503, "workers_silent", f"{silent}.", retry_after=1.0) from silent

    async def _config(self) -> dict[str, Any]:
        return self._config_dump()

    async def _ledger(self) -> dict[str, Any]:
        if self._ledger_summary is None:
            raise Problem(404, "no_ledger", "No ledger is kept.")
        return await readable(self._ledger_summary())

    async def _statistics(self) -> dict[str, Any]:
        own = {
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "in_flight": (await self._backends())["in_flight"],
            "draining": self._health.draining,
        }
        return own | (self._stats() if self._stats is not None else {})


async def _described(request: Request, request_id: str) -> Response:
    return Response(200, (JSON,), openapi.written("admin"))


def _command_of(path: str) -> tuple[str, str]:
    """`/admin/backends/{id}/{verb}`; an id may hold anything but is one segment."""
    backend_id, _, verb = path[len(BACKENDS) + 1 :].rpartition("/")
    return unquote(backend_id), verb


def _json(body: dict[str, Any]) -> Response:
    return Response(200, (JSON, NO_STORE, *DEFENCES), encode(body))

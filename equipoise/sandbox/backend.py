"""One upstream on a real socket: it speaks its dialect, keeps its pace, counts its calls, and fails when told to."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Iterator

import msgspec

from equipoise.http import Abort, Request, Response, Server
from equipoise.sandbox.faults import Faults, spoil
from equipoise.sandbox.knowledge import Knowledge
from equipoise.sandbox.lightrag import LIGHTRAG
from equipoise.sandbox.openai import OPENAI
from equipoise.sandbox.perplexity import PERPLEXITY
from equipoise.sandbox.profile import Pace, Profile
from equipoise.sandbox.script import Dialect, Ending, Field, Refusal, Route, Script, Turn, document
from equipoise.sandbox.stats import Stats

DIALECTS: dict[str, Dialect] = {"lightrag": LIGHTRAG, "perplexity": PERPLEXITY, "openai": OPENAI}


class SandboxBackend:
    """A backend of one profile; `faults` may be changed at any time and holds for requests that come after."""

    def __init__(self, profile: Profile, faults: Faults | None = None) -> None:
        self.profile, self.faults, self.stats = profile, faults or Faults(), Stats()
        self._dialect = DIALECTS[profile.kind]
        self._knowledge = Knowledge(profile.library, profile.depth)
        self._server: Server | None = None
        self._address = ("127.0.0.1", 0)
        self._pauses: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on (or will again, while refusing)."""
        return self._address[1]

    @property
    def url(self) -> str:
        """What a client calls the origin."""
        return f"http://{self._address[0]}:{self.port}"

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Methods and paths it serves besides its control paths."""
        return list(self._dialect.routes)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 lets the kernel choose."""
        self._server = Server(self.handle)
        await self._server.start(host, port)
        self._address = (host, self._server.port)

    async def stop(self) -> None:
        """Close the port and cut what is running."""
        for pause in self._pauses:
            pause.cancel()
        await self._close()

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.drain(0.0)

    def set_faults(self, faults: Faults) -> None:
        """Use these faults from now on; must run in the event loop when `refuse` is set."""
        self.faults = faults
        if faults.refuse > 0:
            seconds, faults.refuse = faults.refuse, 0.0
            pause = asyncio.get_running_loop().create_task(self._refuse(seconds))
            self._pauses.add(pause)
            pause.add_done_callback(self._pauses.discard)

    async def _refuse(self, seconds: float) -> None:
        """Close the port, as a crashed process does, and open it again later."""
        await asyncio.sleep(0.05)  # the answer to whoever switched this has to leave first
        await self._close()
        await asyncio.sleep(seconds)
        await self.start(*self._address)

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        if request.path.startswith("/__"):
            return _whole(self._control(request))
        route = self._dialect.routes.get((request.method, request.path))
        if route is None:
            return _whole(self._no_such(request.path))
        self.stats.arrived(request.path, free=not route.paid)
        return await self._perform(self._script(request, route))

    def _no_such(self, path: str) -> Script:
        known = any(path == other for _, other in self._dialect.routes)
        return self._dialect.failure(405 if known else 404, "")

    def _script(self, request: Request, route: Route) -> Script:
        """What will be sent: an injected failure, a refusal or an answer, spoilt by the faults."""
        turn = self._turn()
        if not (route.paid or self.faults.probes):
            return self._played(request, route, turn)
        script = self._injected(turn.chance) or self._played(request, route, turn)
        if route.paid and script.status == 200:
            self.stats.paid += 1
            self.stats.billed += script.cost
        return spoil(script, self.faults, cut=turn.chance.random() < self.faults.cut_rate)

    def _turn(self) -> Turn:
        chance = random.Random(f"{self.profile.seed}/{self.stats.requests}")
        return Turn(
            profile=self.profile,
            knowledge=self._knowledge,
            chance=chance,
            pace=Pace(self.profile, chance),
            now=int(time.time()),
            answerless=self.faults.no_context,
        )

    def _injected(self, chance: random.Random) -> Script | None:
        throttled, failed = chance.random(), chance.random()
        if throttled < self.faults.throttle_rate:
            headers = _retry_headers(self.profile.kind, self.faults.retry_after)
            return msgspec.structs.replace(self._dialect.failure(429, ""), headers=headers)
        if failed < self.faults.error_rate:
            return self._dialect.failure(self.faults.error_status, "")
        return None

    def _played(self, request: Request, route: Route, turn: Turn) -> Script:
        try:
            return route.play(request, turn)
        except Refusal as refusal:
            return refusal.script

    def _control(self, request: Request) -> Script:
        match request.method, request.path:
            case "GET", "/__stats":
                return self.stats.as_json()
            case "GET", "/__faults":
                return document(self.faults)
            case "POST", "/__faults":
                return self._switch(request.body)
        return document({"error": "GET /__stats, GET /__faults or POST /__faults"}, status=404)

    def _switch(self, body: bytes) -> Script:
        try:
            faults = self.faults.merged(msgspec.json.decode(body or b"{}", type=dict))
        except msgspec.DecodeError as error:
            return document({"error": str(error)}, status=400)
        shown = document(faults)
        self.set_faults(faults)
        return shown

    async def _perform(self, script: Script) -> Response:
        """A whole body waits here and leaves with its length; anything else is sent piece by piece."""
        if script.pieces and (script.streamed or script.ending is not Ending.PROPER):
            return Response(script.status, _head(script), self._pieces(script))
        with self._counted(script):
            await asyncio.sleep(script.pause)
            await _break_off(script.ending)
        return _whole(script)

    async def _pieces(self, script: Script) -> AsyncIterator[bytes]:
        with self._counted(script):
            for seconds, data in script.pieces:
                await asyncio.sleep(seconds)
                yield data
            await _break_off(script.ending)

    @contextlib.contextmanager
    def _counted(self, script: Script) -> Iterator[None]:
        """In flight while it lasts; an end before the end (ours or the client's) counts as cut."""
        self.stats.in_flight += 1
        try:
            yield
        except BaseException:
            self.stats.cut += 1
            raise
        else:
            self.stats.ended(script.status)
        finally:
            self.stats.in_flight -= 1


async def _break_off(ending: Ending) -> None:
    if ending is Ending.STALL:
        await asyncio.Event().wait()
    if ending is Ending.RESET:
        raise Abort(reset=True)


def _whole(script: Script) -> Response:
    return Response(script.status, _head(script), script.body)


def _head(script: Script) -> tuple[Field, ...]:
    return (b"content-type", script.content_type), *script.headers


def _retry_headers(kind: str, seconds: float | None) -> tuple[Field, ...]:
    """Retry-After is whole seconds (RFC 9110, 10.2.3); OpenAI adds milliseconds."""
    if seconds is None:
        return ()
    whole = (b"retry-after", str(math.ceil(seconds)).encode())
    return (whole, (b"retry-after-ms", str(round(1000 * seconds)).encode())) if kind == "openai" else (whole,)

"""`Idempotency-Key`: a question sent again joins the one in flight, or is given the answer that was kept.

    asked -> head known -> pieces -> over; kept if it is a whole answer (200), until it is too old or there is no room

Form and statuses follow draft-ietf-httpapi-idempotency-key-header: 400 for a key that is none, 422 for a key that came
with another question before. An answer under way is made to its end even if its client has gone: he gave the key
because he means to come back for it. Errors and cut streams are not kept, so that coming again asks again; what is kept
is kept here, in memory: another process, or this one started anew, asks again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec

from equipoise.gateway.following import Pieces
from equipoise.gateway.headers import Fields
from equipoise.gateway.problems import Problem
from equipoise.http import Abort, Request, Response
from equipoise.stores.shelf import Shelf

KEY, DATA_CLASS = b"idempotency-key", b"x-equipoise-data-class"
LONGEST_KEY = 255
MOST_RUNNING = 4_096
"""Questions with a key that are answered at once: they go on without their clients, so their number has a bound."""
BOOKKEEPING = 1_024
"""Bytes counted for an answer besides its own, so that countless short ones are bounded too."""
NOT_AGAIN = frozenset({b"x-equipoise-cost-usd", b"x-equipoise-attempts", b"x-equipoise-overhead-ms", b"server-timing"})
REPLAYED = (
    (b"idempotent-replayed", b"true"),
    (b"x-equipoise-cost-usd", b"0.000000000"),
    (b"x-equipoise-attempts", b"0"),
)
Ask: TypeAlias = Callable[[], Awaitable[Response]]
Name: TypeAlias = tuple[str, bytes]


class Keeping(msgspec.Struct, frozen=True):
    """How long a whole answer is kept for repeats (seconds), and how many bytes all of them may take."""

    seconds: float = 600.0
    most_bytes: int = 64 * 1024 * 1024


class Recording:
    """One answer while it is made and afterwards; any number of readers follow it from its beginning.

    `whole` says that it may be given again; one that came to no end of its own, be it an explicit error, breaks its
    readers off.
    """

    def __init__(self, question: bytes) -> None:
        self.question, self.until = question, 0.0
        self.whole = False
        self._head: Response | None = None
        self._streamed = False
        self._body: Pieces[bytes] = Pieces()

    @property
    def size(self) -> int:
        """Bytes it takes in memory, roughly."""
        body = self._head.body if self._head is not None else b""
        return BOOKKEEPING + (len(body) if isinstance(body, bytes) else 0) + sum(map(len, self._body.pieces))

    async def make(self, ask: Ask) -> None:
        """Have the question answered and note all of it; every piece wakes the readers."""
        try:
            response = await ask()
            if isinstance(response.body, bytes):
                self._begin(response, streamed=False)
                self.whole = response.status == 200
            else:
                self._begin(msgspec.structs.replace(response, body=b""), streamed=True)
                await self._follow(response.body)
            self._body.end()
        finally:
            self._body.end(Abort())

    async def response(self) -> Response:
        """The answer from its beginning, once it has begun. Raises Problem 503 if it never did."""
        while self._head is None:
            if self._body.over:
                message = "The question in flight came to no end; ask again."
                raise Problem(503, "interrupted", message, retry_after=1.0)
            await self._body.change()
        return msgspec.structs.replace(self._head, body=self._body.follow()) if self._streamed else self._head

    def _begin(self, head: Response, *, streamed: bool) -> None:
        self._head, self._streamed = head, streamed
        self._body.wake()

    async def _follow(self, body: AsyncIterator[bytes]) -> None:
        try:
            async for piece in body:
                self._body.add(piece)
            self.whole = bool(getattr(body, "whole", False))
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()


class Repeats:
    """Who asks what again, by tenant and key. `close` ends what is still being made."""

    def __init__(self, keeping: Keeping, now: Callable[[], float] = time.monotonic) -> None:
        self.keeping, self._now = keeping, now
        self._running: dict[Name, Recording] = {}
        self._kept: Shelf[Name, Recording] = Shelf(keeping.most_bytes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def response(
        self, tenant: str, request: Request, ask: Ask, data_classes: Iterable[str] = ()
    ) -> tuple[Response, bool]:
        """The answer to a request with a key, and whether it is a repeat. Raises Problem 400, 422 or 503.

        What a question holds (`data_classes` of its client, and what it says itself) is a part of it: an answer made
        under less strict terms is not given under others.
        """
        name, question = (tenant, _key(request)), _digest(request, data_classes)
        recording = self._known(name)
        if recording is None:
            return await self._begun(name, question, ask).response(), False
        if recording.question != question:
            raise reused()
        response = await recording.response()
        return msgspec.structs.replace(response, headers=_repeated(response.headers)), True

    async def close(self) -> None:
        """End what is being made for clients who may have gone."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _known(self, name: Name) -> Recording | None:
        while (oldest := self._kept.first()) is not None and oldest[1].until <= self._now():
            self._kept.remove(oldest[0])
        return self._running.get(name) or self._kept.look(name)

    def _begun(self, name: Name, question: bytes, ask: Ask) -> Recording:
        if len(self._running) >= MOST_RUNNING:
            raise Problem(503, "overloaded", "Too many questions with an Idempotency-Key at once.", retry_after=1.0)
        recording = self._running[name] = Recording(question)
        task = asyncio.get_running_loop().create_task(self._make(name, recording, ask), name="idempotent")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return recording

    async def _make(self, name: Name, recording: Recording, ask: Ask) -> None:
        try:
            await recording.make(ask)
        finally:
            del self._running[name]
            self._keep(name, recording)

    def _keep(self, name: Name, recording: Recording) -> None:
        if recording.whole:
            recording.until = self._now() + self.keeping.seconds
            self._kept.put(name, recording, recording.size)


def reused() -> Problem:
    """422: the key is known, the question beside it is another."""
    message = "This Idempotency-Key came with another question before; a new question needs a key of its own."
    return Problem(422, "idempotency_key_reused", message, param="Idempotency-Key", should_retry=False)


def _key(request: Request) -> bytes:
    """The key, hashed: what a client wrote there is nobody's business, and its length is bounded."""
    key = request.headers[KEY]
    if not 0 < len(key) <= LONGEST_KEY or not all(32 < byte < 127 for byte in key):
        message = f"Idempotency-Key must be 1 to {LONGEST_KEY} visible characters."
        raise Problem(400, "invalid_request_error", message, param="Idempotency-Key", should_retry=False)
    return hashlib.blake2b(key, digest_size=16).digest()


def _digest(request: Request, data_classes: Iterable[str]) -> bytes:
    terms = ",".join(sorted(data_classes)).encode() + b"\0" + request.headers.get(DATA_CLASS, b"")
    return hashlib.blake2b(b"\0".join((request.path.encode(), terms, request.body)), digest_size=32).digest()


def _repeated(headers: Sequence[tuple[bytes, bytes]]) -> Fields:
    """The first one's fields, with nothing charged and nothing attempted."""
    return [field for field in headers if field[0] not in NOT_AGAIN] + list(REPLAYED)

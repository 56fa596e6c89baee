"""Questions sent at a rate, whatever becomes of those before: an open loop, so that a slow gateway cannot slow its judge.

Times run from the instant a question was to be sent, not from when the generator got round to it: what waits because
the target or the generator itself is late is in the figures (Tene's coordinated omission). How late the generator was
is reported beside them. The clock is `perf_counter`: uvloop's own counts in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from equipoise.http import ClientResponse, HTTPError, Pool, PoolLimits, Timeouts

PATH = "/v1/chat/completions"
TAIL = 8_192
"""Bytes at the end of a stream that are kept to judge how it ended."""
QUESTIONS = (
    "What is clinical metabolomics?",
    "Which metabolites rise in type 2 diabetes?",
    "What do targeted assays measure?",
    "How is a plasma sample prepared for LC-MS?",
)
ANSWERED = "answered"
CUT, UNENDED = "stream: explicit error", "stream: ended without its end"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: questions a second for so many seconds, the share of them that are streamed, and to which model.

    `even` sends at equal distances, otherwise as strangers do (exponential gaps, from `seed`). `patience` is the longest
    a question may take, in seconds; `most` how many may be under way at once before further ones count as not sent.
    """

    rate: float
    seconds: float
    streams: float = 0.0
    model: str = "auto"
    questions: Sequence[str] = QUESTIONS
    even: bool = True
    seed: int = 0
    patience: float = 60.0
    most: int = 5_000

    @property
    def count(self) -> int:
        """How many questions that makes."""
        return max(1, round(self.rate * self.seconds))

    def times(self) -> list[float]:
        """When each is to be sent, in seconds from the start."""
        if self.even:
            return [number / self.rate for number in range(self.count)]
        chance, at, times = random.Random(self.seed), 0.0, []  # noqa: S311 (arrivals, not keys)
        for _ in range(self.count):
            at += chance.expovariate(self.rate)
            times.append(at)
        return times


class Taken(msgspec.Struct, frozen=True, gc=False):
    """One question: when it was to be sent (seconds from the start), how late it was sent, how long until its end and
    its first byte (both from when it was to be sent), and what became of it."""

    at: float
    late: float
    seconds: float
    first: float
    streamed: bool
    fate: str

    @property
    def answered(self) -> bool:
        """Whether it was answered, whole."""
        return self.fate == ANSWERED


class Load:
    """One run against one origin; `taken` grows while it lasts."""

    def __init__(self, origin: str, plan: Plan, headers: Sequence[tuple[bytes, bytes]] = (), prefix: str = "") -> None:
        self.plan, self.taken = plan, list[Taken]()
        self.under_way = 0
        self._pool = Pool(origin, limits=PoolLimits(connections=plan.most, keep_alive=15.0))
        self._headers = (*headers, (b"content-type", b"application/json"))
        self._path = prefix + PATH
        self._timeouts = Timeouts(
            connect=plan.patience, first_byte=plan.patience, between_bytes=plan.patience, total=plan.patience
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, progress: Callable[[Load], None] = lambda load: None) -> list[Taken]:
        """Send everything in its time and wait for all ends; `progress` is told a few times a second."""
        loop = asyncio.get_running_loop()
        bodies, streamed = self._bodies(), self._streamed()
        began = time.perf_counter()
        watching = loop.create_task(self._watch(progress))
        try:
            for number, at in enumerate(self.plan.times()):
                if (wait := began + at - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                stream = streamed[number]
                self._send(bodies[stream][number % len(bodies[stream])], began + at, at, stream=stream)
            await asyncio.gather(*self._tasks)
        finally:
            watching.cancel()
            for task in self._tasks:
                task.cancel()
            await self._pool.close()
        progress(self)
        return self.taken

    def _send(self, body: bytes, due: float, at: float, *, stream: bool) -> None:
        if self.under_way >= self.plan.most:
            self.taken.append(Taken(at, 0.0, 0.0, 0.0, stream, "not sent: too many under way"))
            return
        task = asyncio.get_running_loop().create_task(self._one(body, due, at, stream=stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, body: bytes, due: float, at: float, *, stream: bool) -> None:
        first = 0.0
        late, self.under_way = time.perf_counter() - due, self.under_way + 1
        try:
            response = await self._pool.request(
                "POST", self._path, headers=self._headers, body=body, timeouts=self._timeouts
            )
            if response.status != 200:
                fate = refused(response.status, await response.read())
            elif not stream:
                await response.read()
                fate = ANSWERED
            else:
                fate, begun = await followed(response)
                first = max(0.0, begun - due)
        except HTTPError as error:
            fate = f"{error.phase}: {'timed out' if error.timed_out else 'connection failed'}"
        finally:
            self.under_way -= 1
        self.taken.append(Taken(at, late, time.perf_counter() - due, first, stream, fate))

    async def _watch(self, progress: Callable[[Load], None]) -> None:
        while True:
            progress(self)
            await asyncio.sleep(0.25)

    def _bodies(self) -> tuple[list[bytes], list[bytes]]:
        """Whole and streamed bodies, made once."""
        asked = [[self._body(question, stream=stream) for question in self.plan.questions] for stream in (False, True)]
        return asked[0], asked[1]

    def _body(self, question: str, *, stream: bool) -> bytes:
        body: dict[str, Any] = {"model": self.plan.model, "messages": [{"role": "user", "content": question}]}
        return json.dumps(body | ({"stream": True} if stream else {})).encode()

    def _streamed(self) -> list[bool]:
        """Which are streamed: spread evenly, exactly the share that was asked for."""
        share = self.plan.streams
        return [int((number + 1) * share) > int(number * share) for number in range(self.plan.count)]


async def followed(response: ClientResponse) -> tuple[str, float]:
    """Read a stream of chat chunks to its end: how it ended, and when (`perf_counter`) its first byte came."""
    first, tail = 0.0, b""
    async for piece in response:
        first = first or time.perf_counter()
        tail = (tail + piece)[-TAIL:]
    return ended(tail), first


def ended(tail: bytes) -> str:
    """What the last bytes of a stream say: an answer, an explicit error, or neither, which must never be."""
    events = [event[6:] for event in tail.split(b"\n\n") if event.startswith(b"data: ")]
    if not events or events[-1].strip() != b"[DONE]":
        return UNENDED
    return CUT if len(events) > 1 and b'"error":' in events[-2][:4096] and _is_error(events[-2]) else ANSWERED


def refused(status: int, body: bytes) -> str:
    """A status with the code its body gives."""
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return f"status {status}"
    return f"status {status} {str(code)[:60]}"


def _is_error(event: bytes) -> bool:
    try:
        return isinstance(json.loads(event).get("error"), dict)
    except (ValueError, AttributeError):
        return False

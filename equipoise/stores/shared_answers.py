"""Answers that the gateways of one fleet keep for each other, in the Redis they share.

A look-up waits a few milliseconds at most, and not at all while Redis is unwell. Whatever goes wrong is a miss.

    PREFIX:answer:TENANT:ROUTE:KEY    one answer (the first two are digests: a purge finds them by pattern)
    PREFIX:answers:purges             how many purges there were
    PREFIX:answers:purged             the last of them, "NUMBER JSON", for gateways that hold answers in memory

An answer is kept only if nobody purged since its question was looked up: what is being let go of does not come back. Nor
is one where Redis is three quarters full: the rest is for what must not be lost there.

Late look-ups are no evidence against Redis: five milliseconds pass in a busy process, too, and budgets go by that evidence.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from equipoise.stores.sqlite import StoreError

if TYPE_CHECKING:
    from equipoise.stores.redis_link import RedisLink

HEARD_SECONDS = 1.0
"""How often it is asked whether somebody purged."""
PURGES_KEPT, MOST_OPEN, MOST_WRITING = 100, 100, 64
SCANNED = 500
CORPUS_BYTES = 8
LATE, REST_SECONDS = 3, 1.0
"""After so many look-ups in a row that were late nobody looks for a second: then one does, and so on."""
KEEP = """
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then return 0 end
local memory = redis.pcall('INFO', 'memory')
if type(memory) == 'string' then
  local most = tonumber(string.match(memory, 'maxmemory:(%d+)') or '0')
  local used = tonumber(string.match(memory, 'used_memory:(%d+)') or '0')
  if most > 0 and used + #ARGV[2] > 0.75 * most then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
PURGE = f"""
local number = redis.call('INCR', KEYS[1])
redis.call('RPUSH', KEYS[2], number .. ' ' .. ARGV[1])
redis.call('LTRIM', KEYS[2], -{PURGES_KEPT}, -1)
return number
"""


class Purge(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which answers go: of this tenant, of this route, from this corpus; of everybody, everywhere, where none is named.

    With a `key` (hexadecimal) it is the one answer to that question of that tenant and route.
    """

    tenant: str | None = None
    route: str | None = None
    corpus: str | None = None
    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None


class Place(msgspec.Struct, frozen=True):
    """Whose answer it is, and to which question."""

    tenant: str
    route: str
    key: bytes


class SharedCounts(msgspec.Struct):
    """What became of look-ups and of answers to keep, since the start."""

    hits: int = 0
    misses: int = 0
    skipped: int = 0
    late: int = 0
    kept: int = 0
    not_kept: int = 0


class SharedAnswers:
    """Bytes by place. `on_purge` hears what another gateway has purged, within a second of it; call `close` at the end.

    `seen` counts the purges that it has heard of, None before it has asked.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        seconds: float = 0.005,
        most_bytes: int = 1024 * 1024,
        on_purge: Callable[[Purge], None] = lambda purge: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.link, self.on_purge, self.most_bytes = link, on_purge, most_bytes
        self._seconds, self._now = seconds, now
        self._late, self._rests_until = 0, 0.0
        self._counter, self._log = link.key("answers", "purges"), link.key("answers", "purged")
        self.seen: int | None = None
        self._open: list[Purge] = []
        self._listening: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self.counts = SharedCounts()

    def start(self) -> None:
        """Begin to hear of purges; a first look-up would, too."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._hear(), name="redis: purges of kept answers")

    async def get(self, place: Place) -> tuple[bytes | None, int | None]:
        """What is kept there, and how many purges there were: an answer to this question is to be kept under that number.

        None and None when it was not asked, or not in time.
        """
        self.start()
        if not self.link.well or self._open or self._now() < self._rests_until:
            self.counts.skipped += 1
            return None, None
        names = [self._name(place), self._counter]
        if self._late >= LATE:  # the one that looks whether it is quicker now: others do not wait with it
            self._rests_until = self._now() + REST_SECONDS
        try:
            data, counted = await self.link.ask(lambda client: _bytes(client.mget(names)), self._seconds, counts=False)
        except StoreError:
            self._was_late()
            return None, None
        self._late, self._rests_until = 0, 0.0
        purges = _count(counted)
        if purges != self.seen:  # what was purged may be among what is still there
            self._heard.set()
            data = None
        self.counts.hits += data is not None
        self.counts.misses += data is None
        return (None if data is None else data[CORPUS_BYTES:]), purges

    def _was_late(self) -> None:
        self.counts.late += 1
        self._late += 1
        if self._late >= LATE:
            self._rests_until = self._now() + REST_SECONDS

    def put(self, place: Place, purges: int, corpus: str | None, pack: Callable[[], bytes], seconds: float) -> None:
        """Keep what `pack` (called in a thread) gives for so many seconds, unless somebody has purged; nobody waits."""
        if len(self._writing) >= MOST_WRITING:
            self.counts.not_kept += 1
            return
        self._begin(self._put(place, purges, corpus, pack, seconds))

    def remove(self, place: Place) -> None:
        """Let go of one answer, here and in all gateways; nobody waits."""
        self._begin(self._removed(Purge(place.tenant, place.route, key=place.key.hex())))

    async def purge(self, purge: Purge) -> int | None:
        """How many were let go of; None while Redis does not answer: it is done, before any look-up, when it does."""
        try:
            return await self._purged(purge)
        except StoreError:
            self._open = [*self._open, purge] if len(self._open) < MOST_OPEN else [Purge()]
            self.start()
            return None

    def status(self) -> dict[str, Any]:
        """How it went, for people."""
        return {"well": self.link.well, "open_purges": len(self._open), **msgspec.structs.asdict(self.counts)}

    async def close(self) -> None:
        """End what is being written, and hear no more."""
        for task in (*self._writing, *([self._listening] if self._listening is not None else ())):
            task.cancel()
        await asyncio.gather(*self._writing, *([self._listening] if self._listening else ()), return_exceptions=True)
        self._listening = None

    # ---- beside the questions ----

    async def _put(
        self, place: Place, purges: int, corpus: str | None, pack: Callable[[], bytes], seconds: float
    ) -> None:
        data = await asyncio.to_thread(pack)
        kept = 0
        if len(data) <= self.most_bytes:
            names = self._name(place), self._counter
            values = str(purges), _corpus(corpus) + data, str(int(1000 * seconds))
            with contextlib.suppress(StoreError):
                kept = await self.link.ask(lambda client: client.eval(KEEP, 2, *names, *values))
        self.counts.kept += kept
        self.counts.not_kept += 1 - kept

    async def _removed(self, purge: Purge) -> None:
        await self.purge(purge)

    async def _purged(self, purge: Purge) -> int:
        """Count it first: from then on nothing from before is kept; then let go of what was."""
        words = msgspec.json.encode(purge).decode()
        number = await self.link.ask(lambda client: client.eval(PURGE, 2, self._counter, self._log, words))
        if self.seen is not None and number == self.seen + 1:
            self.seen = number
        pattern, cursor, gone = self._pattern(purge), 0, 0
        while True:
            cursor, names = await self.link.ask(partial(_scan, pattern, cursor))
            chosen = await self._of(purge.corpus, names)
            gone += await self.link.ask(partial(_unlink, chosen)) if chosen else 0
            if cursor == 0:
                return gone

    async def _of(self, corpus: str | None, names: list[bytes]) -> list[bytes]:
        if corpus is None or not names:
            return names

        async def marks(client: Any) -> list[bytes]:
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.getrange(name, 0, CORPUS_BYTES - 1)
            return list(await pipeline.execute())

        wanted = _corpus(corpus)
        return [name for name, mark in zip(names, await self.link.ask(marks), strict=True) if mark == wanted]

    async def _hear(self) -> None:
        while True:
            with contextlib.suppress(StoreError):
                while self._open:
                    await self._purged(self._open[0])
                    del self._open[0]
                await self._catch_up()
            self._heard.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARD_SECONDS):
                    await self._heard.wait()

    async def _catch_up(self) -> None:
        """Hear of every purge since the last one that was heard of; where that cannot be known, of one of everything."""
        purges = _count(await self.link.ask(lambda client: _bytes(client.get(self._counter))))
        if purges == self.seen:
            return
        log = await self.link.ask(lambda client: _bytes(client.lrange(self._log, 0, -1)))
        # A counter that went back: Redis has lost what it knew, and whoever purged since began to count anew.
        seen = self.seen if self.seen is None or self.seen <= purges else 0
        for purge in _missed(seen, purges, log):
            self.on_purge(purge)
        self.seen = purges

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="redis: keep an answer")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _name(self, place: Place) -> str:
        return self.link.key("answer", _digest(place.tenant), _digest(place.route), place.key.hex())

    def _pattern(self, purge: Purge) -> str:
        parts = ("*" if part is None else _digest(part) for part in (purge.tenant, purge.route))
        return self.link.key("answer", *parts, purge.key or "*")


async def _scan(pattern: str, cursor: int, client: Any) -> tuple[int, list[bytes]]:
    found: tuple[int, list[bytes]] = await client.scan(cursor, match=pattern, count=SCANNED)
    return found


async def _unlink(names: list[bytes], client: Any) -> int:
    return int(await client.unlink(*names))


async def _bytes(reply: Awaitable[Any]) -> Any:
    """What the types of the client's library do not say: nothing is decoded on the way."""
    return await reply


def _count(counted: bytes | None) -> int:
    """What is no number there counts as none: then nothing is written under it either."""
    return int(counted) if counted is not None and counted.isdigit() else 0


def _missed(seen: int | None, purges: int, log: list[bytes]) -> list[Purge]:
    if seen is None:
        return [Purge()]
    found: dict[int, Purge] = {}
    for line in log:
        number, _, words = line.partition(b" ")
        with contextlib.suppress(ValueError):
            found[int(number)] = msgspec.json.decode(words, type=Purge)
    return [found[n] if n in found else Purge() for n in range(max(seen + 1, purges - PURGES_KEPT), purges + 1)]


def _digest(word: str) -> str:
    return hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _corpus(name: str | None) -> bytes:
    return hashlib.blake2b((name or "").encode("utf-8", "surrogatepass"), digest_size=CORPUS_BYTES).digest()

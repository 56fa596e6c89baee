"""Answers that are given again, on routes that say `cache`; identical questions in flight cost one.

    hit      given from what is kept                    joined   an identical question was in flight: its answer
    stale    the same, and asked anew beside it         miss     asked; kept if it is worth it
    semantic the same question in other words was kept, where the operator has such looked for
    bypass   asked as if there were no cache: the client said so, or the question is of a kind that is never kept

Kept is only what anybody would want again: a whole answer that its engine finished of its own accord, from a backend of
the route itself (not of its fallback), no worse than the route's floor as far as anybody knows. Failures are kept by
nobody; those who wait for the same question share one, since asking again at once would meet it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from equipoise.core.attempts import Unanswered
from equipoise.core.caching import Ambiguous, asked_anew, key_of
from equipoise.core.events import AnswerReused, AnswerScored, Event, hears
from equipoise.core.intake import Hints
from equipoise.core.model import NanoUSD, dollars
from equipoise.core.routing import CacheOptions, Route
from equipoise.gateway.cache_control import UNSAID, Directives
from equipoise.gateway.elsewhere import Elsewhere
from equipoise.gateway.flight import Flight
from equipoise.gateway.following import Pieces
from equipoise.gateway.given import GivenStream, Kept, again, kept_of, merged, price_of, shared, worth_keeping
from equipoise.gateway.lookup import BYPASS, HIT, JOINED, MISS, NOTHING, SEMANTIC, STALE, CacheLimits, Lookup
from equipoise.gateway.problems import Problem
from equipoise.reply import Reply
from equipoise.stores.shared_answers import Place, Purge
from equipoise.stores.shelf import Shelf

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, LoadBalancer
    from equipoise.core.model import Request as Sized
    from equipoise.semantic.nearness import Asked, Nearness

OPINIONS = frozenset({"judge", "feedback"})
"""Whose word takes a kept answer away when it says that it is below the floor."""
Name: TypeAlias = tuple[bytes, tuple[str, ...], str]


class ResponseCache:
    """Stands before a balancer: `look` first, then `answer` or `open` with what it found.

    `routes` gives the routes of this moment. `observe` every event: a kept answer that turns out to be bad goes. With
    `near` a question may be answered by the answer to the same one in other words.
    """

    def __init__(
        self,
        balancer: LoadBalancer,
        routes: Callable[[], Mapping[str, Route]] = dict,
        limits: CacheLimits | None = None,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        near: Nearness | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._balancer, self._routes, self._now, self._wall = balancer, routes, now, wall
        self._near, self._elsewhere = near, elsewhere
        self.limits = limits or CacheLimits()
        self._shelf: Shelf[bytes, Kept] = Shelf(self.limits.most_bytes, self._gone)
        self._by_request: dict[tuple[str, str], bytes] = {}
        self._flights: dict[Name, Flight[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._purges = 0
        if elsewhere is not None:
            elsewhere.answers.on_purge = self._purged

    def start(self) -> None:
        """Begin to hear what other gateways purge."""
        if self._elsewhere is not None:
            self._elsewhere.answers.start()

    def minds(self, sized: Sized, wanted: Directives) -> bool:
        """Does it matter here what is kept? Else there is nothing to look for, and the balancer may be asked itself."""
        route = self._routes().get(sized.route)
        return wanted is not UNSAID or (route is not None and route.cache is not None)

    async def look(self, sized: Sized, hints: Hints, wanted: Directives) -> Lookup:
        """What is kept for this question, here or (a few milliseconds at most) where the fleet keeps answers.

        Raises Problem 504 where only a kept answer is wanted and there is none.
        """
        found = self._look(sized, hints, wanted)
        if (
            self._elsewhere is not None
            and found.result == MISS
            and not found.fresh
            and not self._in_flight(sized, found)
        ):
            await self._look_elsewhere(self._elsewhere, sized, found, wanted)
        if found.kept is None and wanted.only_kept:
            message = "No answer to this question is kept, and only-if-cached lets nobody be asked."
            raise Problem(504, "not_cached", message, should_retry=False)
        return found

    async def _look_elsewhere(self, elsewhere: Elsewhere, sized: Sized, found: Lookup, wanted: Directives) -> None:
        """What another gateway has kept is kept here, too, for as long as it may be given."""
        kept, route = await elsewhere.find(sized, found), self._routes().get(sized.route)
        if kept is None or route is None or found.key is None or found.options is None:
            return
        if not worth_keeping(kept.reply, route):  # by this gateway's standards
            return
        self._shelve(found.key, kept, found.asked)
        again = self._on_shelf(found.key, found.options, wanted.max_age)
        found.result, found.kept, found.age = again.result, again.kept, again.age

    def foresee(self, sized: Sized, hints: Hints, wanted: Directives) -> dict[str, Any]:
        """What it would do for this question now, and why it would not; nothing where its route keeps no answers."""
        found = self._look(sized, hints, wanted)
        if not found.result:
            return {}
        told: dict[str, Any] = {"result": found.result}
        if found.kept is not None:
            told |= {"backend": found.kept.reply.backend_id, "age_seconds": round(found.age or 0.0, 3)}
        if found.likeness is not None:
            told["similarity"] = round(found.likeness, 3)
        cache = self._routes()[sized.route].cache
        why = asked_anew(sized, cache) if found.result == BYPASS and cache is not None else None
        return told | {"reason": why} if why else told

    async def answer(self, sized: Sized, found: Lookup) -> Reply:
        """The whole answer, kept or joined or asked for. Raises Unanswered."""
        if found.kept is not None:
            return self._given_again(sized, found, found.kept)
        if found.key is None:
            return await self._balancer.answer(sized)
        flight, own = self._flight(sized, found, self._whole)
        began = self._now()
        reply: Reply = await self._head(flight, own=own)
        flight.leave()
        if own:
            return msgspec.structs.replace(reply)
        self._reused(sized, found, reply)
        return again(reply, sized.id, self._now() - began)

    async def open(self, sized: Sized, found: Lookup) -> AnswerStream | GivenStream:
        """The same as a stream; whoever joins one in flight gets it from its beginning, each piece as it comes."""
        if found.kept is not None and found.kept.pieces is not None:
            self._given_again(sized, found, found.kept)
            return GivenStream(sized.id, found.kept, found.kept.pieces)
        if found.key is None:
            return await self._balancer.open(sized)
        flight, own = self._flight(sized, found, self._streamed)
        stream: AnswerStream = await self._head(flight, own=own)
        if own:
            return GivenStream(sized.id, stream, flight.pieces, own=True, leave=flight.leave)
        whole = partial(self._reused, sized, found)
        return GivenStream(sized.id, stream, flight.pieces, leave=flight.leave, whole=whole, told=shared)

    @hears(AnswerScored)
    def observe(self, event: Event) -> None:
        """Let go of an answer that people or a judge found to be below its route's floor."""
        if type(event) is not AnswerScored or event.source not in OPINIONS:
            return
        key, route = self._by_request.get((event.request_id, event.tenant)), self._routes().get(event.route)
        if key is not None and route is not None and event.quality < route.min_quality:
            self._shelf.remove(key)
            if self._elsewhere is not None:
                self._elsewhere.answers.remove(Place(event.tenant, event.route, key))

    def purge(self, tenant: str | None = None, route: str | None = None, corpus: str | None = None) -> int:
        """Let go of what is kept here (of this tenant, route, corpus); what is in flight now is not kept either."""
        self._purges += 1
        chosen = [key for key, kept, _ in self._shelf.items() if _is_of(kept, tenant, route, corpus)]
        for key in chosen:
            self._shelf.remove(key)
        return len(chosen)

    async def purge_all(
        self, tenant: str | None = None, route: str | None = None, corpus: str | None = None
    ) -> dict[str, int]:
        """The same here and in all gateways of the fleet: `answers` here, `shared` in Redis; `pending` is 1 while Redis
        does not answer: it is done, and the others hear of it, when it does."""
        told = {"answers": self.purge(tenant, route, corpus)}
        if self._elsewhere is None:
            return told
        gone = await self._elsewhere.answers.purge(Purge(tenant, route, corpus))
        return {**told, "shared": gone or 0, "pending": int(gone is None)}

    def status(self, tenant: str | None = None, route: str | None = None, most: int = 100) -> dict[str, Any]:
        """How much is kept, and the answers given last, without their words."""
        rows = [self._row(*item) for item in self._shelf.items() if _is_of(item[1], tenant, route)]
        held = {"bytes": self._shelf.bytes, "max_bytes": self.limits.most_bytes, "in_flight": len(self._flights)}
        semantic = {"semantic": self._near.status()} if self._near is not None else {}
        shared = {"redis": self._elsewhere.answers.status()} if self._elsewhere is not None else {}
        return {"answers": len(self._shelf), **held, **semantic, **shared, "entries": rows[::-1][:most]}

    async def close(self) -> None:
        """End what is still being asked."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._elsewhere is not None:
            await self._elsewhere.answers.close()

    # ---- looking ----

    def _look(self, sized: Sized, hints: Hints, wanted: Directives) -> Lookup:
        route = self._routes().get(sized.route)
        if route is None or route.cache is None:
            return NOTHING
        options = route.cache
        if not wanted.store or asked_anew(sized, options) is not None:
            return Lookup(result=BYPASS)
        try:
            key = key_of(sized, hints, options)
            fresh = wanted.max_age == 0
            found = Lookup(result=MISS, key=key, options=options, fresh=True) if fresh else None
            found = found or self._on_shelf(key, options, wanted.max_age)
            if found.kept is None and self._near is not None and options.semantic:
                found.asked = self._near.asked(sized, hints, options)
        except Ambiguous:
            return Lookup(result=BYPASS)
        return found if found.asked is None or found.fresh or wanted.exact else self._alike(found, options, wanted)

    def _alike(self, found: Lookup, options: CacheOptions, wanted: Directives) -> Lookup:
        """What is kept for the same question in other words, while its time is not over."""
        assert self._near is not None
        assert found.asked is not None
        oldest = options.ttl if wanted.max_age is None else min(wanted.max_age, options.ttl)
        for key, likeness in self._near.nearest(found.asked):
            kept = self._shelf.get(key)
            if kept is not None and (age := self._now() - kept.made) <= oldest:
                found.result, found.kept, found.age, found.likeness = SEMANTIC, kept, age, likeness
                break
        return found

    def _on_shelf(self, key: bytes, options: CacheOptions, max_age: float | None) -> Lookup:
        kept = self._shelf.get(key)
        age = self._now() - kept.made if kept is not None else 0.0
        oldest = options.ttl + options.stale
        if kept is None or age > (oldest if max_age is None else min(max_age, oldest)):
            return Lookup(result=MISS, key=key, options=options)
        return Lookup(result=HIT if age <= options.ttl else STALE, key=key, options=options, kept=kept, age=age)

    def _given_again(self, sized: Sized, found: Lookup, kept: Kept) -> Reply:
        kept.hits += 1
        if found.result == STALE:
            self._refresh(sized, found)
        self._reused(sized, found, kept.reply, kept.price)
        return again(kept.reply, sized.id)

    def _reused(self, sized: Sized, found: Lookup, reply: Reply, price: NanoUSD | None = None) -> None:
        found.saved = price_of(reply) if price is None else price
        self._balancer.tell(
            AnswerReused(
                request_id=sized.id,
                wall=self._wall(),
                tenant=sized.tenant,
                key=sized.key,
                route=sized.route,
                result=found.result,
                backend_id=reply.backend_id,
                source=reply.request_id,
                age=found.age or 0.0,
                saved=found.saved,
            )
        )

    # ---- asking ----

    def _flight(
        self, sized: Sized, found: Lookup, ask: Callable[[Flight[Any], Sized, Lookup], Coroutine[Any, Any, None]]
    ) -> tuple[Flight[Any], bool]:
        """The flight of this question, and whether it was begun for it. A budget or an urgency of its own is one, too."""
        name = _flight_of(sized, found)
        running = self._flights.get(name)
        if running is not None and not found.fresh:
            found.result = JOINED
            return running, False
        flight = self._flights[name] = Flight()
        task = flight.begin(ask(flight, sized, found))
        self._tasks.add(task)
        task.add_done_callback(partial(self._landed, name, flight))
        return flight, True

    def _in_flight(self, sized: Sized, found: Lookup) -> bool:
        return _flight_of(sized, found) in self._flights

    async def _head(self, flight: Flight[Any], *, own: bool) -> Any:
        try:
            return await flight.head()
        except Unanswered as error:
            raise error if own else shared(error) from None

    def _refresh(self, sized: Sized, found: Lookup) -> None:
        """Ask a question anew for whoever comes next, under an id of its own; one at a time."""
        renewed = msgspec.structs.replace(sized, id=f"{sized.id}-refresh")
        beside = Lookup(result=MISS, key=found.key, options=found.options, purges=found.purges)
        flight, own = self._flight(renewed, beside, self._streamed if sized.question.stream else self._whole)
        if own:
            flight.hold()

    def _landed(self, name: Name, flight: Flight[Any], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._flights.get(name) is flight:
            del self._flights[name]
        flight.land()

    async def _whole(self, flight: Flight[Reply], sized: Sized, found: Lookup) -> None:
        purges = self._purges
        reply = await self._balancer.answer(sized)
        flight.answered(reply)
        if purges == self._purges:
            self._keep(sized, found, reply, None)

    async def _streamed(self, flight: Flight[AnswerStream], sized: Sized, found: Lookup) -> None:
        purges = self._purges
        stream = await self._balancer.open(sized)
        try:
            flight.answered(stream)
            async for item in stream.items():
                flight.pieces.add(item)
        finally:
            await stream.aclose()
        if stream.reply is not None and purges == self._purges:
            self._keep(sized, found, stream.reply, flight, stream.model)

    # ---- keeping ----

    def _keep(self, sized: Sized, found: Lookup, reply: Reply, flight: Flight[Any] | None, model: str = "") -> None:
        route = self._routes().get(sized.route)
        if found.key is None or route is None or not worth_keeping(reply, route):
            return
        kept = Kept(
            reply=kept_of(reply),
            pieces=Pieces.whole(merged(flight.pieces.pieces)) if flight is not None else None,
            model=model,
            made=self._now(),
            wall=self._wall(),
            price=price_of(reply),
            tenant=sized.tenant,
            route=sized.route,
        )
        if self._shelve(found.key, kept, found.asked) and self._elsewhere is not None:
            self._elsewhere.keep(found, kept)

    def _shelve(self, key: bytes, kept: Kept, asked: Asked | None) -> bool:
        size, near = kept.size, self._near
        asked = asked or (near.of(key) if near is not None else None)
        if size > self.limits.most_answer_bytes or not self._shelf.put(key, kept, size):
            return False
        self._by_request[kept.reply.request_id, kept.tenant] = key
        if near is not None and asked is not None:
            near.add(key, asked)
        return True

    def _purged(self, purge: Purge) -> None:
        if purge.key is None:
            self.purge(purge.tenant, purge.route, purge.corpus)
        else:
            self._shelf.remove(bytes.fromhex(purge.key))

    def _gone(self, key: bytes, kept: Kept) -> None:
        self._by_request.pop((kept.reply.request_id, kept.tenant), None)
        if self._near is not None:
            self._near.forget(key)

    def _row(self, key: bytes, kept: Kept, size: int) -> dict[str, Any]:
        return {
            "key": key.hex()[:16],
            "tenant": kept.tenant,
            "route": kept.route,
            "backend": kept.reply.backend_id,
            "request_id": kept.reply.request_id,
            "stream": kept.pieces is not None,
            "age_seconds": round(self._now() - kept.made, 3),
            "bytes": size,
            "hits": kept.hits,
            "saved_usd": dollars(kept.hits * kept.price),
        }


def _flight_of(sized: Sized, found: Lookup) -> Name:
    return found.key or b"", sized.budgets, sized.urgency.value


def _is_of(kept: Kept, tenant: str | None, route: str | None, corpus: str | None = None) -> bool:
    return tenant in (None, kept.tenant) and route in (None, kept.route) and corpus in (None, kept.reply.corpus)

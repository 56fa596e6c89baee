"""Answers that other gateways keep: given like one's own, believed only if they are what was asked for, never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends.base import Finished, ReasoningDelta, Relayed, TextDelta, ToolCallDelta
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import load
from equipoise.core.attempts import Unanswered
from equipoise.core.events import AnswerScored
from equipoise.core.model import Answer
from equipoise.core.routing import CacheOptions
from equipoise.gateway.caching import ResponseCache
from equipoise.gateway.elsewhere import Elsewhere
from equipoise.gateway.following import Pieces
from equipoise.gateway.given import Kept, kept_of
from equipoise.gateway.packing import packed, unpacked
from equipoise.stores.shared_answers import Place, Purge
from tests.patience import turns
from tests.shell.cache.asking import Kitchen, said
from tests.shell.gateway.scripted import CITED, fields_of, reply_of, whole

KEY = b"\x07" * 32
MOST = 1024 * 1024


class Drawer:
    """What a Redis holds, without one: `slow` says nothing in time, `purges` counts."""

    def __init__(self) -> None:
        self.held: dict[Place, bytes] = {}
        self.looks, self.purges, self.slow = 0, 0, False
        self.seen: int | None = 0
        self.link = SimpleNamespace(skew=0.0)
        self.on_purge: Callable[[Purge], None] = lambda purge: None
        self.kept_for: list[float] = []

    async def get(self, place: Place) -> tuple[bytes | None, int | None]:
        self.looks += 1
        await asyncio.sleep(0)
        return (None, None) if self.slow else (self.held.get(place), self.purges)

    def put(self, place: Place, purges: int, corpus: str | None, pack: Callable[[], bytes], seconds: float) -> None:
        if purges == self.purges:
            self.held[place] = pack()
            self.kept_for.append(seconds)

    async def purge(self, purge: Purge) -> int | None:
        if self.slow:
            return None
        gone = len(self.held)
        self.held.clear()
        self.purges += 1
        return gone

    def remove(self, place: Place) -> None:
        del self.held[place]

    def start(self) -> None: ...

    def status(self) -> dict[str, Any]:
        return {"well": not self.slow}

    async def close(self) -> None: ...


class OfAFleet(Kitchen):
    """A kitchen whose answers others may give, too."""

    def __init__(self, drawer: Drawer, options: CacheOptions | None = None) -> None:
        super().__init__(options or CacheOptions())
        self.wall = 1_790_000_000.0
        elsewhere = Elsewhere(drawer, most_bytes=MOST, now=lambda: self.clock, wall=lambda: self.wall)  # type: ignore[arg-type]
        self.cache = ResponseCache(
            self.balancer,  # type: ignore[arg-type]
            lambda: {"auto": self.route},
            self.cache.limits,
            lambda: self.clock,
            elsewhere=elsewhere,
        )
        self.gateway.cache = self.cache


async def test_what_one_gateway_was_told_another_gives_again():
    """Once from elsewhere, from then on from its own memory; the age is the fleet's."""
    drawer = Drawer()
    one, other = OfAFleet(drawer, CacheOptions(ttl=60.0, stale=30.0)), OfAFleet(drawer)
    first = await one.ask(x_request_id="one")
    other.wall += 12.0
    again = await other.ask(x_request_id="two")
    assert [said(first), said(again)] == ["miss", "hit"]
    assert msgspec.json.decode(again.body)["choices"] == msgspec.json.decode(first.body)["choices"]
    assert fields_of(again)[b"age"] == b"12"
    assert other.balancer.asked == []
    assert said(await other.ask()) == "hit"
    assert drawer.looks == 2
    assert drawer.kept_for == [90.0]


async def test_streams_are_given_by_others_too():
    """Piece by piece, the same words."""
    drawer = Drawer()
    one, other = OfAFleet(drawer), OfAFleet(drawer)
    one.balancer.stream_with = [TextDelta("It "), TextDelta("boils."), Finished(Answer(text="It boils."))]
    streamed = await whole(await one.ask({"stream": True}))
    answer = await other.ask({"stream": True})
    assert said(answer) == "hit"
    assert b"It boils." in await whole(answer)
    assert b"boils." in streamed


async def test_old_answers_of_others_are_stale_too():
    """Past its time an answer of another gateway is given while it is asked for anew, beyond that not at all."""
    drawer, options = Drawer(), CacheOptions(ttl=60.0, stale=60.0)
    await OfAFleet(drawer, options).ask()
    for later, expected in ((90.0, "stale"), (121.0, "miss")):
        other = OfAFleet(drawer, options)
        other.wall += later
        held = dict(drawer.held)
        assert said(await other.ask()) == expected
        await turns()
        assert len(other.balancer.asked) == 1
        drawer.held = held


async def test_nobody_looks_elsewhere_without_need():
    """Not for what is kept here, in flight here, to be asked anew, or never kept."""
    drawer = Drawer()
    kitchen = OfAFleet(drawer)
    assert said(await kitchen.ask(cache_control="no-store")) == "bypass"
    assert said(await kitchen.ask(cache_control="no-cache")) == "miss"
    assert said(await kitchen.ask({"n": 2})) == "bypass"
    assert drawer.looks == 0
    kitchen.balancer.go.clear()
    asking = [asyncio.create_task(kitchen.ask({"seed": 1})) for _ in range(1)]
    await turns()
    asking += [asyncio.create_task(kitchen.ask({"seed": 1})) for _ in range(5)]
    await turns()
    kitchen.balancer.go.set()
    assert sorted(said(answer) for answer in await asyncio.gather(*asking)) == ["joined"] * 5 + ["miss"]
    assert drawer.looks == 1


async def test_identical_questions_at_once_still_cost_one():
    """Also while all of them look elsewhere first."""
    kitchen = OfAFleet(Drawer())
    answers = await asyncio.gather(*(kitchen.ask() for _ in range(20)))
    assert sorted({said(answer) for answer in answers}) == ["joined", "miss"]
    assert len(kitchen.balancer.asked) == 1


async def test_an_answer_that_was_asked_anew_takes_the_place_of_the_shared_one():
    """no-cache does not look elsewhere, but what it brings is for all."""
    drawer = Drawer()
    one, other = OfAFleet(drawer), OfAFleet(drawer)
    await one.ask(x_request_id="old")
    one.balancer.answer_with = Answer(text="New words.")
    await one.ask(cache_control="no-cache", x_request_id="new")
    assert b"New words." in (await other.ask()).body  # type: ignore[operator]


async def test_a_slow_store_is_a_miss():
    """Without an answer in time the question is asked, kept here, and shared under the purges that are known."""
    drawer = Drawer()
    drawer.slow = True
    kitchen = OfAFleet(drawer)
    assert [said(await kitchen.ask()) for _ in range(2)] == ["miss", "hit"]
    assert len(drawer.held) == 1


async def test_failures_are_shared_with_nobody():
    """Errors, cut and doubtful answers are kept in no memory, so in none of a fleet."""
    drawer = Drawer()
    kitchen = OfAFleet(drawer)
    kitchen.balancer.answer_with = Unanswered("upstream_error", "it fell over")
    await kitchen.ask()
    kitchen.balancer.answer_with = Answer(text="Half an", finish_reason="length")
    await kitchen.ask()
    assert drawer.held == {}


async def test_only_if_cached_finds_what_others_keep():
    """And is 504 where nobody keeps anything."""
    drawer = Drawer()
    assert (await OfAFleet(drawer).ask(cache_control="only-if-cached")).status == 504
    await OfAFleet(drawer).ask()
    assert said(await OfAFleet(drawer).ask(cache_control="only-if-cached")) == "hit"


@pytest.mark.parametrize("damage", ["garbage", "cut", "another-key", "another-tenant"])
async def test_what_is_not_the_answer_is_none(damage: str):
    """Bytes that do not read, or that answer another question or tenant, are a miss, never an error."""
    drawer = Drawer()
    one, other = OfAFleet(drawer), OfAFleet(drawer)
    await one.ask()
    await one.ask({"seed": 1})
    (place, data), (_, foreign) = drawer.held.items()
    kept = unpacked(data, place.key, place.tenant, place.route, now=0.0, wall=0.0, most=MOST)
    assert kept is not None
    kept.tenant = "somebody-else"
    drawer.held[place] = {
        "garbage": b"not an answer",
        "cut": data[:-9],
        "another-key": foreign,
        "another-tenant": packed(kept, place.key, 0.0),
    }[damage]
    assert said(await other.ask()) == "miss"
    assert len(other.balancer.asked) == 1


async def test_one_purge_tells_everybody():
    """Here, in Redis, and (as other gateways hear of it) in their memory; also what is under way then is not kept."""
    drawer = Drawer()
    one, other = OfAFleet(drawer), OfAFleet(drawer)
    await one.ask()
    assert await one.cache.purge_all(route="auto") == {"answers": 1, "shared": 1, "pending": 0}
    other.balancer.go.clear()
    under_way = asyncio.create_task(other.ask())
    await turns()
    drawer.on_purge(Purge(tenant="default"))
    other.balancer.go.set()
    await under_way
    assert said(await other.ask(cache_control="only-if-cached")) == ""
    drawer.slow = True
    assert await one.cache.purge_all() == {"answers": 0, "shared": 0, "pending": 1}


async def test_an_answer_that_people_rate_badly_goes_everywhere():
    """Here, in Redis, and in the memory of whoever hears of it; an answer below this gateway's floor is not taken over."""
    drawer = Drawer()
    one, other = OfAFleet(drawer), OfAFleet(drawer)
    for kitchen in (one, other):
        kitchen.route = msgspec.structs.replace(kitchen.route, min_quality=0.6)
        await kitchen.ask(x_request_id="one")
    (place,) = drawer.held
    scored = {"request_id": "one", "attempt": 1, "backend_id": "graph-a", "route": "auto", "tenant": "default"}
    scored |= {"kind": "general", "role": "answer", "quality": 0.1, "variance": 0.1, "source": "feedback"}
    one.cache.observe(AnswerScored(**scored))
    assert drawer.held == {}
    assert said(await one.ask(cache_control="only-if-cached")) == ""
    drawer.on_purge(Purge(place.tenant, place.route, key=place.key.hex()))
    assert said(await other.ask(cache_control="only-if-cached")) == ""


async def test_what_is_below_this_gateways_floor_is_not_taken_over():
    """Gateways of one fleet may have other standards for a while."""
    drawer = Drawer()
    one, other = OfAFleet(drawer), OfAFleet(drawer)
    one.balancer.replies = {"quality": 0.5}
    await one.ask()
    other.route = msgspec.structs.replace(other.route, min_quality=0.6)
    assert said(await other.ask()) == "miss"


async def test_without_a_fleet_a_purge_says_nothing_of_one():
    """One machine is told of its own answers only."""
    kitchen = Kitchen()
    await kitchen.ask()
    assert await kitchen.cache.purge_all(corpus="papers") == {"answers": 0}
    assert await kitchen.cache.purge_all() == {"answers": 1}


PIECES = [
    TextDelta("It "),
    ReasoningDelta("hm"),
    ToolCallDelta([{"id": "c"}]),
    Relayed(b"data: {}\n\n"),
    Finished(CITED),
]


def _kept(**changes: Any) -> Kept:
    reply = kept_of(reply_of(CITED))
    fields = {"reply": reply, "pieces": Pieces.whole(PIECES), "model": "m", "made": 5.0, "wall": 100.0, "price": 7}
    return Kept(**{**fields, "tenant": "t", "route": "auto", **changes})


def _read(data: bytes, most: int = MOST, **changes: Any) -> Kept | None:
    return unpacked(
        data, **{"key": KEY, "tenant": "t", "route": "auto", "now": 50.0, "wall": 130.0, "most": most, **changes}
    )


def test_every_kind_of_piece_comes_back_as_it_was():
    """Texts, reasoning, calls, relayed events and the whole reply; it is as old here as it is there."""
    kept = _kept()
    found = _read(packed(kept, KEY, 100.0))
    assert found is not None
    assert found.pieces is not None
    assert found.pieces.pieces == PIECES
    assert (found.reply, found.price, found.model, found.made) == (kept.reply, 7, "m", 20.0)
    assert _read(packed(kept, KEY, 500.0)).made == 50.0  # type: ignore[union-attr]
    assert _read(packed(_kept(pieces=None), KEY, 100.0)).pieces is None  # type: ignore[union-attr]


def test_what_grows_beyond_its_bound_is_not_unpacked():
    """A few bytes that would be many are not believed."""
    data = packed(_kept(model="m" * 100_000), KEY, 100.0)
    assert len(data) < 5_000
    assert _read(data, most=50_000) is None
    assert _read(data, most=200_000) is not None


@given(st.binary(max_size=400), st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_bytes_are_no_answer(noise: bytes, at: int, change: int):
    """Noise, and a real entry with any one byte changed, give nothing, and never an error."""
    assert _read(noise) is None
    data = bytearray(packed(_kept(), KEY, 100.0))
    data[at % len(data)] ^= change
    found = _read(bytes(data))
    assert found is None or found.reply == kept_of(reply_of(CITED))


def test_it_needs_a_redis_to_keep_them_in():
    """`cache.redis` without `shared.redis` is an error that says where to name one."""
    with pytest.raises(ConfigurationError, match=r"name one in shared\.redis"):
        load({"backend_instances": {"here": {"backend_type": "function", "function": "a:b"}}, "cache": {"redis": True}})

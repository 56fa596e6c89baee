"""Kept answers of a fleet in a real Redis: given by another process, purged in all, and never waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from equipoise.gateway.packing import Packed
from equipoise.stores.redis_link import LinkOptions, RedisLink
from equipoise.stores.shared_answers import CORPUS_BYTES, LATE, Place, Purge, SharedAnswers
from tests.end_to_end.cache.gateway import Gateway
from tests.end_to_end.redis.servers import RedisServer

pytestmark = pytest.mark.end_to_end

CONFIG = """\
cache: {{redis: true}}
shared: {{redis: {{url: "{url}"}}}}
routes: {{auto: {{cache: {{ttl_seconds: 60, stale_seconds: {stale}}}}}}}
"""
SHORT = 0.005


@pytest.fixture
def two(tmp_path: Path, own_redis: RedisServer) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways of one fleet."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            found.append(gateway := Gateway(tmp_path / name, CONFIG.format(url=own_redis.url, stale=0)))
            stack.callback(gateway.stop)
        yield found[0], found[1]


def kept(gateway: Gateway, answers: int) -> None:
    """Wait until so many of its answers are in Redis: nobody waits for that to happen."""
    gateway.until(lambda: gateway.redis()["kept"] >= answers)


def shared(one: Gateway, other: Gateway, **body: Any) -> tuple[str, httpx.Response, httpx.Response]:
    """A question, its answer by the one, and the same given by the other. On a busy machine a look-up may come too late:
    then another question is taken."""
    for number in range(5):
        words, before = f"Does water boil, {number}?", one.redis()["kept"]
        first = one.ask(words, **body)
        kept(one, before + 1)
        again = other.ask(words, **body)
        if again.headers["x-equipoise-cache"] == "hit":
            return words, first, again
    raise AssertionError(other.redis())


def test_an_answer_is_given_again_by_another_process(two: tuple[Gateway, Gateway]) -> None:
    """Whole and streamed, word for word; nothing is paid, and there it is kept in memory from then on."""
    one, other = two
    words, first, again = shared(one, other)
    assert first.headers["x-equipoise-cache"] == "miss"
    assert str(one.process.pid) in again.text
    assert again.json()["choices"] == first.json()["choices"]
    assert again.headers["x-equipoise-cost-usd"] == "0.000000000"
    before = other.redis()
    assert other.said(words) == "hit"
    assert other.redis() == before
    _, streamed, stream = shared(one, other, stream=True)
    assert _texts(stream.text) == _texts(streamed.text)
    assert str(one.process.pid) in stream.text


def _texts(events: str) -> list[str]:
    return [
        line.partition('"delta"')[2].partition("finish_reason")[0] for line in events.splitlines() if "delta" in line
    ]


def test_one_purge_reaches_memory_and_redis_of_all(two: tuple[Gateway, Gateway]) -> None:
    """By corpus: one call at one gateway; within a second or so the other has let go, too, and asks anew."""
    one, other = two
    words, _, _ = shared(one, other)
    told = one.admin.post("/admin/cache/purge", json={"corpus": "papers-10"}).json()
    assert told == {"done": "purge", "answers": 0, "shared": 0, "pending": 0}
    assert other.said(words) == "hit"
    held = one.admin.get("/admin/cache").json()["answers"]
    told = one.admin.post("/admin/cache/purge", json={"corpus": "papers-11", "tenant": "default"}).json()
    assert told == {"done": "purge", "answers": held, "shared": held, "pending": 0}
    other.until(lambda: other.admin.get("/admin/cache").json()["answers"] == 0, 3.0)
    assert other.said(words) == "miss"
    assert str(other.process.pid) in other.ask(words).text


def test_a_black_hole_costs_five_milliseconds_and_then_nothing(
    two: tuple[Gateway, Gateway], own_redis: RedisServer
) -> None:
    """Frozen in the middle: the first few questions wait 5 ms, all later ones not at all, none fails; then it is used again."""
    one, _ = two
    usual = sorted(_seconds(one, f"warm {number}") for number in range(40))[20]
    late = one.redis()["late"]
    own_redis.freeze()
    first = [_seconds(one, f"frozen {number}") for number in range(3)]
    one.until(lambda: not one.redis()["well"], 5.0)
    later = sorted(_seconds(one, f"gone {number}") for number in range(40))[20]
    print(
        f"usual {usual * 1e3:.1f} ms, while it is found out {[round(s * 1e3, 1) for s in first]}, gone {later * 1e3:.1f} ms"
    )
    status = one.redis()
    assert status["late"] - late <= LATE + 2  # the first, and one a second until it is known
    assert status["skipped"] >= 40
    assert min(first) < usual + SHORT + 0.05
    assert later < usual + SHORT
    own_redis.thaw()
    one.until(lambda: one.redis()["well"], 5.0)
    assert one.said("after") == "miss"
    one.until(lambda: one.redis()["kept"] > status["kept"])


def _seconds(gateway: Gateway, words: str) -> float:
    began = time.monotonic()
    assert gateway.said(words) == "miss"
    return time.monotonic() - began


def test_a_purge_while_redis_is_gone_is_made_up_for(two: tuple[Gateway, Gateway], own_redis: RedisServer) -> None:
    """The answer says that it is pending; when Redis answers again it is done before anything is given from there."""
    one, other = two
    words, _, _ = shared(one, other)
    held = one.admin.get("/admin/cache").json()["answers"]
    own_redis.freeze()
    told = one.admin.post("/admin/cache/purge", json={}).json()
    assert told == {"done": "purge", "answers": held, "shared": 0, "pending": 1}
    own_redis.thaw()
    one.until(lambda: one.redis()["open_purges"] == 0)
    assert one.said(words) == "miss"
    other.until(lambda: other.admin.get("/admin/cache").json()["answers"] == 0, 3.0)


def test_a_stale_answer_of_another_process_is_given_while_one_asks(tmp_path: Path, own_redis: RedisServer) -> None:
    """Stale-while-revalidate holds across the fleet: old words at once, new ones for whoever comes next."""
    config = CONFIG.format(url=own_redis.url, stale=60)
    one, other = Gateway(tmp_path / "one", config), Gateway(tmp_path / "two", config)
    try:
        questions = [f"Does water boil, {number}?" for number in range(4)]
        for words in questions:
            one.ask(words)
        kept(one, len(questions))
        asyncio.run(_made_older(own_redis.url, 90.0))
        words = next(words for words in questions if other.said(words) == "stale")  # a look-up may come too late
        other.until(lambda: other.said(words) == "hit")
        assert str(other.process.pid) in other.ask(words).text
    finally:
        one.stop()
        other.stop()


async def _made_older(url: str, seconds: float) -> None:
    """Change nothing of an entry but when it was made, as time would."""
    async with started(url) as link:
        for name in await link.ask(lambda client: client.keys("equipoise:answer:*")):
            data = await link.ask(lambda client: client.get(name))  # noqa: B023
            entry = msgspec.msgpack.decode(zlib.decompress(data[CORPUS_BYTES:]), type=Packed)
            entry.made -= seconds
            changed = data[:CORPUS_BYTES] + zlib.compress(msgspec.msgpack.encode(entry))
            await link.ask(lambda client: client.set(name, changed))  # noqa: B023


@contextlib.asynccontextmanager
async def started(url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(LinkOptions(url=url))
    await link.start()
    try:
        yield link
    finally:
        await link.close()


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


PLACE = Place("clinic", "auto", b"\x01" * 32)


async def test_what_was_purged_meanwhile_is_not_kept(own_redis: RedisServer) -> None:
    """An answer that was under way in one gateway while another purged does not come back, even of another tenant."""
    async with started(own_redis.url) as link:
        one, other = SharedAnswers(link, seconds=0.5), SharedAnswers(link, seconds=0.5)
        other.start()
        _, before = await one.get(PLACE)
        assert before == 0
        assert await other.purge(Purge(tenant="somebody")) == 0
        one.put(PLACE, before, None, lambda: b"old", 60.0)
        await until(lambda: one.counts.not_kept == 1)
        await until(lambda: one.seen == 1)
        _, now = await one.get(PLACE)
        assert now is not None
        one.put(PLACE, now, None, lambda: b"new", 60.0)
        await until(lambda: one.counts.kept == 1)
        await until(lambda: other.seen == 1)
        assert (await other.get(PLACE))[0] == b"new"
        await one.close()
        await other.close()


async def test_purges_choose_by_tenant_route_and_corpus(own_redis: RedisServer) -> None:
    """Each names what goes; the rest stays, and the log tells the others the same choice."""
    heard: list[Purge] = []
    async with started(own_redis.url) as link:
        answers, other = SharedAnswers(link, seconds=0.5), SharedAnswers(link, seconds=0.5, on_purge=heard.append)
        answers.start()
        other.start()
        await until(lambda: (answers.seen, other.seen) == (0, 0))
        heard.clear()
        places = [
            (Place(tenant, route, bytes([n]) * 32), corpus)
            for n, (tenant, route, corpus) in enumerate(
                (t, r, c) for t in ("clinic", "lab") for r in ("auto", "fast") for c in ("p10", "p11")
            )
        ]
        for place, corpus in places:
            answers.put(place, 0, corpus, lambda: b"words", 60.0)
        await until(lambda: answers.counts.kept == len(places))
        answers.remove(places[0][0])
        await until(lambda: other.seen == 1)
        assert heard == [Purge("clinic", "auto", key="00" * 32)]
        heard.clear()
        assert await answers.purge(Purge(tenant="lab", corpus="p11")) == 2
        assert await answers.purge(Purge(route="fast")) == 3
        assert await answers.purge(Purge(tenant="nobody")) == 0
        await until(lambda: other.seen == 4)
        assert heard == [Purge(tenant="lab", corpus="p11"), Purge(route="fast"), Purge(tenant="nobody")]
        left = [place for place, _ in places if (await other.get(place))[0] is not None]
        assert [(place.tenant, place.route) for place in left] == [("clinic", "auto"), ("lab", "auto")]
        await answers.close()
        await other.close()


async def test_a_redis_that_forgot_everything_is_begun_with_anew(own_redis: RedisServer) -> None:
    """After a restart without its data the counter is behind: purges since then count, and none is missed."""
    heard: list[Purge] = []
    async with started(own_redis.url) as link:
        answers, other = SharedAnswers(link, seconds=0.5), SharedAnswers(link, seconds=0.5, on_purge=heard.append)
        other.start()
        for number in range(3):
            await answers.purge(Purge(tenant=f"t{number}"))
        await until(lambda: other.seen == 3)
        heard.clear()
        own_redis.stop()
        await until(lambda: not link.well)
        own_redis.start()
        await until(lambda: link.well)
        await answers.purge(Purge(tenant="late"))
        await until(lambda: other.seen == 1)
        assert heard == [Purge(tenant="late")]
        await answers.close()
        await other.close()


async def test_what_is_longer_than_allowed_is_not_kept(own_redis: RedisServer) -> None:
    """The bound is that of an entry's bytes as they are sent."""
    async with started(own_redis.url) as link:
        answers = SharedAnswers(link, seconds=0.5, most_bytes=10)
        _, purges = await answers.get(PLACE)
        assert purges is not None
        answers.put(PLACE, purges, None, lambda: b"x" * 11, 60.0)
        await until(lambda: answers.counts.not_kept == 1)
        answers.put(PLACE, purges, None, lambda: b"x" * 10, 60.0)
        await until(lambda: answers.counts.kept == 1)
        await answers.close()


async def test_where_redis_is_nearly_full_no_answer_is_added(own_redis: RedisServer) -> None:
    """What is left belongs to budgets; with more room, or no bound, answers are kept again."""
    async with started(own_redis.url) as link:
        answers = SharedAnswers(link, seconds=0.5)
        used = int((await link.ask(lambda client: client.info("memory")))["used_memory"])
        for most, kept_now in ((int(1.2 * used), 0), (4 * used, 1), (0, 2)):
            await link.ask(lambda client: client.config_set("maxmemory", most))  # noqa: B023
            _, purges = await answers.get(PLACE)
            assert purges is not None
            before = answers.counts.kept + answers.counts.not_kept
            answers.put(PLACE, purges, None, lambda: b"x" * 100, 60.0)
            await until(lambda: answers.counts.kept + answers.counts.not_kept > before)  # noqa: B023
            assert answers.counts.kept == kept_now
        await answers.close()


async def test_late_look_ups_rest_and_are_no_evidence(own_redis: RedisServer) -> None:
    """Three that were late, then none for a second, then one; budgets go on believing in Redis until it says nothing to them."""
    now = 100.0
    async with started(own_redis.url) as link:
        answers = SharedAnswers(link, seconds=0.002, now=lambda: now)
        await link.ask(lambda client: client.client_pause(700))
        for expected in (1, 2, 3, 3, 3):
            assert await answers.get(PLACE) == (None, None)
            assert answers.counts.late == expected
        assert answers.counts.skipped == 2
        now += 1.5
        found = [await answers.get(PLACE) for _ in range(2)]
        assert found == [(None, None)] * 2
        assert (answers.counts.late, answers.counts.skipped) == (4, 3)
        await asyncio.sleep(1.5)
        await until(lambda: link.well)
        now += 1.5
        assert (await answers.get(PLACE))[1] == 0
        assert (await answers.get(PLACE))[1] == 0
        await answers.close()


async def test_whatever_else_is_written_there_is_a_miss(own_redis: RedisServer) -> None:
    """A counter that is no number, a log of nonsense, an entry of another type: nothing is given, nothing is raised."""
    heard: list[Purge] = []
    async with started(own_redis.url) as link:
        answers = SharedAnswers(link, seconds=0.5, on_purge=heard.append)
        answers.start()
        await until(lambda: answers.seen == 0)
        heard.clear()
        name = answers._name(PLACE)
        await link.ask(lambda client: client.lpush(name, "no answer"))
        assert (await answers.get(PLACE))[0] is None
        await link.ask(lambda client: client.set("equipoise:answers:purges", "many"))
        assert (await answers.get(PLACE))[0] is None
        for words in ("1 {", "x", '1 {"key": "not hexadecimal"}'):
            await link.ask(lambda client: client.rpush("equipoise:answers:purged", words))  # noqa: B023
        await link.ask(lambda client: client.set("equipoise:answers:purges", "1"))
        await answers.get(PLACE)
        await until(lambda: answers.seen == 1)
        assert heard == [Purge()]  # what was purged cannot be known: all of it
        await answers.close()

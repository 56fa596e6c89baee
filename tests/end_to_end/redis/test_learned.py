"""What gateways on several hosts have learned is one sum, exchanged through a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from equipoise.stores.redis_learned import KEEP_SECONDS, FleetLearned
from equipoise.stores.redis_link import LinkOptions, RedisLink
from tests.end_to_end.redis.servers import RedisServer
from tests.shell.learning.test_learning import QUESTIONS, built, policy, taught

FLEETS = count()


@pytest.fixture
def link(one_redis: RedisServer) -> Iterator[RedisLink]:
    found = RedisLink(LinkOptions(url=one_redis.url, prefix=f"learned-{next(FLEETS)}", seconds=5.0))
    yield found
    asyncio.run(found.close())


def test_each_hears_what_all_others_know_and_never_itself(link: RedisLink) -> None:
    """By host and process; only what has changed is read again, and what has not been heard of for a month is forgotten."""
    now = [1_000_000.0]
    one, other, third = (FleetLearned(link, host, lambda: now[0]) for host in ("h1", "h2", "h2"))
    assert one.exchange("main", {"a": 1}, []) == []
    assert other.exchange("main", {"a": 2}, []) == [{"a": 1}]
    assert sorted(third.exchange("main-2", {"a": 3}, []), key=str) == [{"a": 1}, {"a": 2}]
    assert sorted(one.exchange("main", {"a": 1}, []), key=str) == [{"a": 2}, {"a": 3}]
    now[0] += KEEP_SECONDS + 1
    assert other.exchange("main", {"a": 4}, []) == []
    assert one.exchange("main", {"a": 1}, []) == [{"a": 4}]


def test_without_redis_it_is_what_was_known_last(own_redis: RedisServer) -> None:
    """Or, where nothing was, what those on this host have learned."""
    link = RedisLink(LinkOptions(url=own_redis.url, seconds=0.2))
    one, other = FleetLearned(link, "h1"), FleetLearned(link, "h2")
    other.exchange("main", {"a": 2}, [])
    one.exchange("main", {"a": 1}, [])
    own_redis.freeze()
    assert one.exchange("main", {"a": 1}, [{"a": 9}]) == [{"a": 2}]
    assert FleetLearned(link, "h3").exchange("main", {}, [{"a": 9}]) == [{"a": 9}]
    own_redis.thaw()
    asyncio.run(link.close())


async def test_one_that_comes_later_begins_with_what_the_others_know(one_redis: RedisServer, tmp_path: Path) -> None:
    """On another host, with nothing of its own; and when the first host comes again, its answers are not counted twice."""
    shared = {"shared": {"redis": {"url": one_redis.url, "prefix": "teachers", "operation_timeout_seconds": 2}}}
    async with built(tmp_path / "one", **shared) as first:
        await taught(first, "c", 150)
        own = policy(first).learner.save().arms
    async with built(tmp_path / "two", **shared) as second:
        async with asyncio.timeout(10):
            while second.decide(QUESTIONS[0]).probabilities["c"] < 0.9:
                await asyncio.sleep(0.01)
        assert policy(second).learner.save().arms["c"].quality.count == 0
    async with built(tmp_path / "one", **shared) as again:
        await again.learning._save()  # type: ignore[union-attr]
        assert policy(again).learner.save().arms == own
        assert again.learning.fleet._known.keys() == {f"{(tmp_path / 'two' / 'host-name').read_text()}/main"}  # type: ignore[union-attr]

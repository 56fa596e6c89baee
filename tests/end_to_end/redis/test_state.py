"""Named state in a real Redis: what the file's store promises, and a canary that is one over hosts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from equipoise.stores.redis_link import LinkOptions, RedisLink
from equipoise.stores.redis_state import RedisState
from tests.end_to_end.redis.servers import RedisServer
from tests.end_to_end.redis.test_replicas import Pair
from tests.shell.stores import test_state as promises
from tests.shell.stores.test_state import ENTRY
from tests.wire.workers.conftest import Gateway

FLEETS = count()
BOTH = """\
backend_instances:
  oracle: {backend_type: function, function: "answers:answer", corpus: mine, weight: 1.0}
  other: {backend_type: function, function: "answers:answer", corpus: mine, weight: 1.0}
strategy: round_robin
log: {level: warning}
"""


@pytest.fixture
def store(one_redis: RedisServer) -> Iterator[RedisState]:
    link = RedisLink(LinkOptions(url=one_redis.url, prefix=f"state-{next(FLEETS)}", seconds=5.0))
    yield RedisState(link, lambda: 1_790_000_000.0)
    asyncio.run(link.close())


@pytest.mark.parametrize(
    "promise",
    [
        promises.test_a_state_is_written_only_over_the_version_that_was_read,
        promises.test_the_journal_is_read_newest_first_and_by_topic,
    ],
    ids=lambda promise: promise.__name__,
)
def test_what_the_file_promises(promise: Callable[[Any], None], store: RedisState) -> None:
    """By its own tests."""
    promise(store)


def test_what_is_kept_is_found_by_the_beginning_of_its_name(store: RedisState) -> None:
    """And forgotten by it, but for one that goes on as is said."""
    for name in ("evidence.1.a", "evidence.1.b", "evidence.2.a", "else"):
        store.keep(name, {"of": name})
    assert store.kept("evidence.1.") == {"a": {"of": "evidence.1.a"}, "b": {"of": "evidence.1.b"}}
    store.forget("evidence.", "2.")
    assert store.kept("evidence.") == {"2.a": {"of": "evidence.2.a"}}
    assert store.read("else") == (0, {"of": "else"})
    assert store.write("else", {"n": 2}, 0, ENTRY) == 1


def canary(gateway: Gateway, path: str = "", body: Any = None) -> Any:
    status, text = gateway.fetch(f"/admin/canary{path}", body, admin=True)
    assert status == 200, text
    return json.loads(text)


def test_a_canary_is_one_over_hosts(pair: Pair) -> None:
    """Started at one gateway with half of the keys, it is there at the other, candidate and all; taken back there, it is gone
    here."""
    one, other = pair(BOTH)
    begun = canary(
        one, "/start", {"candidate": "strategy: weighted\n", "name": "new", "at": 50, "who": "ann", "force": True}
    )
    other.until(lambda: canary(other)["share"] == 50)
    assert canary(other)["history"][-1]["who"] == "ann", begun
    canary(other, "/abort", {"who": "bob", "why": "enough"})
    one.until(lambda: canary(one)["share"] == 0)
    assert canary(one)["history"][-1]["who"] == "bob"

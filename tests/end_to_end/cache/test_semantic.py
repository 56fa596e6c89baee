"""The semantic cache with the real embedding, in the shipped command."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.cache.extra import PLACE
from tests.end_to_end.cache.gateway import Gateway

pytestmark = pytest.mark.end_to_end

CONFIG = "routes: {auto: {cache: true}}\ncache: {semantic: true}\n"
KEPT = "What's the fastest way to boil 2 litres of water in Paris?"
SAME = ("what is the quickest way to boil two litres of water in Paris", "Hi! In Paris, what's the fastest way to boil 2 litres of water?")  # fmt: skip
NEAR_MISSES = (
    "What's the fastest way to boil 3 litres of water in Paris?",
    "What's the slowest way to boil 2 litres of water in Paris?",
    "What's the fastest way to boil 2 litres of water in Rome?",
    "What's the fastest way not to boil 2 litres of water in Paris?",
    "What's the fastest way to freeze 2 litres of water in Paris?",
)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One with the extra."""
    found = Gateway(tmp_path / "gateway", CONFIG, PLACE)
    yield found
    found.stop()


def test_the_same_in_other_words_and_nothing_else(gateway: Gateway) -> None:
    """Rewordings get the kept answer, with their likeness; near misses are asked; metrics and ledger say which was which."""
    first = gateway.ask(KEPT)
    assert first.headers["x-equipoise-cache"] == "miss"
    for words in SAME:
        again = gateway.ask(words)
        assert again.headers["x-equipoise-cache"] == "semantic", (words, again.headers)
        assert 0.85 <= float(again.headers["x-equipoise-cache-similarity"]) <= 1.0
        assert again.json()["choices"] == first.json()["choices"]
    for words in NEAR_MISSES:
        assert gateway.said(words, seed=1) == "miss"
        assert gateway.said(words) == "miss", words
    refused = gateway.admin.get("/admin/cache").json()["semantic"]["refused"]
    assert {"number", "negation", "name", "word"} <= refused.keys()
    assert 'lb_cache_requests_total{result="semantic"} 2.0' in gateway.admin.get("/metrics").text
    ledger = gateway.folder / "state" / "ledger.sqlite3"
    gateway.until(lambda: ledger.exists() and _reused(ledger) == [("semantic", first.headers["x-request-id"])] * 2)


def _reused(ledger: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT result, source FROM reuses").fetchall()
    connection.close()
    return found

"""Limits are exact over all workers: shares that add up, and what is free goes to whom it lacks."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from tests.wire.workers.conftest import Gateway, Start
from tests.wire.workers.test_two import BASE, keep_alive

KEY = "sk-eq-000000000000000000000000000000000000000000000"
KEYED = f"""\
keys:
  team: {{key: "{KEY}", requests_per_minute: 4}}
"""
"""A further question may come after a quarter of a minute: by then all of the test's have been asked."""


def limited(start: Start, field: str, more: str = "") -> Gateway:
    """Two workers before a backend with a limit."""
    found = start(BASE.replace("weight: 1.0", f"weight: 1.0, {field}") + more)
    found.begin()
    return found


@pytest.mark.parametrize("spread", ["one connection", "many"])
def test_ten_a_minute_are_ten_over_both(start: Start, spread: str) -> None:
    """Of 24 questions exactly ten are answered, all at one worker or spread over both."""
    gateway = limited(start, "max_requests_per_minute: 10")
    if spread == "many":
        told = Counter(gateway.ask()[0] for _ in range(24))
        assert told == {200: 10, 429: 14}
        return
    with keep_alive(gateway) as ask:
        answers = Counter(ask("hello") for _ in range(24))
    assert answers.pop("rate_limit_exceeded") == 14
    assert list(answers.values()) == [10]


def test_a_key_of_four_a_minute_gets_four_over_both(start: Start) -> None:
    """Whichever worker it asks."""
    gateway = limited(start, "priority: 1", KEYED)
    told = Counter(gateway.ask(key=KEY)[0] for _ in range(12))
    assert told == {200: 4, 429: 8}


def test_two_at_once_are_two_at_once_over_both(start: Start) -> None:
    """Eight questions of a second each, two at once: none is refused, and it takes as long as four rounds do."""
    gateway = limited(start, "max_concurrent_requests: 2")
    told, most = list[int](), 0
    threads = [threading.Thread(target=lambda: told.append(gateway.ask("slowly")[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, gateway.backends()["oracle"]["in_flight"])
    for thread in threads:
        thread.join()
    assert most == 2
    assert told == [200] * 8


def test_what_a_killed_worker_may_have_used_is_taken_as_used(start: Start) -> None:
    """Ten a minute stay ten at the most when a worker is killed in the middle."""
    gateway = limited(start, "max_requests_per_minute: 10")
    told = Counter(gateway.ask()[0] for _ in range(4))
    gateway.kill(0)
    gateway.until(lambda: len(gateway.workers()) == 2)
    told += Counter(gateway.ask()[0] for _ in range(20))
    assert told[200] <= 10

"""Two gateways of two workers each, the shipped command, that share nothing but a real Redis."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from tests.end_to_end.redis.servers import RedisServer
from tests.wire.workers.conftest import Gateway
from tests.wire.workers.test_two import BASE

Pair = Callable[..., tuple[Gateway, Gateway]]
OPENED = 'lb_circuit_breaker_transitions_total{backend_id="oracle",state="open"}'
LONG_IDLE = 3.0
"""Seconds: six turns, after which what was lately in demand is forgotten."""
KEY = "sk-eq-000000000000000000000000000000000000000000000"


def test_ten_a_minute_are_ten_over_both(pair: Pair) -> None:
    """Of a backend's rate and of a key's, whichever gateway is asked; and one alone can have all of it."""
    limited = BASE.replace("weight: 1.0", "weight: 1.0, max_requests_per_minute: 10")
    keyed = f'keys:\n  team: {{key: "{KEY}", requests_per_minute: 9}}\n  other: {{key: "{KEY[:-1]}1"}}\n'
    one, other = pair(limited + keyed)
    told = Counter((one, other)[number % 2].ask(key=KEY)[0] for number in range(24))
    assert told == {200: 9, 429: 15}
    told = Counter(other.ask(key=KEY[:-1] + "1")[0] for _ in range(6))
    assert told == {200: 1, 429: 5}


def test_a_breaker_that_opens_at_one_is_open_at_the_other(pair: Pair) -> None:
    """On evidence, in every worker."""
    one, other = pair(BASE.replace("weight: 1.0", "weight: 1.0, recovery_timeout_seconds: 60"))
    for _ in range(12):
        one.ask("fail")
    one.until(lambda: one.metric(OPENED) == 2)
    other.until(lambda: other.metric(OPENED) == 2)
    assert other.metric('lb_requests_total{backend_id="oracle",status="failure"}') == 0


def test_an_operators_word_holds_at_all_and_at_one_that_comes_later(pair: Pair) -> None:
    """Until it is taken back, at whichever gateway."""
    one, other = pair(BASE)
    assert one.fetch("/admin/backends/oracle/open-breaker", {}, admin=True)[0] == 200
    other.until(lambda: other.metric(OPENED) == 2)
    other.kill(0)
    other.until(lambda: len(other.workers()) == 2)
    other.until(lambda: other.metric(OPENED) == 3)
    assert {other.ask()[0] for _ in range(8)} == {503}
    assert other.fetch("/admin/backends/oracle/close-breaker", {}, admin=True)[0] == 200
    one.until(lambda: one.backends()["oracle"]["breaker"]["state"] == "closed")
    assert {each.ask()[0] for each in (one, other) for _ in range(4)} == {200}


def test_without_redis_they_go_on_with_what_they_hold_and_say_so(pair: Pair, own_redis: RedisServer) -> None:
    """Frozen or gone: ready, with a word and a metric; one again when it is back. Every process that was ever asked keeps
    room for some questions, though nobody has asked it lately."""
    one, other = pair(BASE + "budgets: {all: {requests: 1000, window: total}}\n")
    for gateway in (one, other):
        asked = set[str]()
        gateway.until(lambda gateway=gateway, asked=asked: asked.add(gateway.ask()[1]) or len(asked) == 2)
    time.sleep(LONG_IDLE)
    own_redis.freeze()
    one.until(lambda: one.metric("lb_redis_unwell") == 2)
    assert {one.ask()[0] for _ in range(4)} == {200}
    status, text = one.fetch("/readyz?verbose")
    assert status == 200
    assert "[+]redis ok, but without Redis for" in text
    assert "no answer within 0.1 s" in text
    own_redis.thaw()
    one.until(lambda: one.metric("lb_redis_unwell") == 0)
    assert "[+]redis ok\n" in one.fetch("/readyz?verbose")[1]
    own_redis.stop()
    other.until(lambda: other.metric("lb_redis_unwell") == 2)
    assert {other.ask()[0] for _ in range(4)} == {200}
    assert other.metric("lb_redis_outages_total") >= 2


def test_fail_closed_is_not_ready_and_refuses_what_has_a_budget(pair: Pair, own_redis: RedisServer) -> None:
    """At once, and until Redis answers again."""
    one, _ = pair(BASE + "budgets: {all: {requests: 1000, window: total}}\n", ", when_gone: fail_closed")
    assert one.ask()[0] == 200
    own_redis.freeze()
    one.until(lambda: one.metric("lb_redis_unwell") == 2)
    one.until(lambda: one.ask()[0] != 200)
    assert one.fetch("/readyz")[0] == 503
    own_redis.thaw()
    one.until(lambda: one.fetch("/readyz")[0] == 200)
    one.until(lambda: one.ask()[0] == 200)

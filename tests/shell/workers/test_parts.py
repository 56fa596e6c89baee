"""The parts of a gateway of several processes, each by itself."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from equipoise.telemetry.prometheus import rendered
from equipoise.telemetry.totals import BackendTotals, Gauges, LedgerCounts, QueueCounts, Snapshot, Totals
from equipoise.workers.backoff import LIMIT, LONGEST, Backoff
from equipoise.workers.channel import Channel, Gone, Refused
from equipoise.workers.exchange import Report
from equipoise.workers.hub import Hub
from equipoise.workers.shares import Shares
from equipoise.workers.slices import Slices
from equipoise.workers.views import merged


class Limit:
    """A limit whose units are all free."""

    def __init__(self) -> None:
        self.share, self.used = 0, False

    def spare(self, now: float) -> int:
        return 0 if self.used else self.share

    def resize(self, share: int, now: float) -> None:
        self.share = share

    def use_up(self, now: float) -> None:
        self.used = True


def test_a_worker_that_ends_again_and_again_is_started_ever_later() -> None:
    """At once, then four times as long each time up to half a minute; a minute's run begins a new row."""
    it = Backoff()
    pauses = [it.ended(1.0) for _ in range(LIMIT)]
    assert pauses == pytest.approx([0.1, 0.4, 1.6, 6.4, 25.6, LONGEST])
    assert it.looping
    assert it.ended(61.0) == pytest.approx(0.1)
    assert not it.looping


def row(**other: object) -> dict[str, object]:
    """A backend's row as one worker sees it."""
    breaker = {"state": "closed", "reason": "", "calls": 2, "failures": 1, "slow": 0, "run": 1, "trips": 0}
    found = {
        "id": "papers", "in_flight": 1, "requests": 3, "errors": 1, "no_answers": 0, "cost_usd": "0.000000003",
        "checks": {"scheduled": 2, "failed": 0}, "health": 0.9, "why_not": None, "draining": False, "status": "healthy",
        "breaker": breaker, "response_time": 1.0, "first_token": 0.5, "seconds_per_token": 0.01, "success_rate": 1.0,
        "pace": 1.0,
    }  # fmt: skip
    return found | other


def test_work_adds_up_and_the_worse_opinion_is_shown() -> None:
    """Counts and money are sums, times are weighed by requests, breaker and health are those of the one worse off."""
    broken = {"state": "open", "reason": "5 failures", "calls": 0, "failures": 0, "slow": 0, "run": 0, "trips": 1}
    other = row(requests=1, health=0.2, why_not="open", breaker=broken, response_time=5.0, cost_usd="0.100000000")
    found = merged([{"in_flight": 1, "backends": [row()]}, {"in_flight": 2, "backends": [other, row(id="web")]}])
    assert found["in_flight"] == 3
    papers, web = found["backends"]
    assert (papers["requests"], papers["in_flight"], papers["cost_usd"]) == (4, 2, "0.100000003")
    assert (papers["health"], papers["why_not"], papers["breaker"]["state"]) == (0.2, "open", "open")
    assert (papers["breaker"]["calls"], papers["response_time"]) == (2, 2.0)
    assert web == row(id="web")
    assert merged([]) == {}


def snapshot(requests: int, written: int = 0) -> Snapshot:
    """What a worker counted."""
    totals = Totals({"papers": BackendTotals({"success": requests})})
    gauges = {"papers": Gauges(1.0, 0, 1)}
    return Snapshot(totals, gauges, LedgerCounts(written, 2, 0, 0, 1), queue=QueueCounts(1, requests))


def test_what_a_dead_worker_counted_stays_and_what_it_was_goes() -> None:
    """Sums stay in the metrics for good; questions in flight, waiting or unwritten are gone with it."""
    hub = Hub(2, lambda message: None)
    for slot, requests in ((0, 5), (1, 7)):
        hub.joined(slot, Channel({}), 1000 + slot)
        hub.live[slot].report = Report(snapshot(requests, written=requests))
    hub.lost(0)
    hub.joined(0, Channel({}), 1002)
    hub.live[0].report = Report(snapshot(2, written=2))
    whole = hub.snapshot()
    assert whole.totals.backends["papers"].verdicts == {"success": 14}
    assert whole.gauges["papers"].in_flight == 2
    assert whole.ledger == LedgerCounts(14, 4, 0, 0, 2)
    assert whole.queue == QueueCounts(2, 14)
    assert 'lb_requests_total{backend_id="papers",status="success"} 14.0' in rendered(whole, {}).decode()


def test_at_the_end_nobody_takes_the_lead_of_a_worker_that_was_quicker_to_stop() -> None:
    """Else the last words, such as what was changed and never saved, come twice."""
    hub = Hub(3, lambda message: None)
    told: list[tuple[int, str]] = []
    for slot in range(3):
        channel = SimpleNamespace(connected=True, note=lambda kind, slot=slot: told.append((slot, kind)))
        hub.joined(slot, cast("Channel", channel), 1000 + slot)
        hub.live[slot].began = True
    hub.lost(0)
    assert told == [(1, "lead")]
    hub.stopping = True
    hub.lost(1)
    assert told == [(1, "lead")]


def test_a_removed_backends_series_do_not_live_on_in_the_dead() -> None:
    """They go when the workers that live let go of them."""
    hub = Hub(1, lambda message: None)
    hub.joined(0, Channel({}), 1)
    hub.live[0].report = Report(snapshot(5))
    hub.lost(0)
    hub.joined(0, Channel({}), 2)
    hub.live[0].report = Report(Snapshot(Totals({"web": BackendTotals({"success": 1})})))
    assert set(hub.snapshot().totals.backends) == {"web"}


def test_shares_go_where_they_are_lacking_and_the_books_agree() -> None:
    """Three workers, 10 units: 4, 3, 3; one is given what two can spare; the parent knows who holds what."""
    slices = [Slices(slot, 3) for slot in range(3)]
    limits = [Limit() for _ in slices]
    for each, limit in zip(slices, limits, strict=True):
        each.attach("papers", 10, limit)
    assert [limit.share for limit in limits] == [4, 3, 3]
    book = Shares(3)
    for slot in (1, 2):
        units = slices[slot].release("papers", 10, need=2)
        slices[0].grant("papers", 10, units)
        book.moved("papers", 10, (slot, 0), units)
    assert [limit.share for limit in limits] == [8, 1, 1]
    assert [book.of(slot) for slot in range(3)] == [each.moved() for each in slices]
    assert slices[1].release("unknown", 9, need=3) == 3


def test_after_a_crash_limits_begin_used_up() -> None:
    """What the one before may have used a moment ago is not to be had again for a minute, by anybody."""
    now = [100.0]
    slices = Slices(1, 2, lambda: now[0], {"papers": 7})
    slices.crashed_until = 160.0
    limit = Limit()
    slices.attach("papers", 10, limit)
    assert (limit.share, limit.used) == (7, True)
    assert slices.release("papers", 10, 1) == 0
    assert slices.release("never seen", 10, 1) == 0
    now[0] = 161.0
    assert slices.release("never seen", 10, 1) == 2


async def pair() -> tuple[Channel, Channel, asyncio.Task[None]]:
    """Two ends; the far one adds up and refuses."""

    async def add(raw: bytes) -> int:
        return sum(msgspec.msgpack.decode(raw, type=list[int]))

    async def refuse(raw: bytes) -> None:
        raise Refused("not today")

    near, far = Channel({}), Channel({"add": add, "refuse": refuse})
    ours, theirs = socket.socketpair()
    await near.open(ours)
    await far.open(theirs)
    running = asyncio.create_task(near.run())
    return near, far, running


async def test_calls_are_answered_refused_or_told_that_nobody_is_there() -> None:
    """An answer comes as it was given, a refusal with its words, and silence is not waited for beyond its time."""
    near, far, running = await pair()
    with pytest.raises(Gone, match="no answer within"):
        await near.call("add", [1, 2], seconds=0.05)  # the far end does not listen yet
    listening = asyncio.create_task(far.run())
    assert msgspec.msgpack.decode(await near.call("add", [1, 2, 39])) == 42
    with pytest.raises(Refused, match="not today"):
        await near.call("refuse")
    await far.finish()
    await running
    with pytest.raises(Gone):
        await near.call("add", [1])
    await listening


async def test_a_call_under_way_when_the_other_end_goes_is_over_at_once() -> None:
    """Nobody waits for the dead."""
    near, far, running = await pair()
    calling = asyncio.create_task(near.call("add", [1], seconds=30))
    await asyncio.sleep(0.01)
    await far.finish()
    with pytest.raises(Gone):
        await calling
    await running

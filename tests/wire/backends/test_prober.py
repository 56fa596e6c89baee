"""Probes: free, a few at a time, spread in time, and never in anyone's way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import pytest

from equipoise.backends import CLIENTS, make_client
from equipoise.backends.base import BackendClient, ProbeResult
from equipoise.backends.prober import Prober, Schedule
from equipoise.core.model import BackendType
from equipoise.http import Response
from tests.wire.backends.scripted import JSON, ScriptedUpstream, recorded

FREE = {("GET", "/v1/models"), ("GET", "/health"), ("GET", "/auth/verify")}


class Probed:
    """A backend whose probe takes a moment and counts how many run at once."""

    running = most = 0

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.probes = seconds, 0

    async def probe(self) -> ProbeResult:
        """Pretend to look."""
        self.probes += 1
        Probed.running += 1
        Probed.most = max(Probed.most, Probed.running)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            Probed.running -= 1
        return ProbeResult(healthy=True, seconds=self.seconds)


def several(count: int, seconds: float = 0.0) -> dict[str, Any]:
    """That many backends."""
    return {f"b{number}": Probed(seconds) for number in range(count)}


def every_kind(url: str) -> dict[str, BackendClient]:
    """One client of every kind, and of both of Perplexity's APIs."""
    options: dict[BackendType, dict[str, Any]] = {kind: {"endpoint_url": url, "api_key": "k"} for kind in BackendType}
    options[BackendType.FUNCTION] = {"function": len}
    clients = {kind.value: make_client(kind, **options[kind]) for kind in CLIENTS}
    return clients | {"chat": make_client("perplexity", api="chat", endpoint_url=url, api_key="k")}


async def test_probes_cost_nothing(upstream: ScriptedUpstream) -> None:
    """Over every kind of backend, well, without its lists, or refusing: only endpoints that bill nobody are touched."""
    for status in (200, 404, 403, 500):
        upstream.answer = Response(status, JSON, recorded("lightrag_health.json"))
        prober = Prober(every_kind(upstream.url), lambda name, result: None)
        await prober.round()
        await prober.round()
    asked = {(request.method, request.path) for request in upstream.seen}
    assert asked == FREE
    assert all(request.body == b"" for request in upstream.seen)


async def test_a_backend_that_is_gone_is_reported_not_raised() -> None:
    """A refused connection is a finding."""
    found: dict[str, ProbeResult] = {}
    clients = every_kind("http://127.0.0.1:9")
    await Prober(clients, found.__setitem__).round()
    assert {name for name, result in found.items() if not result.healthy} == clients.keys() - {"function"}


async def test_only_a_few_run_at_once() -> None:
    """A thousand backends do not mean a thousand connections."""
    Probed.most = 0
    found: dict[str, ProbeResult] = {}
    await Prober(several(50, 0.001), found.__setitem__, parallel=4).round()
    assert (len(found), Probed.most) == (50, 4)


async def test_a_probe_that_hangs_is_cut_and_reported() -> None:
    """Silence is a finding as well."""
    found = await Prober(several(1, 60.0), lambda name, result: None, schedules={"b0": Schedule(timeout=0.02)}).round()
    assert (found["b0"].healthy, found["b0"].error) == (False, "no answer to the probe in 0.02 s")


def often(clients: Mapping[str, object]) -> dict[str, Schedule]:
    return dict.fromkeys(clients, Schedule(interval=0.06))


async def test_one_that_hangs_delays_no_other() -> None:
    """While one probe takes its whole time, the others keep their schedule."""
    clients = several(2) | {"stuck": several(1, 60.0)["b0"]}
    prober = Prober(clients, lambda name, result: None, schedules=often(clients))
    await prober.start()
    async with asyncio.timeout(5):
        while min(clients[name].probes for name in ("b0", "b1")) < 3:
            await asyncio.sleep(0.01)
    assert clients["stuck"].probes == 1
    await prober.close()


async def test_probing_begins_at_once_and_goes_on_until_it_is_stopped() -> None:
    """Every backend is looked at again and again; after `stop` none is."""
    clients = several(3)
    prober = Prober(clients, lambda name, result: None, schedules=often(clients), chance=random.Random(7))
    await prober.start()
    async with asyncio.timeout(5):
        while min(client.probes for client in clients.values()) < 3:
            await asyncio.sleep(0.01)
    await prober.close()
    before = [client.probes for client in clients.values()]
    await asyncio.sleep(0.15)
    assert [client.probes for client in clients.values()] == before


async def test_backends_that_were_replaced_are_not_reported() -> None:
    """The finding about a backend that is gone is nobody's."""
    found: list[str] = []
    clients = several(1, 0.05)
    prober = Prober(clients, lambda name, result: found.append(name))
    running = asyncio.create_task(prober.round())
    await asyncio.sleep(0)
    prober.replace(several(1))
    await running
    assert found == []
    await prober.round(["b0", "unknown"])
    assert found == ["b0"]


def test_there_is_a_client_for_every_kind() -> None:
    """One table; an unknown kind, api or option is an error at start."""
    assert CLIENTS.keys() == set(BackendType)
    for wrong in (lambda: make_client("oracle"), lambda: make_client("perplexity", api="x")):
        with pytest.raises(ValueError):
            wrong()


class Broken(Probed):
    """Its probe breaks down."""

    async def probe(self) -> ProbeResult:
        """A defect of a client's own."""
        raise LookupError("a defect")


async def test_no_check_ends_without_a_result() -> None:
    """One is well, one breaks down, one hangs beyond its interval: each check that was due is told, with its end."""
    told: list[tuple[str, ProbeResult]] = []
    clients: dict[str, BackendClient] = {"well": Probed(), "broken": Broken(), "hanging": Probed(60.0)}  # type: ignore[dict-item]
    schedules = {name: Schedule(interval=0.1, timeout=0.25) for name in clients}
    prober = Prober(clients, lambda name, result: told.append((name, result)), schedules=schedules, jitter=0.0)
    await prober.start()
    async with asyncio.timeout(5):
        while min(sum(one == name for one, _ in told) for name in clients) < 4 or len(_errors(told, "hanging")) < 2:
            await asyncio.sleep(0.01)
    await prober.close()
    ends = {name: [result for one, result in told if one == name] for name in clients}
    assert all(result.healthy and result.completed for result in ends["well"])
    assert _errors(told, "broken") == {"the probe broke down: LookupError"}
    assert _errors(told, "hanging") == {"no answer to the probe in 0.25 s", "the check before it is not over"}
    assert all(not result.completed for name in ("broken", "hanging") for result in ends[name])


def _errors(told: list[tuple[str, ProbeResult]], name: str) -> set[str | None]:
    """What the checks of one ended with."""
    return {result.error for one, result in told if one == name}


@pytest.mark.parametrize("kind", ["lightrag", "perplexity", "openai_direct", "local_llm"])
async def test_the_operators_path_stands_for_the_kinds_own_probe(kind: str, upstream: ScriptedUpstream) -> None:
    """Any success will do there, and nothing else is asked."""
    upstream.routes["/alive"] = Response(204)
    client = make_client(kind, endpoint_url=upstream.url, probe_path="/alive")
    found = await client.probe()
    await client.close()
    assert found.healthy
    assert found.details == {"path": "/alive", "status": 204}
    assert [request.path for request in upstream.seen] == ["/alive"]


SEARCH_FOUND = b'{"status":"success","message":"","data":{"chunks":[]},"metadata":{"query_mode":"naive"}}'


async def test_a_deep_probe_searches_now_and_then_and_says_what_it_used(upstream: ScriptedUpstream) -> None:
    """One embedding every five minutes, told as usage; without `deep_probe` nothing is searched."""
    upstream.routes |= {
        "/health": Response(200, JSON, b'{"status":"healthy"}'),
        "/auth/verify": Response(404),
        "/query/data": Response(200, JSON, SEARCH_FOUND),
    }
    client = make_client("lightrag", endpoint_url=upstream.url, deep_probe=True)
    first, second = await client.probe(), await client.probe()
    await client.close()
    assert first.healthy
    assert first.usage is not None
    assert first.usage.input_tokens > 0
    assert second.usage is None
    assert sum(request.path == "/query/data" for request in upstream.seen) == 1


async def test_a_deep_probe_finds_what_health_does_not_tell(upstream: ScriptedUpstream) -> None:
    """With its embeddings down LightRAG says healthy, and 500 when it is to search (seen of 1.5.7)."""
    upstream.routes |= {
        "/health": Response(200, JSON, b'{"status":"healthy"}'),
        "/auth/verify": Response(404),
        "/query/data": Response(500, JSON, b'{"detail":"Internal server error"}'),
    }
    client = make_client("lightrag", endpoint_url=upstream.url, deep_probe=True)
    found = await client.probe()
    await client.close()
    assert not found.healthy
    assert "500" in (found.error or "")

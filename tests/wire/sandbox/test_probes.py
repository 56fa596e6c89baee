"""Watching backends is free: all that a balancer does on its own, counted by the backends themselves."""

from __future__ import annotations

import asyncio
from typing import Any

from ruamel.yaml import YAML

from equipoise.balancer import LoadBalancer
from equipoise.sandbox.snippet import configuration
from tests.wire.sandbox.conftest import Peer, Start

NAMES = ("graph_deep", "graph_quick", "web_search", "general_llm")


def configured(peers: list[Peer]) -> dict[str, Any]:
    """A configuration that probes twenty times a second."""
    urls = {peer.backend.profile.name: peer.backend.url for peer in peers}
    text = configuration(
        urls, tuple(peer.backend.profile for peer in peers), "\n    health_check_interval_seconds: 0.05"
    )
    return dict(YAML(typ="safe").load(text)) | {"ledger": {"enabled": False}}


async def test_health_probes_are_never_billed(start: Start) -> None:
    """Ten probes and more of every kind of backend, and not one paid call."""
    peers = [await start(name) for name in NAMES]
    async with LoadBalancer.from_config(configured(peers)), asyncio.timeout(20):
        while min([(await peer.stats())["probes"] for peer in peers]) < 10:
            await asyncio.sleep(0.05)
    for peer in peers:
        stats = await peer.stats()
        assert (stats["paid"], stats["billed_usd"]) == (0, "0.000000000")


async def test_a_question_is_one_paid_call(start: Start) -> None:
    """So the count above would have seen one."""
    peers = [await start(name) for name in NAMES]
    async with LoadBalancer.from_config(configured(peers)) as balancer:
        reply = await balancer.ask("What is clinical metabolomics?")
    paid = {peer.backend.profile.name: (await peer.stats())["paid"] for peer in peers}
    assert paid == dict.fromkeys(NAMES, 0) | {reply.backend_id: 1}

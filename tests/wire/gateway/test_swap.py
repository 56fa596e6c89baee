"""A configuration is replaced while questions are being answered, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from equipoise.config import Config
from equipoise.config.load import load
from equipoise.core.events import AttemptEnded, Event
from equipoise.sandbox import SandboxBackend, seeded
from equipoise.swap import Swappable


@pytest.fixture
async def slow() -> AsyncIterator[SandboxBackend]:
    """A general model that takes a while."""
    profile = next(profile for profile in seeded(1) if profile.name == "general_llm")
    backend = SandboxBackend(msgspec.structs.replace(profile, first_token=0.2, per_token=0.0, jitter=0.0))
    await backend.start()
    yield backend
    await backend.stop()


def config(url: str, name: str = "one", **more: object) -> Config:
    backend = {"backend_type": "local_llm", "endpoint_url": f"{url}/v1", "api_key": "sandbox", "model": "gpt-4o-mini"}
    return load({"backend_instances": {name: backend}, "strategy": "round_robin", **more}, environ={}).config


async def test_questions_under_way_end_as_they_began_and_later_ones_go_by_the_new(slow: SandboxBackend) -> None:
    """No answer is lost by a swap, the old connections are closed after the last of them, observers see all."""
    seen: list[Event] = []
    fleet = Swappable(config(slow.url), [seen.append])
    await fleet.start()
    former = fleet.balancer
    asked = [asyncio.create_task(former.ask("What is lactate?")) for _ in range(5)]
    await asyncio.sleep(0.05)
    fleet.swap(config(slow.url, "two"))
    later = await fleet.balancer.ask("What is lactate?")
    assert {reply.backend_id for reply in await asyncio.gather(*asked)} == {"one"}
    assert later.backend_id == "two"
    assert sum(isinstance(event, AttemptEnded) for event in seen) == 6
    await fleet.close()
    assert (await fleet.balancer.ask("And urate?")).backend_id == "two"
    await fleet.close()


async def test_a_swap_that_cannot_be_built_changes_nothing(slow: SandboxBackend) -> None:
    """What goes wrong while building is told, and the old configuration goes on."""
    fleet = Swappable(config(slow.url))
    wrong = {"f": {"backend_type": "function", "function": "no_such_module:answer"}}
    with pytest.raises(ImportError):
        fleet.swap(load({"backend_instances": wrong}, environ={}).config)
    assert (await fleet.balancer.ask("What is lactate?")).backend_id == "one"
    await fleet.close()

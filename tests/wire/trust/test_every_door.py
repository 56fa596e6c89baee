"""A question with a data class, by every path and every way of saying so, against sockets of somebody who may not see it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from equipoise.build import build
from equipoise.config.load import load
from equipoise.core.callers import Caller
from equipoise.gateway import ClientKeys, Gateway
from equipoise.gateway.gateway import ASKING
from equipoise.gateway.keys import digest
from tests.shell.gateway.scripted import gateway_of, http, whole
from tests.wire.trust.parrot import Parrot

CHAT = {"messages": [{"role": "user", "content": "How is Mr Smith?"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/chat/completions": CHAT,
    "/v1/embeddings": {"input": ["How is Mr Smith?"]},
    "/v1/responses": {"input": "How is Mr Smith?"},
    "/v1/agent": {"input": "How is Mr Smith?"},
    "/query": {"query": "How is Mr Smith?"},
    "/query/stream": {"query": "How is Mr Smith?"},
}
SAID: dict[str, tuple[str, str, dict[str, str], dict[str, str]]] = {
    "key": ("doctor", "any", {}, {}),
    "route": ("anybody", "ward", {}, {}),
    "header": ("anybody", "any", {"x_equipoise_data_class": "Patients"}, {}),
    "header beside others": ("anybody", "any", {"x_equipoise_data_class": "patients, patients"}, {}),
    "metadata": ("anybody", "any", {}, {"x-equipoise-data-class": "patients"}),
    "metadata as documented": ("anybody", "any", {}, {"X-Equipoise-Data-Class": "patients"}),
    "repeat": ("doctor", "any", {"idempotency_key": "again"}, {}),
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[Gateway, Parrot, Parrot]]:
    """A gateway before one who allows the class and one who does not, on routes that keep answers and try again."""
    trusted, stranger = Parrot(), Parrot()
    for each in (trusted, stranger):
        await each.start()
    kind = {"backend_type": "local_llm", "model": "m", "api_key": "x"}
    open_, closed = (
        {**kind, "endpoint_url": f"{each.url}/good/v1", **more}
        for each, more in ((stranger, {}), (trusted, {"allows": "patients"}))
    )
    embeds = {"supports": ["embeddings"]}
    routes = {
        "any": {"cache": {}, "hedge": {"enabled": True}, "fallback": ["stranger"]},
        "ward": {"data_class": "patients", "fallback": ["stranger"]},
    }
    said = {
        "backend_instances": {
            "trusted": closed, "stranger": open_, "trusted-vectors": closed | embeds, "stranger-vectors": open_ | embeds,
        },
        "routes": routes, "strategy": "round_robin", "state_dir": str(tmp_path), "ledger": {"enabled": False},
        "enable_real_time_monitoring": False, "retry": {"backoff_base_seconds": 0.001, "share": 1.0, "burst": 100},
    }  # fmt: skip
    terms = {"doctor": frozenset({"patients"}), "anybody": frozenset[str]()}
    keys = ClientKeys({digest(name): Caller(key=name, data_classes=classes) for name, classes in terms.items()})
    try:
        async with build(load(said, environ={}).config).balancer as balancer:
            yield gateway_of(balancer, keys), trusted, stranger
    finally:
        for each in (trusted, stranger):
            await each.stop()


def test_every_path_that_asks_is_tried() -> None:
    """Whichever comes later gets a body."""
    assert BODIES.keys() == ASKING.keys()


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("how", SAID)
async def test_nobody_is_shown_what_he_may_not_see(how: str, path: str, house: tuple[Gateway, Parrot, Parrot]) -> None:
    """Whole and streamed, again and again, whatever the other one answers; without the class it would have been shown."""
    gateway, trusted, stranger = house
    key, model, headers, metadata = SAID[how]

    async def ask(key: str, headers: dict[str, str], more: dict[str, Any]) -> None:
        for stream in (False, True) if path != "/v1/embeddings" else (False,):
            body = {**BODIES[path], "model": model, **({"stream": True} if stream else {}), **more}
            request = http("POST", path, json.dumps(body).encode(), authorization=f"Bearer {key}", **headers)
            await whole(await gateway.handle(request))

    for _ in range(3):
        await ask(key, headers, {"metadata": metadata} if metadata else {})
    assert trusted.asked
    assert stranger.asked == []
    if how != "route":
        for _ in range(3):
            await ask("anybody", {"cache_control": "no-store"}, {})
        assert stranger.asked

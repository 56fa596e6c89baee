"""Sandbox backends without pauses, on ports the kernel chooses, and a client for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from equipoise.http import ClientResponse, Pool
from equipoise.sandbox import SandboxBackend, seeded

Start = Callable[..., Awaitable["Peer"]]


class Peer:
    """A running backend and a connection pool to it."""

    def __init__(self, backend: SandboxBackend) -> None:
        self.backend, self.pool = backend, Pool(backend.url)

    async def call(self, method: str, path: str, content: Any = None, **headers: str) -> ClientResponse:
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await self.pool.request(method, path, headers=fields, body=body)

    async def json(self, method: str, path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
        response = await self.call(method, path, content, **headers)
        return response.status, json.loads(await response.read())

    async def text(self, method: str, path: str, content: Any = None, **headers: str) -> str:
        response = await self.call(method, path, content, **headers)
        return (await response.read()).decode()

    async def faults(self, **switched: Any) -> None:
        status, _ = await self.json("POST", "/__faults", switched)
        assert status == 200

    async def stats(self) -> dict[str, Any]:
        return (await self.json("GET", "/__stats"))[1]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start one of the default four by name, without pauses unless told otherwise."""
    peers: list[Peer] = []

    async def one(name: str, **changes: Any) -> Peer:
        profile = next(profile for profile in seeded(1) if profile.name == name)
        still = {"first_token": 0.0, "per_token": 0.0} | changes
        backend = SandboxBackend(msgspec.structs.replace(profile, **still))
        await backend.start()
        peers.append(Peer(backend))
        return peers[-1]

    yield one
    for peer in peers:
        await peer.pool.close()
        await peer.backend.stop()

"""A gateway with a migration over loopback sockets, built from a configuration as `serve` builds it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from equipoise.build import Estate, build
from equipoise.config.load import Loaded, load
from equipoise.gateway import Gateway
from equipoise.gateway.migrating import operations
from equipoise.http import Pool, Request, Response, Server
from equipoise.migration import Migration, from_config
from equipoise.migration.on_disk import file_check
from equipoise.sandbox import SandboxBackend, seeded

JSON = ((b"content-type", b"application/json"),)
QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "What is a metabolite?"}]}


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


class OldServer:
    """An old system's endpoint: remembers what it was sent, replies as it is told."""

    def __init__(self) -> None:
        self.reply: bytes = b'{"response": "the old words", "citations": ["https://example.org/old"]}'
        self.status, self.seen = 200, list[Request]()
        self._server = Server(self._handle)

    async def _handle(self, request: Request) -> Response:
        self.seen.append(request)
        return Response(self.status, JSON, self.reply)

    async def start(self) -> str:
        await self._server.start()
        return f"http://127.0.0.1:{self._server.port}"

    async def stop(self) -> None:
        await self._server.drain(0)


class Street:
    """Both sides and a gateway; `ask` is a client, `order` an operator."""

    def __init__(self, folder: Path, **section: Any) -> None:
        self.folder, self._section = folder, section
        self.file = folder / "equipoise.yaml"
        self.old = OldServer()
        profile = next(profile for profile in seeded(1) if profile.name == "general_llm")
        self.new = SandboxBackend(msgspec.structs.replace(profile, first_token=0.0, per_token=0.0))
        self.estate: Estate
        self.migration: Migration
        self._loaded: Loaded

    async def start(self) -> None:
        """Sides first."""
        await self.new.start()
        old = await self.old.start()
        self.file.write_text(json.dumps(self._configuration(old)))
        self._loaded = load(self.file)
        await self.open()

    async def open(self) -> None:
        """Build and serve the gateway."""
        self.estate = build(self._loaded.config)
        found = from_config(self._loaded.config, self.estate, configuration=file_check(self._loaded))
        assert found is not None
        self.migration = found
        await self.estate.balancer.start()
        gateway = self._gateway()
        self._servers = [Server(gateway.handle, admit=gateway.admit), Server(gateway.handle_admin)]
        for server in self._servers:
            await server.start()
        self.public, self.admin = (Pool(f"http://127.0.0.1:{server.port}") for server in self._servers)

    async def close(self) -> None:
        """The gateway only."""
        for pool in (self.public, self.admin):
            await pool.close()
        for server in self._servers:
            await server.drain(0)
        await self.estate.balancer.close()

    async def stop(self) -> None:
        """Everything."""
        await self.close()
        await self.new.stop()
        await self.old.stop()

    async def ask(self, session: str = "s", **more: Any) -> tuple[int, str | None, bytes]:
        """Status, side and body."""
        headers = [(b"content-type", b"application/json"), (b"x-equipoise-session", session.encode())]
        response = await self.public.request(
            "POST", "/v1/chat/completions", headers=headers, body=json.dumps(QUESTION | more).encode()
        )
        side = response.headers.get(b"x-equipoise-canary")
        return response.status, side and side.decode(), await response.read()

    async def order(self, path: str, body: dict[str, Any] | bytes | None = None) -> tuple[int, dict[str, Any]]:
        """GET without a body, POST with one."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        response = await self.admin.request(
            method, f"/admin/migration{path}", headers=[(b"content-type", b"application/json")], body=data
        )
        return response.status, json.loads(await response.read())

    def _configuration(self, old: str) -> dict[str, Any]:
        new = {
            "backend_type": "openai_direct",
            "endpoint_url": f"{self.new.url}/v1",
            "api_key": "sandbox",
            "model": "gpt-4o-mini",
            "price": {"input": 0.15, "output": 0.6},
        }
        section = {
            "incumbent": {"endpoint_url": f"{old}/ask", "question_field": "query", "extra_body": {"app": "lab"}},
            "hold_minutes": {},
            "criteria": {"quality_score_minimum": 0.0},  # the engine is no expert: this is about traffic
        }
        return {
            "backend_instances": {"new_llm": new},
            "state_dir": str(self.folder / "state"),
            "quality_sampling_rate": 0.0,
            "migration": section | self._section,
        }

    def _gateway(self) -> Gateway:
        ledger, metrics = self.estate.ledger, self.estate.metrics
        assert ledger is not None
        assert metrics is not None

        async def story(request_id: str) -> list[dict[str, Any]] | None:
            await ledger.flush()
            return await ledger.story(request_id)

        return Gateway(
            self.estate.balancer,
            story=story,
            metrics=metrics.render,
            ready=lambda: {"ledger": "ok"},
            operations=operations(self.migration),
        )


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    """A running one."""
    running = Street(tmp_path)
    await running.start()
    yield running
    await running.stop()

"""Sandbox backends, the real balancer with its ledger, and the real gateway, all over loopback sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from equipoise.build import Estate, build
from equipoise.config.load import load
from equipoise.gateway import ClientKeys, Gateway
from equipoise.http import ClientResponse, Pool, Server
from equipoise.sandbox import Faults, SandboxBackend, seeded

BILL = "/admin/ledger/summary"
BACKENDS: dict[str, dict[str, Any]] = {
    "graph_deep": {"backend_type": "lightrag", "price": {"input": 0.15, "output": 0.6}},
    "web_search": {"backend_type": "perplexity"},
    "general_llm": {"backend_type": "openai_direct", "model": "gpt-4o-mini", "price": {"input": 0.15, "output": 0.6}},
}


class Fleet:
    """Three backends of three kinds behind one gateway; `pool` and `admin` are clients of its two listeners."""

    def __init__(self, folder: Path, keys: ClientKeys | None = None, **config: Any) -> None:
        self._folder, self._keys, self._config = folder, keys, config
        self.backends: dict[str, SandboxBackend] = {}
        self._said: dict[str, dict[str, Any]] = {}
        self.estate: Estate
        self.pool: Pool
        self.admin: Pool
        self.url = ""

    def say(self, backend: str, **settings: Any) -> None:
        """Configure one backend further, before the start."""
        self._said[backend] = settings

    async def start(self) -> None:
        """Begin to listen, backends first."""
        for profile in seeded(1):
            if profile.name in BACKENDS:
                still = msgspec.structs.replace(profile, first_token=0.0, per_token=0.0)
                self.backends[profile.name] = SandboxBackend(still)
                await self.backends[profile.name].start()
        self.estate = self._estate()
        await self.estate.balancer.start()
        self.gateway = gateway = self._gateway()
        self._servers = [Server(gateway.handle, admit=gateway.admit), Server(gateway.handle_admin)]
        for server in self._servers:
            await server.start()
        urls = [f"http://127.0.0.1:{server.port}" for server in self._servers]
        self.url, self.pool, self.admin = urls[0], Pool(urls[0]), Pool(urls[1])

    async def stop(self) -> None:
        """End, clients first."""
        await self.pool.close()
        await self.admin.close()
        for server in self._servers:
            await server.drain(0)
        await self.estate.balancer.close()
        for backend in self.backends.values():
            await backend.stop()

    def break_all(self, **faults: Any) -> None:
        """Switch the same faults on everywhere."""
        for backend in self.backends.values():
            backend.set_faults(Faults(**faults))

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> ClientResponse:
        """Send JSON to the public listener."""
        fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await self.pool.request("POST", path, headers=fields, body=json.dumps(body).encode())

    async def get(self, path: str, pool: Pool | None = None) -> Any:
        """JSON from the public listener, or from another."""
        response = await (pool or self.pool).request("GET", path)
        return json.loads(await response.read())

    async def billed(self) -> str:
        """What the ledger holds in all, flushed, in exact dollars."""
        return str((await self.get(BILL, self.admin))["cost_usd"])

    def _configuration(self) -> dict[str, Any]:
        instances = {
            name: {"endpoint_url": self._endpoint(name), "api_key": "sandbox", **of, **self._said.get(name, {})}
            for name, of in BACKENDS.items()
        }
        return {
            "backend_instances": instances,
            "strategy": "round_robin",
            "state_dir": str(self._folder),
            "enable_real_time_monitoring": False,
            **self._config,
        }

    def _endpoint(self, name: str) -> str:
        return self.backends[name].url + ("/v1" if name == "general_llm" else "")

    def _estate(self) -> Estate:
        return build(load(self._configuration()).config)

    def _gateway(self) -> Gateway:
        ledger, metrics = self.estate.ledger, self.estate.metrics
        assert ledger is not None
        assert metrics is not None

        async def summary() -> dict[str, Any]:
            await ledger.flush()
            rows = await ledger.summary()
            total = sum(row["cost"] for row in rows)
            return {"cost_usd": f"{total // 10**9}.{total % 10**9:09d}", "backends": rows}

        async def story(request_id: str) -> list[dict[str, Any]] | None:
            await ledger.flush()
            return await ledger.story(request_id)

        return Gateway(
            self.estate.balancer,
            story=story,
            metrics=metrics.render,
            ready=lambda: {"ledger": "ok"},
            keys=self._keys,
            ledger_summary=summary,
        )

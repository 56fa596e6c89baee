"""Good backends, sick ones in front of them, Envoy as fault proxy, and the shipped gateway as a process before all."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Self

import msgspec

from bench.chaos import envoy
from equipoise.http import Pool, PoolLimits
from equipoise.sandbox import Faults, SandboxBackend, seeded
from tests.end_to_end.faults.sick import EARLY, LATE, Deaf, Sick, Watched
from tests.end_to_end.http.servers import free_port

KINDS: dict[str, dict[str, Any]] = {
    "lightrag": {"backend_type": "lightrag", "price": {"input": 0.15, "output": 0.6}},
    "perplexity": {"backend_type": "perplexity"},
    "sonar": {"backend_type": "perplexity", "api": "chat"},
    "openai": {"backend_type": "openai_direct", "model": "gpt-4o-mini", "price": {"input": 0.15, "output": 0.6}},
}
PROFILES = {"lightrag": "graph_deep", "perplexity": "web_search", "sonar": "web_search", "openai": "general_llm"}
SANDBOX: dict[str, dict[str, Any]] = {
    "garbage": {"garbage": True},
    "malformed": {"malformed": True},
    "unterminated": {"unterminated": True},
    "no context": {"no_context": True},
    **{f"error {status}": {"error_rate": 1.0, "error_status": status} for status in (500, 503, 529)},
    "throttled": {"throttle_rate": 1.0},
}
PATIENCE = {"timeout_seconds": 1.5, "first_byte_timeout_seconds": 0.6, "idle_timeout_seconds": 0.4}
RETRY = {"max_attempts": 6, "share": 1.0, "burst": 100_000}


DATA_CLASS = "patients"
FORBIDDEN = ("forbidden-beside", "forbidden-before")


class Estate:
    """`cells` has a route for every fault and kind: the sick backend is asked first, the healthy one when it failed.

    All questions are about patients. On every route there are also two that answer well and may not be told of those:
    `forbidden` are watched, one beside the sick backend and one before the healthy one.
    """

    def __init__(self, folder: Path, envoy_binary: str) -> None:
        self._folder, self._envoy = folder, envoy.Envoy(envoy_binary, folder)
        self._backends: list[SandboxBackend] = []
        self._sick: list[Sick] = []
        self.forbidden: list[Watched] = []
        self._deaf = Deaf()
        self._instances: dict[str, dict[str, Any]] = {}
        self._routes: dict[str, dict[str, Any]] = {}
        self.cells: dict[str, tuple[str, str]] = {}
        self.gateway: asyncio.subprocess.Process
        self.pool: Pool
        self.admin: Pool

    async def __aenter__(self) -> Self:
        healthy = await self._sandbox("healthy", "openai")
        for name in FORBIDDEN:
            await self._forbid(name, healthy.port)
        good = {kind: (await self._sandbox(f"good-{kind}", kind)).port for kind in KINDS}
        for kind, port in good.items():
            await self._sicken(kind, ("127.0.0.1", port))
        for kind, port in good.items():  # Envoy's ports and dead ones are chosen when nobody else needs a port any more
            self._route("refused", kind, free_port())
            self._route("never connects", kind, self._deaf.port)
            for name, proxied in self._envoy.before(port, free_port()).items():
                self._route(f"envoy: {name}", kind, proxied)
        await self._envoy.start()
        await self._serve()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.pool.close()
        await self.admin.close()
        self.gateway.terminate()
        await self.gateway.wait()
        await self._envoy.stop()
        for each in (*self._sick, *self.forbidden, *self._backends, self._deaf):
            await each.stop()

    async def billed(self) -> int:
        """All the ledger holds, in nano-dollars."""
        response = await self.admin.request("GET", "/admin/ledger/summary")
        return int(json.loads(await response.read())["cost_usd"].replace(".", ""))

    async def in_flight(self) -> int:
        """Leases that nobody has settled."""
        response = await self.admin.request("GET", "/admin/backends")
        found = json.loads(await response.read())
        return int(found["in_flight"]) + sum(row["in_flight"] for row in found["backends"])

    async def _sicken(self, kind: str, good: tuple[str, int]) -> None:
        for name, act in (EARLY | LATE).items():
            sick = Sick(act, good)
            await sick.start()
            self._sick.append(sick)
            self._route(name, kind, sick.port)
        for name, faults in SANDBOX.items():
            spoilt = await self._sandbox("", kind)
            spoilt.set_faults(Faults(**faults))
            self._route(name, kind, spoilt.port)

    async def _forbid(self, name: str, good: int) -> None:
        watched = Watched(("127.0.0.1", good))
        await watched.start()
        self.forbidden.append(watched)
        self._instance(name, "openai", watched.port)
        del self._instances[name]["allows"]

    def _route(self, fault: str, kind: str, port: int) -> None:
        name = re.sub(r"[^a-z0-9]+", "-", f"{fault} {kind}")
        self._instance(name, kind, port)
        self.cells[f"try-{name}"] = (fault, kind)
        beside, before = FORBIDDEN
        self._routes[f"try-{name}"] = {"backends": [name, beside], "fallback": [before, "healthy"]}

    def _instance(self, name: str, kind: str, port: int) -> None:
        url = f"http://127.0.0.1:{port}" + ("/v1" if kind == "openai" else "")
        self._instances[name] = {
            "endpoint_url": url,
            "api_key": "sandbox",
            "allows": [DATA_CLASS],
            **PATIENCE,
            **KINDS[kind],
        }

    async def _sandbox(self, name: str, kind: str) -> SandboxBackend:
        (profile,) = [each for each in seeded(1) if each.name == PROFILES[kind]]
        backend = SandboxBackend(msgspec.structs.replace(profile, first_token=0.0, per_token=0.0))
        await backend.start()
        self._backends.append(backend)
        if name:
            self._instance(name, kind, backend.port)
        return backend

    async def _serve(self) -> None:
        config = self._folder / "equipoise.json"
        config.write_text(json.dumps(self._configuration()))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EQUIPOISE_")}
        with (self._folder / "gateway.log").open("wb") as log:
            self.gateway = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "equipoise", "serve", "-c", str(config), "--port", "0",
                env=environ, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.gateway.stdout is not None
        lines = [(await self.gateway.stdout.readline()).decode() for _ in range(2)]
        found = [re.search(r"http://[\d.:]+", line) for line in lines]
        urls = [each[0] for each in found if each]
        assert len(urls) == 2, (self._folder / "gateway.log").read_text()
        self.pool, self.admin = (Pool(url, limits=PoolLimits(connections=1_000)) for url in urls)

    def _configuration(self) -> dict[str, Any]:
        return {
            "backend_instances": self._instances,
            "routes": self._routes,
            "state_dir": str(self._folder),
            "enable_real_time_monitoring": False,
            "global_circuit_breaker_enabled": False,
            "minimum_quality_threshold": 0.0,
            "retry": RETRY,
            "log": {"level": "warning"},
        }

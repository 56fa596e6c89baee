"""One backend as an object: connect, ask, look how it is. What cannot be known is None, never invented.

Right where the earlier system was wrong: requests are sent; a failure counts for the circuit breaker; LightRAG's key goes
into X-API-Key and its health comes from the paths that exist; Perplexity's health check is free (`GET /v1/models`), no paid
completion; `openai_direct` and `local_llm` have clients; a POST that may have been billed is not sent twice on a guess.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

from equipoise.backends.base import BackendError, ProbeResult
from equipoise.backends.probing import RecentProbe
from equipoise.backends.transport import endpoint
from equipoise.balancer import LoadBalancer
from equipoise.core.backend import Backend
from equipoise.core.limit import RateLimit
from equipoise.core.model import Verdict
from equipoise.core.policies import specified
from equipoise.http import ClientResponse, Pool, PoolLimits, Timeouts
from equipoise.swap import Swappable

from ._answers import QUOTA, ask
from ._translation import to_equipoise
from ._values import BackendInstanceConfig, BackendType, ProductionLoadBalancingConfig


class BaseBackendClient:
    """One backend. Alone it has a balancer of its own; as part of a fleet it shares the fleet's breaker and limits."""

    specified_keys: tuple[str, ...] = ()

    def __init__(self, config: BackendInstanceConfig, fleet: Swappable | None = None) -> None:
        self.config, self._fleet, self._alone = config, fleet, fleet is None
        self._recent = RecentProbe(lambda: self.balancer.clients[self.config.id])

    @property
    def balancer(self) -> LoadBalancer:
        """Whoever sends the questions; made when first needed."""
        if self._fleet is None:
            alone = ProductionLoadBalancingConfig(backend_instances={self.config.id: self.config})
            self._fleet = Swappable(to_equipoise(alone))
        return self._fleet.balancer

    @property
    def backend(self) -> Backend:
        """What is known of it."""
        return self.balancer.selection.backends[self.config.id]

    async def connect(self) -> None:
        """Be ready; connections are opened when first needed."""
        _ = self.balancer

    async def disconnect(self) -> None:
        """Close the connections; a later question opens new ones."""
        if self._alone and self._fleet is not None:
            await self._fleet.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.disconnect()

    async def send_query(self, query: str, **options: Any) -> dict[str, Any]:
        """Ask; the result says `success` and, if so, `text`, `response`, tokens, cost and time; never raises for failures."""
        return await ask(self.balancer, self.config.id, query, options)

    async def health_check(self) -> tuple[bool, float, dict[str, Any]]:
        """Is it there, in how many milliseconds, and what does it tell of itself? Free of charge; kept for 30 seconds."""
        result = await self._recent.look()
        if self._alone:
            self.balancer.selection.probed(
                self.config.id, healthy=result.healthy, error=result.error, details=result.details
            )
        details = dict.fromkeys(self.specified_keys) | (await self._details(result) if result.healthy else {})
        if result.error is not None:
            details["error"] = result.error
        return result.healthy, specified.milliseconds(result.seconds), details

    async def _details(self, result: ProbeResult) -> dict[str, Any]:
        return dict(result.details)


class PerplexityBackendClient(BaseBackendClient):
    """One Perplexity account. The list of models is open to anyone: that it comes proves nothing about the key."""

    specified_keys = ("models_available", "api_version", QUOTA)

    async def _details(self, result: ProbeResult) -> dict[str, Any]:
        told = result.details
        return {"models_available": told.get("models"), "api_version": told.get("api_version"), QUOTA: told.get(QUOTA)}

    async def get_quota_status(self) -> dict[str, Any]:
        """What is known of limits: what the account said last, what is configured, and whether it refuses or throttles."""
        _, _, details = await self.health_check()
        breaker = self.backend.breaker
        return {
            QUOTA: details[QUOTA],
            "max_requests_per_minute": self.config.max_requests_per_minute,
            "throttled": self.backend.room(self.balancer.selection.clock.monotonic()),
            "refused": breaker.reason if breaker.refused else None,
        }


class LightRAGBackendClient(BaseBackendClient):
    """One LightRAG server.

    `graph_db`, `embeddings` and `llm` are what `/health` tells (to who has the key) with `working`: True when the last
    question was answered with them, False when it was not, None before any. LightRAG tells nothing of its `memory`.
    """

    specified_keys = ("graph_db", "embeddings", "llm", "documents", "memory")

    async def _details(self, result: ProbeResult) -> dict[str, Any]:
        told, working = result.details, self._working()
        graph = {"storage": told.get("graph_storage"), "vectors": told.get("vector_storage")}
        return {
            "graph_db": {**graph, "working": working},
            "embeddings": {**_engine(told, "embedding"), "working": working},
            "llm": {**_engine(told, "llm"), "working": working},
            "documents": await self._documents(),
            "memory": None,
            **{name: told.get(name) for name in ("status", "core_version", "api_version", "pipeline_busy", "key")},
        }

    def _working(self) -> bool | None:
        last = self.backend.last_verdict
        return None if last in (None, Verdict.THROTTLED, Verdict.REFUSED) else last is Verdict.SUCCESS

    async def _documents(self) -> dict[str, Any] | None:
        """How many documents are in which state; None when the server does not say (an older one, a missing key)."""
        try:
            return dict(await self.balancer.clients[self.config.id].details())  # type: ignore[attr-defined]
        except BackendError:
            return None

    async def get_service_info(self) -> dict[str, Any]:
        """Everything the server tells of itself."""
        result = await self._recent.look()
        return {**result.details, "healthy": result.healthy, "error": result.error}


def _engine(told: Any, name: str) -> dict[str, Any]:
    parts = {"binding": f"{name}_binding", "model": f"{name}_model", "queue": f"{name}_queue_status"}
    return {part: told.get(field) for part, field in parts.items()}


class OpenAIBackendClient(BaseBackendClient):
    """OpenAI (`openai_direct`)."""

    specified_keys = ("models",)


class LocalLLMBackendClient(OpenAIBackendClient):
    """A server of one's own that speaks as OpenAI does (`local_llm`)."""


CLIENTS: dict[BackendType, type[BaseBackendClient]] = {
    BackendType.PERPLEXITY: PerplexityBackendClient,
    BackendType.LIGHTRAG: LightRAGBackendClient,
    BackendType.OPENAI_DIRECT: OpenAIBackendClient,
    BackendType.LOCAL_LLM: LocalLLMBackendClient,
    BackendType.FUNCTION: BaseBackendClient,
}


class ConnectionPool:
    """Connections to one backend, with the documented bounds: 20 a host, kept alive for 30 seconds."""

    def __init__(
        self, config: BackendInstanceConfig, *, connections: int = 20, keepalive_seconds: float = 30.0
    ) -> None:
        self.config = config
        self._origin, self._base = endpoint(config.endpoint_url)
        self._limits = PoolLimits(connections=connections, keep_alive=keepalive_seconds)
        self._rate = RateLimit(config.max_requests_per_minute) if config.max_requests_per_minute else None
        self._session: Pool | None = None

    async def create_session(self) -> Pool:
        """Open a pool, in place of the present one."""
        await self.close_session()
        self._session = Pool(self._origin, limits=self._limits)
        return self._session

    async def get_session(self) -> Pool:
        """The pool, opened when there is none."""
        return self._session or await self.create_session()

    async def close_session(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def rate_limited_request(self, method: str, path: str, **options: Any) -> ClientResponse:
        """One request, sent when `max_requests_per_minute` allows it; 5 seconds to connect, 10 between bytes, 30 in all."""
        session, loop = await self.get_session(), asyncio.get_running_loop()
        if self._rate is not None:
            while pause := self._rate.seconds_until_free(loop.time()):  # noqa: ASYNC110 - others may be quicker
                await asyncio.sleep(pause)
            self._rate.take(loop.time())
        options.setdefault("timeouts", Timeouts(connect=5.0, first_byte=30.0, between_bytes=10.0, total=30.0))
        return await session.request(method, f"{self._base}{path}", **options)

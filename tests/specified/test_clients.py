"""Clients, connections, circuit breaker and metrics on their own."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.http import Request, Response, Server
from equipoise.sandbox import Faults
from lightrag_integration.production_load_balancer import (
    BackendInstanceConfig,
    BackendMetrics,
    BackendType,
    CircuitBreakerState,
    ConnectionPool,
    HealthStatus,
    LightRAGBackendClient,
    LocalLLMBackendClient,
    OpenAIBackendClient,
    PerplexityBackendClient,
    ProductionCircuitBreaker,
)
from tests.specified.conftest import QUESTION, Start, backend_config

TOLD = ((b"content-type", b"application/json"), (b"api-version", b"2026-09"), (b"x-ratelimit-remaining", b"41"))


async def test_lightrags_health_is_told_in_the_specified_keys(start: Start) -> None:
    """Storage, engines and documents as the server tells; whether they work, as answers showed; memory is not told."""
    engine = await start("lightrag")
    async with LightRAGBackendClient(backend_config("graph", "lightrag", engine)) as client:
        healthy, milliseconds, before = await client.health_check()
        assert (healthy, milliseconds > 0) == (True, True)
        assert before.keys() >= {"graph_db", "embeddings", "llm", "documents", "memory"}
        assert before["documents"]["processed"] == before["documents"]["all"] > 0
        assert (before["graph_db"]["storage"], before["graph_db"]["working"]) == ("NetworkXStorage", None)
        assert before["memory"] is None
        assert (await client.send_query(QUESTION))["success"]
        assert (await client.health_check())[2]["llm"]["working"] is True
        engine.set_faults(Faults(no_context=True))
        assert not (await client.send_query(QUESTION))["success"]
        assert (await client.health_check())[2]["llm"]["working"] is False
        assert (await client.get_service_info())["core_version"] == "1.5.7"


async def test_a_health_check_is_kept_for_a_while(start: Start) -> None:
    """Two looks within 30 seconds are one probe."""
    engine = await start("perplexity")
    async with PerplexityBackendClient(backend_config("web", "perplexity", engine)) as client:
        first, second = await client.health_check(), await client.health_check()
    assert first == second
    assert engine.stats.by_path == {"/v1/models": 1}


async def test_a_dead_backend_is_unhealthy_with_a_reason_and_nothing_invented() -> None:
    """All specified keys are there, and None."""
    config = BackendInstanceConfig("graph", BackendType.LIGHTRAG, "http://127.0.0.1:1", "k")
    async with LightRAGBackendClient(config) as client:
        healthy, _, details = await client.health_check()
    assert healthy is False
    assert details.pop("error")
    assert details == dict.fromkeys(("graph_db", "embeddings", "llm", "documents", "memory"))


async def test_perplexitys_version_and_quota_are_told_when_it_tells_them() -> None:
    """From the headers of its free list of models; absent ones are None."""

    async def models(request: Request) -> Response:
        return Response(200, TOLD if request.path == "/v1/models" else (), b'{"object": "list", "data": [{"id": "m"}]}')

    server = Server(models)
    await server.start("127.0.0.1", 0)
    config = BackendInstanceConfig("web", BackendType.PERPLEXITY, f"http://127.0.0.1:{server.port}", "pplx-key")
    async with PerplexityBackendClient(config) as client:
        _, _, details = await client.health_check()
        quota = await client.get_quota_status()
    await server.drain(0.0)
    assert details == {"models_available": 1, "api_version": "2026-09", "rate_limit_remaining": "41"}
    assert quota == {"rate_limit_remaining": "41", "max_requests_per_minute": 100, "throttled": None, "refused": None}


async def test_a_refused_key_is_told_by_the_quota_status(start: Start) -> None:
    """A wrong key is no bad luck: the reason stays."""
    engine = await start("perplexity")
    async with PerplexityBackendClient(backend_config("web", "perplexity", engine, api_key="wrong")) as client:
        result = await client.send_query(QUESTION)
        assert (result["success"], result["http_status"]) == (False, 401)
        assert (await client.get_quota_status())["refused"]


@pytest.mark.parametrize("client", [OpenAIBackendClient, LocalLLMBackendClient])
async def test_openai_compatible_clients_answer_and_tell_their_models(start: Start, client: type) -> None:
    """Connect, ask, look, disconnect; and it can be used again."""
    kind = "openai_direct" if client is OpenAIBackendClient else "local_llm"
    it = client(backend_config("a", kind, await start(kind)))
    for _ in range(2):
        await it.connect()
        assert (await it.send_query(QUESTION))["success"]
        healthy, _, details = await it.health_check()
        assert (healthy, details["models"] > 0) == (True, True)
        await it.disconnect()


async def test_connections_are_made_kept_and_closed(start: Start) -> None:
    """One session until another is wanted; requests wait for the rate limit."""
    engine = await start("lightrag")
    pool = ConnectionPool(backend_config("graph", "lightrag", engine, max_requests_per_minute=2))
    session = await pool.get_session()
    assert await pool.get_session() is session
    for _ in range(2):
        response = await pool.rate_limited_request("GET", "/health")
        assert (response.status, b"healthy" in await response.read()) == (200, True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await pool.rate_limited_request("GET", "/health")
    assert await pool.create_session() is not session
    await pool.close_session()


def breaker(**fields: object) -> ProductionCircuitBreaker:
    return ProductionCircuitBreaker(BackendInstanceConfig("a", BackendType.LIGHTRAG, "http://x:1", "k", **fields))  # type: ignore[arg-type]


def test_a_run_of_failures_opens_and_one_success_ends_a_run() -> None:
    """Four failures, a success and a failure are no five failures."""
    it = breaker()
    for _ in range(4):
        assert it.should_allow_request()
        it.record_failure("boom", 5.0)
    it.record_success(10.0)
    it.record_failure("boom")
    assert (it.state, it.failure_count) == (CircuitBreakerState.CLOSED, 1)
    for _ in range(4):
        it.record_failure("boom", error_type="server_error")
    assert it.state is CircuitBreakerState.OPEN
    assert it.should_allow_request() is False
    assert it.get_metrics()["failure_rate"] == 0.9
    it.reset()
    assert (it.state, it.get_metrics()["failure_rate"]) == (CircuitBreakerState.CLOSED, None)


async def test_half_open_admits_as_many_as_configured_and_closes_when_they_succeed() -> None:
    """Slots are counted when given: of a hundred, two get through."""
    it = breaker(failure_threshold=1, recovery_timeout_seconds=0.01, half_open_max_requests=2)
    it.record_failure("boom")
    await asyncio.sleep(0.05)
    assert sum(it.should_allow_request() for _ in range(100)) == 2
    assert it.state is CircuitBreakerState.HALF_OPEN
    it.record_success(1.0)
    it.record_success(1.0)
    assert it.state is CircuitBreakerState.CLOSED


def test_three_timeouts_in_a_row_open_and_slowness_does_too() -> None:
    """Before the threshold of failures: a backend that hangs costs its callers most."""
    it = breaker(failure_threshold=50)
    for error in ("timeout", "timeout"):
        it.record_failure("late", error_type=error)
    it.record_failure(TimeoutError())
    assert it.state is CircuitBreakerState.OPEN
    slow = breaker(expected_response_time_ms=100.0)
    for _ in range(9):
        slow.record_success(400.0)
    assert slow.state is CircuitBreakerState.CLOSED
    slow.record_success(400.0)
    assert slow.state is CircuitBreakerState.OPEN


def test_a_switched_off_breaker_never_opens() -> None:
    """Neither by failures nor by timeouts."""
    it = breaker(circuit_breaker_enabled=False)
    for _ in range(20):
        it.record_failure(TimeoutError())
    assert it.should_allow_request()


def test_the_health_score_is_the_specified_formula() -> None:
    """0.30 availability, 0.25 speed, 0.25 no errors, 0.15 quality, 0.05 idle; 0 when unhealthy."""
    metrics = BackendMetrics("a", HealthStatus.HEALTHY, 1000.0, 0.1, 90.0, 0.8, cpu_usage_percent=40.0)
    assert metrics.calculate_health_score() == pytest.approx(0.77)
    metrics.health_status = HealthStatus.UNHEALTHY
    assert metrics.calculate_health_score() == 0.0

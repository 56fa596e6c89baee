"""From what the operator said of one upstream: what is remembered of it, and the client that speaks to it."""

from __future__ import annotations

import ssl
from typing import Any

from equipoise.backends import make_client
from equipoise.backends.base import BackendClient
from equipoise.backends.transport import Patience, endpoint
from equipoise.build.objects import function_named
from equipoise.build.prices import price_of
from equipoise.config import BackendConfig, Config
from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerOptions
from equipoise.core.model import BackendType, Chance, Clock
from equipoise.http import Pool, PoolLimits, client_context

MOST_CONNECTIONS = 1024
MODELS = ("/models", "/v1/models", "/health")
OWN_PROBES = {
    BackendType.LIGHTRAG: ("/health",),
    BackendType.PERPLEXITY: MODELS,
    BackendType.OPENAI_DIRECT: MODELS,
    BackendType.LOCAL_LLM: MODELS,
}
"""Paths by which an operator means the probe that this kind has anyway; the specification's among them."""
LEAST_CONNECTIONS = 100  # the specification's floor


def model_of(of: BackendConfig) -> str:
    """What answers there, as far as it is known before an answer: a graph goes by its way of searching."""
    graph = f"lightrag/{of.mode}" if of.backend_type is BackendType.LIGHTRAG else ""
    return of.model or of.preset or graph


def backend_of(name: str, of: BackendConfig, config: Config, chance: Chance, clock: Clock) -> Backend:
    """What is remembered of one upstream, from what the operator said of it."""
    breaker = BreakerOptions(
        enabled=of.circuit_breaker_enabled and config.global_circuit_breaker_enabled,
        failure_threshold=of.failure_threshold,
        failure_rate=of.failure_rate_threshold,
        slow_pace=of.slow_call_factor,
        recovery_seconds=of.recovery_timeout_seconds,
        half_open_probes=of.half_open_max_requests,
    )
    options = BackendOptions(
        id=name,
        type=of.backend_type,
        model=model_of(of),
        weight=of.weight,
        priority=of.priority,
        region=of.region,
        corpus=of.corpus,
        llm_via=of.llm_via,
        allows=frozenset(of.allows),
        price=price_of(of, config.default_price),
        quality=of.quality_score,
        reliability=of.reliability_score,
        expected_seconds=of.expected_response_time_ms / 1000,
        timeout=of.timeout_seconds,
        supports=frozenset(of.supports),
        context_tokens=of.context_length,
        max_concurrent=of.max_concurrent_requests,
        per_minute=of.max_requests_per_minute,
        tokens_per_minute=of.max_tokens_per_minute,
        probe_threshold=of.consecutive_failures_threshold,
        breaker=breaker,
    )
    backend = Backend(options, chance, clock.monotonic())
    if of.drained:
        backend.drain()
    return backend


def client_of(of: BackendConfig) -> BackendClient:
    """The client that speaks to one upstream."""
    if of.backend_type is BackendType.FUNCTION:
        return make_client(of.backend_type, function=function_named(of.function or ""))
    return make_client(
        of.backend_type,
        endpoint_url=of.endpoint_url,
        api_key=of.api_key.reveal() if of.api_key else None,
        options=_options(of),
        headers={name: value.reveal() for name, value in of.headers.items()},
        pool=pool_of(of),
        patience=Patience(first_byte=of.first_byte_timeout_seconds, idle=of.idle_timeout_seconds),
        probe_timeout=of.health_check_timeout_seconds,
        probe_path=None if of.health_check_path in OWN_PROBES[of.backend_type] else of.health_check_path,
        **_own_options(of),
    )


def _options(of: BackendConfig) -> dict[str, Any]:
    """Fields for every request. LightRAG is asked for the passages it used: its cost is estimated from them."""
    if of.backend_type is BackendType.LIGHTRAG:
        return {"include_chunk_content": True, **of.extra_body}
    return dict(of.extra_body)


def _own_options(of: BackendConfig) -> dict[str, Any]:
    """What only one kind of client takes."""
    match of.backend_type:
        case BackendType.LIGHTRAG:
            return {"mode": of.mode, "deep_probe": of.deep_probe}
        case BackendType.PERPLEXITY if of.api == "agent":
            return {"model": of.model, "preset": of.preset, "api": of.api}
        case BackendType.PERPLEXITY:
            return {"model": of.model, "api": of.api}
        case _:
            return {"model": of.model}


def pool_of(of: BackendConfig) -> Pool:
    """The connections to one upstream."""
    origin, _ = endpoint(str(of.endpoint_url))
    tls: ssl.SSLContext | None = client_context(of.ca_file) if of.ca_file else None
    connections = max(LEAST_CONNECTIONS, of.max_concurrent_requests or MOST_CONNECTIONS)
    return Pool(origin, limits=PoolLimits(connections=connections), tls=tls)

"""Upstreams: one file per kind, all behind `BackendClient`, and one table that makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from equipoise.backends.base import BackendClient
from equipoise.backends.function import FunctionClient
from equipoise.backends.lightrag import LightRAGClient
from equipoise.backends.openai import OpenAIClient
from equipoise.backends.perplexity import PerplexityClient
from equipoise.backends.perplexity_chat import PerplexityChatClient
from equipoise.core.model import BackendType

LOCAL_ENDPOINT: Final = "http://127.0.0.1:11434"
"""Where Ollama listens."""


def perplexity(*, api: Literal["agent", "chat"] = "agent", **options: Any) -> BackendClient:
    """The client for one of Perplexity's two APIs; raises ValueError for another."""
    if api not in ("agent", "chat"):
        raise ValueError(f"Perplexity's api is 'agent' or 'chat', not {api!r}")
    return PerplexityClient(**options) if api == "agent" else PerplexityChatClient(**options)


def local_llm(endpoint_url: str = LOCAL_ENDPOINT, **options: Any) -> BackendClient:
    """The client for an OpenAI-compatible server of one's own."""
    return OpenAIClient(endpoint_url, local=True, **options)


CLIENTS: Final[dict[BackendType, Callable[..., BackendClient]]] = {
    BackendType.LIGHTRAG: LightRAGClient,
    BackendType.PERPLEXITY: perplexity,
    BackendType.OPENAI_DIRECT: OpenAIClient,
    BackendType.LOCAL_LLM: local_llm,
    BackendType.FUNCTION: FunctionClient,
}


def make_client(backend_type: str, **options: Any) -> BackendClient:
    """Make the client of one kind from its constructor's arguments; raises ValueError for an unknown kind or option."""
    return CLIENTS[BackendType(backend_type)](**options)


__all__ = [
    "CLIENTS",
    "BackendClient",
    "FunctionClient",
    "LightRAGClient",
    "OpenAIClient",
    "PerplexityChatClient",
    "PerplexityClient",
    "make_client",
]

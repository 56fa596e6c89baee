"""LightRAG's keys and the paths that cost nothing: health, key check, authentication status."""

from __future__ import annotations

from typing import Any

from equipoise.http import Request
from equipoise.sandbox.script import Refusal, Script, Turn, bearer, document

VERSIONS = {"core_version": "1.5.7", "api_version": "0344"}
AUTH_STATUS: dict[str, Any] = {
    "auth_configured": False,
    "access_token": "sandbox-guest-token",
    "token_type": "bearer",
    "auth_mode": "disabled",
    "message": "Authentication is disabled. Using guest access.",
    **VERSIONS,
}


def authenticated(request: Request, turn: Turn) -> None:
    """Raise Refusal unless `X-API-Key` is right; a bearer token must be a JWT, which the sandbox never issues."""
    if not turn.profile.api_key:
        return
    if bearer(request):
        raise Refusal(document({"detail": "Invalid token"}, status=401))
    key = request.headers.get(b"x-api-key", b"").decode("latin-1")
    if key != turn.profile.api_key:
        detail = "Invalid API Key" if key else "API Key required"
        raise Refusal(document({"detail": detail}, status=403))


def verified(request: Request, turn: Turn) -> Script:
    """GET /auth/verify: is the key right?"""
    authenticated(request, turn)
    return document({"status": "ok"})


def health(request: Request, turn: Turn) -> Script:
    """GET /health: always 200 and healthy; with the right key it tells of configuration and queues too."""
    public: dict[str, Any] = {
        "status": "healthy",
        "auth_mode": "disabled",
        **VERSIONS,
        "webui_available": False,
        "workspace_available": True,
        "api_docs_available": True,
        "webui_title": "Sandbox",
        "webui_description": None,
        "ai_content_notice_enabled": False,
        "pipeline_busy": False,
        "pipeline_active": False,
    }
    return document(public | _private(turn) if _knows_key(request, turn) else public)


def _knows_key(request: Request, turn: Turn) -> bool:
    return request.headers.get(b"x-api-key", b"").decode("latin-1") == turn.profile.api_key


def _private(turn: Turn) -> dict[str, Any]:
    return {
        "configuration": {
            "llm_binding": "openai",
            "llm_model": turn.profile.model,
            "embedding_binding": "openai",
            "kv_storage": "JsonKVStorage",
            "vector_storage": "NanoVectorDBStorage",
            "graph_storage": "NetworkXStorage",
            "workspace": turn.profile.name,
        },
        "llm_queue_status": {"query": _queue(), "keyword": _queue()},
        "embedding_queue_status": _queue(),
        "capabilities": {"query_data": True},
    }


def _queue() -> dict[str, int]:
    names = ("queued", "running", "in_flight", "completed_total", "failed_total", "rejected_total")
    return dict.fromkeys(names, 0) | {"max_async": 4}

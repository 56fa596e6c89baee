"""What can be asked over HTTP, as OpenAPI 3.1; the bodies' schemas are made from the types that read them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec

import equipoise
from equipoise.gateway import (
    alerting,
    auditing,
    backends,
    breakers,
    budgeting,
    canarying,
    configuring,
    costs,
    explaining,
    feedback,
    hints,
    idempotency,
    learning,
    migrating,
    purging,
    quality,
)
from equipoise.gateway.dialects.base import encode
from equipoise.gateway.dialects.chat import ChatBody
from equipoise.gateway.dialects.embeddings import EmbeddingsBody
from equipoise.gateway.dialects.lightrag import QueryBody
from equipoise.gateway.dialects.responses import ResponsesBody

Document = dict[str, Any]
PATH = "/openapi.json"
JSON, TEXT, SSE, NDJSON = "application/json", "text/plain", "text/event-stream", "application/x-ndjson"


class Operation(NamedTuple):
    """One method of one path: what it is for, the body it reads, the kinds it answers with, the errors of its own."""

    method: str
    path: str
    summary: str
    body: type | None = None
    kinds: tuple[str, ...] = (JSON,)
    errors: tuple[int, ...] = ()
    open: bool = False


ASKED = (400, 401, 404, 408, 409, 413, 422, 429, 502, 503, 504)
PUBLIC = (
    Operation("post", "/v1/chat/completions", "Answer in OpenAI's chat form.", ChatBody, (JSON, SSE), ASKED),
    Operation("post", "/chat/completions", "The same, for Perplexity's clients.", ChatBody, (JSON, SSE), ASKED),
    Operation("post", "/v1/embeddings", "Vectors in OpenAI's form.", EmbeddingsBody, (JSON,), ASKED),
    Operation("post", "/v1/responses", "Answer in OpenAI's Responses form.", ResponsesBody, (JSON, SSE), ASKED),
    Operation("post", "/v1/agent", "Answer in Perplexity's agent form.", ResponsesBody, (JSON, SSE), ASKED),
    Operation("post", "/query", "Answer in LightRAG's form.", QueryBody, (JSON,), ASKED),
    Operation("post", "/query/stream", "The same as lines of JSON.", QueryBody, (NDJSON, JSON), ASKED),
    Operation(
        "post", explaining.PUBLIC, "Who would be asked, and why; asks nobody.",
        explaining.ExplainBody, (JSON,), (400, 401, 404, 413, 422),
    ),
    Operation(
        "post", feedback.PATH, "Say how good an answer was.", feedback.FeedbackBody, (JSON,), (400, 401, 404, 413, 503)
    ),
    Operation("get", "/v1/models", "Every model name that can be asked for.", None, (JSON,), (401,)),
    Operation("get", "/v1/models/{model}", "One of them.", None, (JSON,), (401, 404)),
    Operation(
        "get", "/v1/requests/{request_id}", "One request's whole story: attempts, decisions, cost.",
        None, (JSON,), (401, 404, 503),
    ),
    Operation("get", "/me/usage", "What this key has used, and its limits.", None, (JSON,), (401, 404, 503)),
)  # fmt: skip
PROBES = (
    Operation("get", "/livez", "The process runs.", None, (TEXT,), (), True),
    Operation("get", "/readyz", "It may be sent questions; ?verbose lists every check.", None, (TEXT,), (503,), True),
    Operation(
        "get", "/health", "Checks, backends and configuration; details only with a key.", None, (JSON,), (503,), True
    ),
    Operation("get", "/metrics", "Prometheus' text form.", None, (TEXT,), (), True),
    Operation("get", PATH, "This document.", None, (JSON,), (), True),
)
MIGRATED = (400, 404, 503)
STEERED = (400, 404, 409, 503)
ADMIN = (
    Operation("get", "/admin/backends", "The backends as rows."),
    Operation("post", "/admin/backends/{id}/drain", "Give a backend no new questions.", None, (JSON,), (403, 404)),
    Operation("post", "/admin/backends/{id}/resume", "Take a drained backend back.", None, (JSON,), (403, 404)),
    Operation(
        "post",
        "/admin/backends/{id}/open-breaker",
        "Ask a backend nothing, for so long or until its breaker is closed.",
        breakers.OpenBody,
        (JSON,),
        (400, 403, 404),
    ),
    Operation("post", "/admin/backends/{id}/close-breaker", "Trust a backend again.", None, (JSON,), (403, 404)),
    Operation(
        "post",
        "/admin/backends/{id}/weight",
        "Change a backend's weight.",
        configuring.WeightBody,
        (JSON,),
        (400, 403, 404),
    ),
    Operation(
        "post", "/admin/backends/{id}/add", "Add a backend.", backends.SettingsBody, (JSON,), (400, 401, 403, 409)
    ),
    Operation(
        "post",
        "/admin/backends/{id}/update",
        "Change fields of a backend.",
        backends.SettingsBody,
        (JSON,),
        (400, 401, 403, 404, 409),
    ),
    Operation(
        "post",
        "/admin/backends/{id}/remove",
        "Take a backend away.",
        configuring.DoBody,
        (JSON,),
        (400, 401, 403, 404, 409),
    ),
    Operation("get", "/admin/config_dump", "Every effective value, masked, and where it came from."),
    Operation(
        "post", configuring.RELOAD, "Read file and environment again.", configuring.DoBody, (JSON,), (400, 403, 409)
    ),
    Operation(
        "post", configuring.CHANGE, "Change single values.", configuring.ChangeBody, (JSON,), (400, 403, 404, 409)
    ),
    Operation(
        "post", configuring.SAVE, "Write the changes into the file.", configuring.DoBody, (JSON,), (400, 403, 409)
    ),
    Operation("get", budgeting.LIST, "What may be spent, and what was."),
    Operation("post", budgeting.SET, "Change a budget's limit.", budgeting.SetBody, (JSON,), (400, 403, 404, 503)),
    Operation("post", budgeting.RESET, "Forget what was spent.", budgeting.ResetBody, (JSON,), (400, 403, 404, 503)),
    Operation("get", purging.LIST, "The answers that are kept, without their words."),
    Operation("post", purging.PURGE, "Let go of kept answers.", purging.PurgeBody, (JSON,), (400, 403)),
    Operation("post", explaining.EXPLAIN, "Who would be asked, and why.", explaining.ExplainBody, (JSON,), (400, 404)),
    Operation("get", "/admin/ledger/summary", "The bill.", None, (JSON,), (404, 503)),
    Operation("get", quality.QUALITY, "Quality, cost and quality per dollar.", None, (JSON,), (400, 404, 503)),
    Operation(
        "get",
        costs.COSTS,
        "What was spent, against two alternatives; ?since, until, by, format=csv.",
        None,
        (JSON, "text/csv"),
        (400, 404, 503),
    ),
    Operation("get", learning.LEARNING, "What is believed of each backend, and the learned weights."),
    Operation("get", auditing.AUDIT, "What people did; ?since, who, limit.", None, (JSON,), (400, 401, 503)),
    Operation("get", "/admin/stats", "Uptime and load."),
    Operation("get", alerting.ALERTS, "What is wrong now, who is told, what was told lately.", None, (JSON,), (404,)),
    Operation("post", alerting.ACK, "Acknowledge an alert.", alerting.AckBody, (JSON,), (400, 404)),
    Operation("post", alerting.TEST, "Send a test notice.", alerting.TryBody, (JSON,), (400, 404)),
    Operation("get", canarying.STATE, "Where the canary stands.", None, (JSON,), STEERED),
    Operation("post", canarying.START, "Start a canary.", canarying.StartBody, (JSON,), STEERED),
    *(
        Operation("post", path, canarying.WORDS[command], canarying.CommandBody, (JSON,), STEERED)
        for path, command in canarying.COMMANDS.items()
    ),
    Operation("get", migrating.STATE, "Where the migration stands.", None, (JSON,), MIGRATED),
    Operation("post", migrating.APPLY, "Go on with it.", migrating.ApplyBody, (JSON,), MIGRATED),
    Operation("post", migrating.ROLLBACK, "Go back.", migrating.PhaseBody, (JSON,), MIGRATED),
    Operation("post", migrating.CHECKS, "Its pre-deployment checks.", migrating.NoBody, (JSON,), MIGRATED),
    Operation("post", migrating.VALIDATE, "A phase's validation queries.", migrating.PhaseBody, (JSON,), MIGRATED),
)
TITLES = {"public": "Equipoise", "admin": "Equipoise, admin listener"}
LISTENERS = {"public": (*PUBLIC, *PROBES), "admin": (*ADMIN, *PROBES)}
ERROR: Document = {
    "type": "object",
    "required": ["error", "request_id"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        },
        "request_id": {"type": "string"},
        "attempts": {"type": "integer"},
        "cost_usd": {"type": "string"},
        "reasons": {"type": "object"},
    },
}
"""LightRAG's dialect words errors as its own clients expect them (`detail`), so its routes promise no schema."""


@cache
def written(listener: str) -> bytes:
    """The document of a listener (public, admin) in JSON."""
    return encode(document(listener))


def document(listener: str) -> Document:
    """The document of a listener (public, admin)."""
    operations = LISTENERS[listener]
    bodies = dict.fromkeys(operation.body for operation in operations if operation.body)
    schemas, components = msgspec.json.schema_components(list(bodies), ref_template="#/components/schemas/{name}")
    references = dict(zip(bodies, schemas, strict=True))
    paths: Document = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, references)
    keys = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLES[listener], "version": equipoise.__version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": {**components, "Error": ERROR}, "securitySchemes": keys},
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _operation(of: Operation, references: Mapping[type, Document]) -> Document:
    good: Document = {kind: {} for kind in of.kinds}
    answers = {"200": {"description": "Done.", "content": good}}
    told = {} if of.path.startswith("/query") else {"schema": {"$ref": "#/components/schemas/Error"}}
    kind = of.kinds[0] if of.open else JSON
    bad = {"description": "Refused or failed.", "content": {kind: {} if of.open else told}}
    answers |= {str(status): bad for status in sorted({*of.errors, *(() if of.open else (403,))})}
    found: Document = {"summary": of.summary, "operationId": _name(of), "responses": answers}
    if of.body is not None:
        required = any(field.required for field in msgspec.structs.fields(of.body))
        found["requestBody"] = {"required": required, "content": {JSON: {"schema": references[of.body]}}}
    parameters = _parameters(of)
    return found | ({"parameters": parameters} if parameters else {})


def _name(of: Operation) -> str:
    words = [word.strip("{}") for word in of.path.replace(".", "_").split("/") if word]
    return "_".join([of.method, *words])


def _parameters(of: Operation) -> list[Document]:
    named = [part.strip("{}") for part in of.path.split("/") if part.startswith("{")]
    found: list[Document] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in named
    ]
    if of.body in (ChatBody, ResponsesBody, QueryBody):
        headers = (*hints.NAMES, idempotency.KEY.decode())
        found += [{"name": name, "in": "header", "schema": {"type": "string"}} for name in headers]
    return found

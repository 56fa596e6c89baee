"""What can be asked over HTTP, from the documents that the gateway serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from equipoise.gateway import hints
from equipoise.gateway.openapi import LISTENERS, document

Document = dict[str, Any]
HEAD = """\
# HTTP reference

Two listeners: the public one (port 4000) and the operator's (the next port, on this machine only). Each serves this
reference as OpenAPI 3.1 at `/openapi.json`. GET is also HEAD. Where keys are configured, show one as
`Authorization: Bearer ...` or `X-API-Key`; probes and scrapes need none.

Errors have one form, OpenAI's: `{"error": {"message", "type", "param", "code"}, "request_id", "attempts", "cost_usd"}`;
`/query` and `/query/stream` word them as LightRAG does.
"""
HINTS = {
    hints.STRATEGY: "choose by this strategy",
    hints.MAX_COST: "the most one attempt may be expected to cost, in dollars",
    hints.DEADLINE: "milliseconds for the whole answer",
    hints.TAGS: "up to 16 words, with commas, for the ledger",
    hints.SESSION: "what belongs together",
    hints.PRIORITY: "`interactive` (default) or `batch`: who goes first when there is not room for all",
    hints.DATA_CLASS: "what the question holds, with commas, beside what its key and route say ([data classes](../data-classes.md))",
    hints.REPEATABLE: "`true` lets a question with tools be asked again though it may have been acted on",
}


def http() -> str:
    """The page."""
    return "\n".join([HEAD, *_listener("public"), *_hints(), *_listener("admin"), *_bodies()])


def _listener(name: str) -> Iterator[str]:
    yield f"## The {name} listener\n"
    yield "| | | body | statuses |"
    yield "|---|---|---|---|"
    for path, methods in document(name)["paths"].items():
        for method, operation in methods.items():
            statuses = ", ".join(operation["responses"])
            yield f"| `{method.upper()} {path}` | {operation['summary']} | {_body(operation)} | {statuses} |"
    yield ""


def _body(operation: Document) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    name = next((kind["schema"]["$ref"].rpartition("/")[2] for kind in content.values()), "")
    return f"[{name}](#{name.lower()})" if name else ""


def _hints() -> Iterator[str]:
    yield "### Hints\n"
    yield "Headers, or `metadata` under the same names.\n"
    yield "| header | |"
    yield "|---|---|"
    yield from (f"| `{name}` | {HINTS[name]} |" for name in hints.NAMES)
    yield ""


def _bodies() -> Iterator[str]:
    schemas = {name: of for listener in LISTENERS for name, of in document(listener)["components"]["schemas"].items()}
    yield "## Bodies\n"
    for name, schema in schemas.items():
        if "properties" not in schema or name == "Error":
            continue
        yield f"### {name}\n"
        yield f"{' '.join(schema.get('description', '').split())}\n"
        if schema["properties"]:
            yield "| field | type | |"
            yield "|---|---|---|"
        for field, of in schema["properties"].items():
            yield f"| `{field}` | {_type(of)} | {'required' if field in schema.get('required', ()) else ''} |"
        yield ""


def _type(of: Document) -> str:
    if "$ref" in of:
        return str(of["$ref"]).rpartition("/")[2]
    if "anyOf" in of:
        return " or ".join(_type(one) for one in of["anyOf"] if one.get("type") != "null")
    if of.get("type") == "array":
        return f"list of {_type(of['items'])}" if of.get("items") else "list"
    return str(of.get("type", "any"))

"""The body of a LightRAG query, and the 422 that a wrong one gets in pydantic's shape."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.sandbox.script import Refusal, document

MODES = ("local", "global", "hybrid", "naive", "mix", "bypass")
LONGEST = 65_536


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that change the answer; every other one is accepted and ignored, as the real server does."""

    query: str
    mode: str = "mix"
    stream: bool = False
    only_need_context: bool = False
    only_need_prompt: bool = False
    include_references: bool = True
    include_chunk_content: bool = False
    include_progress: bool = False
    chunk_top_k: int | None = None
    conversation_history: list[dict[str, Any]] = []


def parsed_query(body: bytes, *, stream: bool) -> Query:
    """The query with the endpoint's own default for `stream`; raises Refusal with a 422."""
    fields = _object(body)
    problems = _problems(fields)
    if problems:
        raise Refusal(document({"detail": problems}, status=422))
    known = {name: value for name, value in fields.items() if name in Query.__struct_fields__ and value is not None}
    try:
        return msgspec.convert({"stream": stream} | known, Query)
    except msgspec.ValidationError as error:
        raise Refusal(_unprocessable("value_error", ["body"], str(error), fields)) from error


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refusal(_unprocessable("json_invalid", ["body", 0], "JSON decode error", {})) from error
    if not isinstance(fields, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise Refusal(_unprocessable("model_attributes_type", ["body"], message, fields))
    return fields


def _problems(fields: dict[str, Any]) -> list[dict[str, Any]]:
    mode = fields.get("mode", "mix")
    found = [_text_problem(fields, bypass=mode == "bypass")]
    if mode not in MODES:
        expected = ", ".join(f"'{name}'" for name in MODES[:-1]) + f" or '{MODES[-1]}'"
        found.append(_problem("literal_error", ["body", "mode"], f"Input should be {expected}", mode))
    return [problem for problem in found if problem]


def _text_problem(fields: dict[str, Any], *, bypass: bool) -> dict[str, Any] | None:
    where = ["body", "query"]
    if "query" not in fields:
        return _problem("missing", where, "Field required", fields)
    text = fields["query"]
    if not isinstance(text, str):
        return _problem("string_type", where, "Input should be a valid string", text)
    if len(text.strip()) < (1 if bypass else 3):
        return _problem("string_too_short", where, "String should have at least 3 characters", text)
    if len(text) > LONGEST:
        return _problem("string_too_long", where, f"String should have at most {LONGEST} characters", text[:100])
    return None


def _problem(kind: str, where: list[Any], message: str, given: Any) -> dict[str, Any]:
    return {"type": kind, "loc": where, "msg": message, "input": given}


def _unprocessable(kind: str, where: list[Any], message: str, given: Any) -> Any:
    return document({"detail": [_problem(kind, where, message, given)]}, status=422)

"""An attempt as a row of the ledger, and a row as a plain dict."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from equipoise.core.model import Attempt, Candidate, Decision, dollars
from equipoise.core.policies.specified import reports
from equipoise.core.redaction import redact

COLUMNS = (
    "request_id", "number", "wall", "tenant", "tags", "session", "role", "backend_id", "backend_type", "model",
    "route", "strategy", "kind", "stream", "verdict", "status", "error_code", "error", "finish_reason", "interrupted",
    "sent", "latency", "first_token", "decision_seconds", "input_tokens", "output_tokens", "cached_tokens",
    "reasoning_tokens", "citation_tokens", "searches", "usage_estimated", "citations", "cost", "cost_source",
    "question_hash", "config_hash", "policy_version", "features_version", "features", "decision",
    "key", "price_source", "claimed_cost", "fees", "question_tokens", "parent", "inner_cost", "inner_calls", "joined",
)  # fmt: skip

# An upstream's error may be a page of HTML; its beginning says what is wrong.
LONGEST_ERROR = 500
# SQLite's integers end here: nine billion dollars.
LARGEST_INTEGER = 2**63 - 1
# The numbers of a candidate are stored without their names: a version says which they are. Who changes Candidate adds one.
_FIRST_FIELDS = (
    "backend_id", "weight", "in_flight", "limit", "health", "load", "completion", "expected_cost", "quality_mean",
    "quality_sd", "quality_low", "reliability", "response_time", "success_rate", "effective_weight",
    "seconds_per_token",
)  # fmt: skip
CANDIDATE_FIELDS = {
    1: _FIRST_FIELDS,
    2: (*_FIRST_FIELDS, "penalty"),
    3: (*_FIRST_FIELDS, "penalty", "backend_type"),
}
FLAGS = ("stream", "interrupted", "sent", "usage_estimated")
DOCUMENTS = ("tags", "features")

Row = tuple[Any, ...]
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_values_of = msgspec.structs.astuple


class _Grounds(msgspec.Struct, array_like=True, gc=False):
    """The part of a decision that has no column, as MessagePack without names: a quarter of a page instead of more than
    a whole one. What a row costs is mostly its size."""

    reason: str
    probability: float
    compared: dict[str, float]
    probabilities: dict[str, float]
    excluded: dict[str, str]
    panic: bool
    sampled_from: int
    candidates: list[tuple[Any, ...]]
    fields: int = max(CANDIDATE_FIELDS)


_unpack = msgspec.msgpack.Decoder(_Grounds).decode


def grounds_in(packed: bytes) -> tuple[dict[str, float], tuple[Candidate, ...] | None]:
    """The probabilities and the candidates of a stored decision; no candidates where another version wrote other numbers."""
    grounds = _unpack(packed)
    fields = CANDIDATE_FIELDS.get(grounds.fields)
    if fields is None:
        return grounds.probabilities, None
    rows = [dict(zip(fields, values, strict=True)) for values in grounds.candidates]
    try:
        return grounds.probabilities, tuple(msgspec.convert(rows, list[Candidate]))
    except msgspec.ValidationError:
        return grounds.probabilities, None


def _grounds_of(decision: Decision) -> bytes:
    grounds = _Grounds(
        decision.reason, decision.probability, decision.compared, decision.probabilities, decision.excluded,
        decision.panic, decision.sampled_from, [_values_of(candidate) for candidate in decision.candidates],
    )  # fmt: skip
    return _pack(grounds)


def row_of(attempt: Attempt) -> Row:
    """The values in the order of COLUMNS. Raises ValueError or TypeError when something cannot be written.

    Flags are written as 0 and 1 and words as plain text: for whatever is not exactly an int or a str, sqlite3 looks for an
    adapter first, and that made a fifth of what an insert costs.
    """
    decision, outcome = attempt.decision, attempt.outcome
    usage = outcome.usage
    return (
        attempt.request_id, attempt.number, attempt.wall, attempt.tenant,
        _encode(attempt.tags).decode() if attempt.tags else "[]",
        attempt.session, attempt.role, attempt.backend_id, attempt.backend_type, outcome.model or attempt.model,
        decision.route, decision.strategy, decision.kind, int(attempt.stream),
        str(outcome.verdict), outcome.status, outcome.error_code, outcome.error and redact(outcome.error[: 2 * LONGEST_ERROR])[:LONGEST_ERROR],
        outcome.finish_reason, int(outcome.interrupted), int(outcome.sent),
        outcome.duration, outcome.first_token, attempt.decision_seconds,
        usage.input_tokens, usage.output_tokens, usage.cached_tokens,
        usage.reasoning_tokens, usage.citation_tokens, usage.searches, int(usage.estimated), outcome.citations,
        outcome.cost, str(outcome.cost_source),
        attempt.question_hash, attempt.config_hash, attempt.policy_version, attempt.features_version,
        _encode(attempt.features).decode() if attempt.features else "{}",
        _grounds_of(decision),
        attempt.key, outcome.price_source, _most(outcome.claimed_cost), usage.fees, attempt.question_tokens,
        attempt.parent, outcome.inner_cost, outcome.inner_calls, outcome.joined,
    )  # fmt: skip


def _most(amount: int | None) -> int | None:
    """As much of a claim as SQLite's integers hold: nine billion dollars."""
    return None if amount is None else min(amount, LARGEST_INTEGER)


def story_of(row: Any) -> dict[str, Any]:
    """A row as JSON would show it: documents decoded, flags true or false, the cost also in exact dollars."""
    story = {name: row[name] for name in COLUMNS}
    story |= {name: bool(row[name]) for name in FLAGS}
    story |= {name: json.loads(row[name]) for name in DOCUMENTS}
    story["decision"] = _decision_of(story)
    story["cost_usd"] = dollars(row["cost"])
    return story


def _decision_of(story: dict[str, Any]) -> dict[str, Any]:
    grounds = _unpack(story["decision"])
    decision: dict[str, Any] = {name: story[name] for name in ("backend_id", "strategy", "route", "kind")}
    decision |= {name: getattr(grounds, name) for name in _Grounds.__struct_fields__ if name != "fields"}
    fields = CANDIDATE_FIELDS[grounds.fields]
    decision["candidates"] = [dict(zip(fields, map(_as_json, values), strict=True)) for values in grounds.candidates]
    decision["compared"] = {name: _as_json(score) for name, score in grounds.compared.items()}
    decision["scores"] = _specified(decision["candidates"])
    return decision


def _as_json(value: Any) -> Any:
    """JSON knows no infinity and nothing that is no number."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _specified(candidates: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """The specification's scores; none where an earlier version wrote other numbers, or one that was no number."""
    try:
        return reports(msgspec.convert(candidates, list[Candidate]))
    except msgspec.ValidationError:
        return {}

"""Which questions are the same question, and which may be answered by an answer that was given before.

    key = what the answer may depend on: tenant, data classes, route (its version: kinds of backends, models, corpora),
          the backend or strategy asked for, the bounds that were set, and every field of the question itself

Two questions with one key would be sent upstream in the same words, on the same terms. What is left out of it (trace
context, session, tags, urgency) reaches no backend as part of a question.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from equipoise.core.intake import Hints
from equipoise.core.model import Question, Request
from equipoise.core.routing import CacheOptions

USUAL_TEMPERATURE = 1.0
"""What the chat APIs take where a question names none."""
HINT = "equipoise"
INSTRUCTING = frozenset(("system", "developer"))
_encode = msgspec.json.Encoder(order="deterministic").encode


class Ambiguous(ValueError):
    """A body that says something twice: which of it counts is each reader's guess."""


def asked_anew(request: Request, options: CacheOptions) -> str | None:
    """Why this question is never answered from what is kept, in words for people; None when it may be.

    Tools act, a side of a comparison must really be asked, and who wants several or very random answers wants new ones.
    """
    question = request.question
    said = question.options
    if request.role != "answer":
        return "a canary or a migration compares fresh answers"
    if question.tools or question.tool_choice or said.keys() & {"functions", "function_call"}:
        return "it brings tools"
    if any(message.role in ("tool", "function") or message.tool_calls for message in question.messages):
        return "it is about a call of a tool"
    if _above(said.get("n"), 1):
        return "it wants several answers"
    if _above(said.get("temperature", USUAL_TEMPERATURE), options.max_temperature):
        return "it wants a higher temperature than may be kept"
    return None


def key_of(request: Request, hints: Hints, options: CacheOptions) -> bytes:
    """32 bytes that are equal for equal questions only. Raises Ambiguous for a body that can be read in two ways."""
    return _digest(request, hints, options, _said(request.question))


def asked_alone(question: Question) -> str | None:
    """Return the words of a question that stands alone: instructions, then one turn of a user; None for any other.

    In a conversation "yes, the second one" means what was said before, and pictures have no words.
    """
    last = question.messages[-1] if question.messages else None
    if last is None or last.role != "user" or not isinstance(last.content, str) or question.embeddings:
        return None
    return last.content if all(message.role in INSTRUCTING for message in question.messages[:-1]) else None


def family_of(request: Request, hints: Hints, options: CacheOptions) -> bytes:
    """32 bytes that are equal for questions that differ in nothing but the words of their last turn.

    Raises Ambiguous as `key_of` does.
    """
    question = request.question
    wordless = [*question.messages[:-1], msgspec.structs.replace(question.messages[-1], content=None)]
    bare = msgspec.structs.replace(question, messages=wordless)
    if question.body is None:
        return _digest(request, hints, options, ("family", *_said(bare)))
    body, rest = _said(bare)
    return _digest(request, hints, options, ("family", _wordless(body), rest))


def _wordless(body: dict[str, Any]) -> dict[str, Any]:
    said = body.get("messages")
    if not isinstance(said, list) or not said or not isinstance(said[-1], dict):
        raise Ambiguous("the body has no turns")
    return {**body, "messages": [*said[:-1], {**said[-1], "content": None}]}


def _digest(request: Request, hints: Hints, options: CacheOptions, said: tuple[Any, ...]) -> bytes:
    terms = (
        request.tenant,
        sorted(request.data_classes),
        request.route,
        options.version,
        request.pinned,
        request.strategy,
        hints.model,
        request.max_cost,
        hints.deadline_seconds,
    )
    try:
        return hashlib.blake2b(_encode((terms, *said)), digest_size=32).digest()
    except (ValueError, OverflowError, RecursionError) as error:
        raise Ambiguous(f"the question cannot be compared with others: {error}") from error


def _said(question: Question) -> tuple[Any, ...]:
    """Every field of a question, however it was spelled, and those of the body that is passed on for it.

    Both: hooks may have changed the one and not the other.
    """
    if question.body is None:
        return (msgspec.structs.asdict(question),)
    body = _read(str(question.body, "utf-8"))
    said = body.get("metadata")
    if isinstance(said, dict):
        body["metadata"] = {name: value for name, value in said.items() if not _ours(name)} or None
    return body, msgspec.structs.asdict(msgspec.structs.replace(question, body=None, parts=None))


def _ours(name: str) -> bool:
    return name.lower().removeprefix("x-").startswith(HINT)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Ambiguous("the body names a field twice")
    return fields


_read = json.JSONDecoder(object_pairs_hook=_unambiguous).decode


def _above(value: Any, bound: float) -> bool:
    """What is no number is nobody's business but the backend's, and none that is kept."""
    if value is None:
        return False
    return isinstance(value, bool) or not isinstance(value, int | float) or value > bound

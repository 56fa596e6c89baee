"""The wire format of a LightRAG server (API 0344), over a small knowledge base of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from equipoise.http import Request
from equipoise.sandbox.fact import Fact
from equipoise.sandbox.knowledge import cited, recalled, tokens, with_references, words
from equipoise.sandbox.lightrag_free import AUTH_STATUS, authenticated, health, verified
from equipoise.sandbox.lightrag_query import MODES, Query, parsed_query
from equipoise.sandbox.script import NDJSON, Dialect, Piece, Refusal, Route, Script, Turn, document, phrase

SILENT_FAILURE = "No relevant context found for the query."
"""What a server says, with status 200, when its own LLM or embeddings fail."""
NO_CONTEXT = "Sorry, I'm not able to provide an answer to that question.[no-context]"
"""What it says when retrieval finds nothing."""
PROMPT_TOKENS = 900
"""About what LightRAG's own instructions add to a prompt."""
KEYWORD_CALL = (450, 40)
"""Tokens in and out of the call that finds keywords, made by every mode but naive and bypass."""


class Findings(msgspec.Struct, frozen=True):
    """What one query comes to: a text, its sources, and whether a model wrote it."""

    text: str
    facts: list[Fact]
    written: bool

    def references(self, query: Query) -> list[dict[str, Any]]:
        """The sources as LightRAG lists them."""
        if not query.include_references:
            return []
        return [_reference(number, fact, query.include_chunk_content) for number, fact in enumerate(self.facts, 1)]


def _reference(number: int, fact: Fact, with_content: bool) -> dict[str, Any]:
    content = [fact.text] if with_content else None
    return {"reference_id": str(number), "file_path": fact.file, "content": content}


def _findings(query: Query, turn: Turn) -> Findings:
    if turn.answerless:
        return Findings(SILENT_FAILURE, [], False)
    if query.mode == "bypass":
        return Findings(recalled([]), [], True)
    facts = turn.knowledge.find(query.query)
    if not facts:
        return Findings(NO_CONTEXT, [], False)
    if query.only_need_context or query.only_need_prompt:
        return Findings(cited(facts), facts, False)
    return Findings(with_references(facts), facts, True)


def _cost(query: Query, found: Findings, turn: Turn) -> int:
    history = sum(tokens(str(message.get("content", ""))) for message in query.conversation_history)
    context = sum(tokens(fact.text) for fact in found.facts)
    spent = PROMPT_TOKENS + context + history + tokens(query.query)
    keywords = (0, 0) if query.mode in ("naive", "bypass") else KEYWORD_CALL
    written = tokens(found.text) if found.written else 0
    return turn.profile.cost(spent * found.written + keywords[0], written + keywords[1])


def query(request: Request, turn: Turn) -> Script:
    """POST /query: one JSON document."""
    authenticated(request, turn)
    asked = parsed_query(request.body, stream=False)
    found = _findings(asked, turn)
    seconds = turn.pace.first + turn.pace.writing(tokens(found.text))
    answer = {"response": found.text, "references": found.references(asked), "response_time": round(seconds, 3)}
    content = answer | {"llm_generated": found.written}
    return document(content, pause=seconds, cost=_cost(asked, found, turn))


def query_stream(request: Request, turn: Turn) -> Script:
    """POST /query/stream: a line of references and a line for each piece, or one line when no model wrote it."""
    authenticated(request, turn)
    asked = parsed_query(request.body, stream=True)
    found = _findings(asked, turn)
    lines = _lines(asked, found, turn) if asked.stream and found.written else [_single_line(asked, found, turn)]
    if asked.include_progress:
        lines = [_line(0.0, {"progress": "Retrieving context"}), *lines, _line(0.0, {"response_time": turn.pace.first})]
    return Script(pieces=tuple(lines), content_type=NDJSON, streamed=True, cost=_cost(asked, found, turn))


def _lines(asked: Query, found: Findings, turn: Turn) -> list[Piece]:
    head = [_line(turn.pace.first / 2, {"references": found.references(asked)})] if asked.include_references else []
    pieces = words(found.text)
    first = _line(turn.pace.first / 2, {"response": pieces[0]})
    return [*head, first, *(_line(turn.pace.writing(tokens(piece)), {"response": piece}) for piece in pieces[1:])]


def _single_line(asked: Query, found: Findings, turn: Turn) -> Piece:
    content = {"response": found.text, "llm_generated": found.written, "references": found.references(asked)}
    return _line(turn.pace.first + turn.pace.writing(tokens(found.text)), content)


def _line(seconds: float, content: dict[str, Any]) -> Piece:
    return seconds, msgspec.json.encode(content) + b"\n"


def query_data(request: Request, turn: Turn) -> Script:
    """POST /query/data: what retrieval found, without asking a model."""
    authenticated(request, turn)
    asked = parsed_query(request.body, stream=False)
    if turn.answerless:
        raise Refusal(failure(500, turn.identifier("")[:8]))
    facts = turn.knowledge.find(asked.query)[: asked.chunk_top_k]
    found = Findings("", facts, False)
    content = _data(asked, facts) | {"references": found.references(asked)}
    return document(_data_reply(asked, facts, content), pause=turn.pace.first / 4)


def _data(asked: Query, facts: list[Fact]) -> dict[str, Any]:
    chunks = [
        {"content": f.text, "file_path": f.file, "chunk_id": f"chunk-{f.name}", "reference_id": str(number)}
        for number, f in enumerate(facts, 1)
    ]
    return {"entities": _entities(asked, facts), "relationships": [], "chunks": chunks}


def _entities(asked: Query, facts: list[Fact]) -> list[dict[str, Any]]:
    if asked.mode == "naive":
        return []
    return [
        {
            "entity_name": f.title,
            "entity_type": "concept",
            "description": f.gist,
            "file_path": f.file,
            "source_id": f"chunk-{f.name}",
            "reference_id": str(number),
        }
        for number, f in enumerate(facts, 1)
    ]


def _data_reply(asked: Query, facts: list[Fact], data: Mapping[str, Any]) -> dict[str, Any]:
    keywords = {"high_level": [f.title for f in facts], "low_level": [f.name for f in facts]}
    metadata = {"query_mode": asked.mode, "keywords": keywords, "processing_info": {"final_chunks_count": len(facts)}}
    if not facts:
        return {"status": "failure", "message": "Query returned no results", "data": {}, "metadata": metadata}
    return {"status": "success", "message": "Query executed successfully", "data": data, "metadata": metadata}


def status_counts(request: Request, turn: Turn) -> Script:
    """GET /documents/status_counts: all documents are processed."""
    authenticated(request, turn)
    known = len(turn.knowledge)
    states = dict.fromkeys(("pending", "parsing", "analyzing", "processing", "preprocessed"), 0)
    return document({"status_counts": states | {"processed": known, "failed": 0, "all": known}})


def failure(status: int, name: str = "") -> Script:
    """An error in FastAPI's words."""
    detail = phrase(status) if status < 500 else f"Internal server error (error_id: {name or '0badcafe'})"
    return document({"detail": detail}, status=status)


LIGHTRAG = Dialect(
    routes={
        ("POST", "/query"): Route(query, paid=True),
        ("POST", "/query/stream"): Route(query_stream, paid=True),
        ("POST", "/query/data"): Route(query_data, paid=True),
        ("GET", "/health"): Route(health),
        ("GET", "/auth/verify"): Route(verified),
        ("GET", "/auth-status"): Route(lambda request, turn: document(AUTH_STATUS)),
        ("GET", "/documents/status_counts"): Route(status_counts),
    },
    failure=failure,
)
__all__ = ["LIGHTRAG", "MODES", "NO_CONTEXT", "SILENT_FAILURE"]

"""LightRAG's query dialect: reading a body, writing an answer, a stream as NDJSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.backends.base import StreamItem, TextDelta
from equipoise.core.model import Answer, Message, Question
from equipoise.gateway.dialects.base import (
    Asked,
    Envelope,
    Malformed,
    encode,
    opened,
    read,
    require_messages,
    require_shallow,
    total_tokens,
)
from equipoise.gateway.dialects.relayed import RelayedReader
from equipoise.gateway.dialects.story import story

if TYPE_CHECKING:
    from equipoise.balancer import Reply

MAX_QUERY = 65_536


class QueryBody(msgspec.Struct):
    """The fields with a meaning for every engine; `mode`, `top_k` and the like are options of the engine."""

    query: str
    conversation_history: list[dict[str, Any]] | None = None
    include_references: bool | None = None
    include_chunk_content: bool | None = None
    stream: bool | None = None
    metadata: dict[str, Any] | None = None
    model: str | None = None


TYPED = frozenset(QueryBody.__struct_fields__)
_typed = msgspec.json.Decoder(QueryBody)
_fields = msgspec.json.Decoder(dict[str, Any])


def read_query(body: bytes) -> Asked:
    """A QueryRequest as a question; `user_prompt` stays an option, for it instructs the answer and is not searched for."""
    said = read(_typed, body)
    if not 0 < len(said.query.strip()) <= MAX_QUERY:
        raise Malformed(f"query must have between 1 and {MAX_QUERY} characters.", "query", status=422)
    fields = read(_fields, body)
    extra = {name: fields[name] for name in fields.keys() - TYPED if fields[name] is not None}
    if said.include_chunk_content:
        extra["include_chunk_content"] = True
    question = Question(messages=[*_history(said), Message("user", said.query)], stream=bool(said.stream), extra=extra)
    require_messages(question, "conversation_history")
    require_shallow((extra, said.conversation_history))
    wants = said.include_references is not False
    return Asked(question, said.model or "auto", said.metadata, wants, bool(said.include_chunk_content))


def read_stream_query(body: bytes) -> Asked:
    """The same for `/query/stream`, where a body that does not mention `stream` wants one."""
    asked = read_query(body)
    asked.question.stream = read(_typed, body).stream is not False
    return asked


def read_plain_query(body: bytes) -> Asked:
    """The same for `/query`, which never streams whatever the body says."""
    asked = read_query(body)
    asked.question.stream = False
    return asked


def _history(said: QueryBody) -> list[Message]:
    try:
        return msgspec.convert(said.conversation_history or [], list[Message])
    except msgspec.ValidationError as error:
        raise Malformed(str(error), "conversation_history", status=422) from None


def write_query(reply: Reply, asked: Asked, envelope: Envelope) -> bytes:
    """A whole answer as a QueryResponse."""
    answer = opened(reply.answer)
    return encode({"response": answer.text, **_tail(answer, reply, asked), "response_time": round(reply.duration, 3)})


def write_line(reply: Reply, asked: Asked, envelope: Envelope) -> bytes:
    """A whole answer as the single NDJSON line that `/query/stream` gives to `stream: false`."""
    return write_query(reply, asked, envelope) + b"\n"


def _tail(answer: Answer, reply: Reply, asked: Asked) -> dict[str, Any]:
    """References if wanted, and what LightRAG itself cannot say: tokens, cost and who answered."""
    told = {"references": references(answer, asked)} if asked.with_references else {}
    counts = {
        "prompt_tokens": answer.usage.input_tokens,
        "completion_tokens": answer.usage.output_tokens,
        "total_tokens": total_tokens(answer.usage),
    }
    return {**told, "llm_generated": True, "usage": counts, "equipoise": story(reply)}


def references(answer: Answer, asked: Asked) -> list[dict[str, Any]]:
    """Sources in LightRAG's form; a web page stands where the file path would."""
    return [
        {
            "reference_id": str(c.index),
            "file_path": c.file or c.url or "",
            "content": [c.snippet] if asked.with_passages and c.snippet else None,
        }
        for c in answer.citations
    ]


class QueryStream:
    """Writes one stream: a line a piece, the references as soon as they are known, which may be only at the end."""

    content_type = b"application/x-ndjson"

    def __init__(self, asked: Asked, envelope: Envelope, model: str) -> None:
        self._asked = asked
        self._relayed = RelayedReader()
        self._told = False

    def begin(self) -> bytes:
        """Nothing: the first line is the first news."""
        return b""

    def item(self, item: StreamItem) -> bytes:
        """Text pieces as lines; reasoning and tool calls have no place in this dialect."""
        pieces = [piece.text for piece in self._relayed.opened(item) if type(piece) is TextDelta]
        self._told = self._told or bool(pieces)
        return b"".join(encode({"response": text}) + b"\n" for text in pieces)

    def end(self, reply: Reply) -> bytes:
        """References, then a last line with what LightRAG itself never says."""
        answer = opened(reply.answer)
        lines: list[dict[str, Any]] = [] if self._told or not answer.text else [{"response": answer.text}]
        tail = _tail(answer, reply, self._asked)
        if "references" in tail:
            lines.append({"references": tail.pop("references")})
        lines.append({"response_time": round(reply.duration, 3), **tail})
        return b"".join(encode(line) + b"\n" for line in lines)

    def cut(self, error: dict[str, Any]) -> bytes:
        """An error line, as LightRAG ends a broken stream."""
        told = {name: value for name, value in error.items() if name != "error"}
        return encode({"error": error["error"]["message"], "code": error["error"]["code"], **told}) + b"\n"


def write_error(problem: dict[str, Any]) -> bytes:
    """An error in the form LightRAG's clients read: `detail` is a sentence."""
    told = {name: value for name, value in problem.items() if name != "error"}
    return encode({"detail": problem["error"]["message"], "code": problem["error"]["code"], **told})

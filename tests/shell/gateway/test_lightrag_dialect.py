"""LightRAG's query form."""

from __future__ import annotations

import json

import pytest

from equipoise.gateway.dialects import lightrag
from equipoise.gateway.dialects.base import Envelope, Malformed
from tests.shell.gateway.scripted import CITED, reply_of

ENVELOPE = Envelope("req-1", 1_700_000_000)


def test_a_query_request_becomes_a_question():
    """History before the query, everything about retrieval as engine options."""
    body = {
        "query": "Why?",
        "mode": "local",
        "top_k": 7,
        "user_prompt": "In German.",
        "conversation_history": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        "include_references": True,
        "hl_keywords": None,
    }
    question = lightrag.read_plain_query(json.dumps(body).encode()).question
    assert [(m.role, m.content) for m in question.messages] == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Why?"),
    ]
    assert question.extra == {"mode": "local", "top_k": 7, "user_prompt": "In German."}
    assert question.stream is False


def test_only_the_streaming_path_streams():
    """`/query` answers whole whatever the body says; `/query/stream` streams unless told otherwise."""
    assert lightrag.read_plain_query(b'{"query":"abc","stream":true}').question.stream is False
    assert lightrag.read_stream_query(b'{"query":"abc"}').question.stream is True
    assert lightrag.read_stream_query(b'{"query":"abc","stream":false}').question.stream is False


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":" "}',
        b'{"query":"%s"}' % (b"x" * 70_000),
        b'{"query":"abc","conversation_history":[{"content":"x"}]}',
        b'{"query":"abc","conversation_history":[{"role":"wizard","content":"x"}]}',
    ],
)
def test_a_bad_query_is_refused(body: bytes):
    """Empty, endless, or with a history that is none."""
    with pytest.raises(Malformed):
        lightrag.read_query(body)


def test_a_whole_answer_has_response_and_references():
    """The fields LightRAG's clients read; web sources stand where file paths would."""
    asked = lightrag.read_plain_query(b'{"query":"abc","include_chunk_content":true}')
    body = json.loads(lightrag.write_query(reply_of(CITED), asked, ENVELOPE))
    assert (body["response"], body["llm_generated"], body["response_time"]) == (CITED.text, True, 0.5)
    assert body["references"] == [
        {"reference_id": "1", "file_path": "https://example.org/steam", "content": ["It boils."]},
        {"reference_id": "2", "file_path": "heights.txt", "content": None},
    ]


def test_references_that_nobody_wants_are_left_out():
    """`include_references: false` is obeyed whoever answers."""
    asked = lightrag.read_plain_query(b'{"query":"abc","include_references":false}')
    assert "references" not in json.loads(lightrag.write_query(reply_of(CITED), asked, ENVELOPE))

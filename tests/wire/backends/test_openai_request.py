"""A client's body reaches an OpenAI-compatible server with nothing lost and nothing added but what must be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends.base import BackendError
from equipoise.backends.openai_request import Splice, body_for, spliced
from equipoise.core.model import Message, Question, Verdict
from equipoise.gateway.dialects.chat import read_chat

OWN = Splice.make("gpt-5-mini", {}, stream_usage=True, max_tokens_field="max_tokens")
THEIRS = Splice.make(None, {}, stream_usage=True, max_tokens_field="max_tokens")
REPLACED = {"model", "stream", "stream_options", "extra_body", "metadata"}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = st.sampled_from(sorted(REPLACED | {"messages", "temperature"})) | st.text(max_size=10)


@given(st.dictionaries(NAMES, JSON_VALUES, max_size=8), st.booleans())
def test_nothing_is_lost_and_nothing_invented(body: dict[str, Any], stream: bool) -> None:
    """Every field that is not ours to replace arrives with its value; no other appears."""
    sent = msgspec.json.decode(spliced(msgspec.json.encode(body), stream, OWN))
    untouched = body.keys() - REPLACED
    assert {name: sent[name] for name in untouched} == {name: body[name] for name in untouched}
    assert sent["model"] == "gpt-5-mini"
    assert sent.keys() - untouched <= {"model", "metadata"} | ({"stream", "stream_options"} if stream else set())
    assert (sent.get("stream"), "extra_body" in sent) == (True if stream else None, False)


def test_values_keep_their_very_bytes() -> None:
    """Escapes, the spelling of numbers and white space within values are the client's."""
    body = b'{"model":"auto","messages":[{"role":"user",  "content":"\\u00fc \\/"}],"seed":1.50e1}'
    assert (
        spliced(body, False, OWN)
        == b'{"model":"gpt-5-mini","messages":[{"role":"user",  "content":"\\u00fc \\/"}],"seed":1.50e1}'
    )


def test_a_body_with_nothing_to_change_is_passed_on_as_it_is() -> None:
    """Not even its white space changes."""
    plain = b'{ "model" : "gpt-5-mini", "messages": [] }'
    assert spliced(plain, False, OWN) is plain
    streamed = b'{"model":"x", "stream" : true, "stream_options": {"include_usage": true, "extra": 1}}'
    assert spliced(streamed, True, THEIRS) is streamed


def test_usage_is_always_asked_for_in_a_stream() -> None:
    """The client's other stream options are kept; without a stream there are none."""
    sent = msgspec.json.decode(spliced(b'{"stream_options":{"include_usage":false,"x":1}}', True, THEIRS))
    assert sent == {"stream": True, "stream_options": {"include_usage": True, "x": 1}}
    assert spliced(b'{"stream":true,"stream_options":{},"a":1}', False, THEIRS) == b'{"a":1}'


def test_a_server_that_refuses_stream_options_gets_none_of_ours() -> None:
    """`stream_usage` False leaves the field to the client."""
    splice = Splice.make(None, {}, stream_usage=False, max_tokens_field="max_tokens")
    assert spliced(b"{}", True, splice) == b'{"stream":true}'


def test_hints_to_the_gateway_go_no_further() -> None:
    """`extra_body` and our keys in `metadata` are taken out; the client's own metadata stays."""
    body = {
        "extra_body": {"mode": "mix"},
        "metadata": {"x-equipoise-strategy": "cost", "Equipoise-Tags": "a", "run": "7"},
    }
    assert spliced(msgspec.json.encode(body), False, THEIRS) == b'{"metadata":{"run":"7"}}'
    assert spliced(b'{"metadata":{"x-equipoise-session":"s"}}', False, THEIRS) == b"{}"
    untouched = b'{"metadata": {"run":"about equipoise"}}'
    assert spliced(untouched, False, THEIRS) is untouched


def test_an_operators_options_fill_gaps_only() -> None:
    """What the client says himself counts."""
    splice = Splice.make(None, {"temperature": 0.2, "top_p": 0.9}, stream_usage=True, max_tokens_field="max_tokens")
    assert msgspec.json.decode(spliced(b'{"temperature":1}', False, splice)) == {"temperature": 1, "top_p": 0.9}


BODY = b'{"model":"auto","messages":[{"role":"user","content":"Why?"}],"metadata":{"equipoise-tags":"a"},"stream":true}'


@given(st.dictionaries(NAMES, JSON_VALUES, max_size=8), st.booleans())
def test_fields_that_are_known_already_come_to_the_same(body: dict[str, Any], stream: bool) -> None:
    """However often they are sent: they are not changed by it, for another backend may be asked next."""
    raw = msgspec.json.encode(body)
    known = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    before = dict(known)
    for splice in (OWN, THEIRS, OWN):
        assert spliced(raw, stream, splice, known) == spliced(raw, stream, splice)
    assert (list(known), known) == (list(before), before)


def test_a_body_that_a_hook_put_in_its_place_is_sent_and_not_the_fields_of_the_old_one() -> None:
    """What was taken out of it stays out, whether the question was changed or made anew."""
    question = read_chat(BODY).question
    assert b"Why?" in body_for(question, OWN)
    fresh = BODY.replace(b"Why?", b"[gone]")
    replaced = msgspec.structs.replace(question, body=fresh)
    question.body = bytes(bytearray(BODY).replace(b"Why?", b"[gone]"))
    assert body_for(replaced, OWN) == body_for(question, OWN) == spliced(fresh, True, OWN)
    assert b"[gone]" in spliced(fresh, True, OWN)


@pytest.mark.parametrize("body", [b"", b"[]", b"nul", b"\xff", b'{"a":'])
def test_a_body_that_is_no_object_is_the_callers_fault(body: bytes) -> None:
    """It was never sent and is no evidence against anybody."""
    with pytest.raises(BackendError) as caught:
        spliced(body, False, OWN)
    assert (caught.value.verdict, caught.value.sent) == (Verdict.IGNORED, False)


def test_a_question_in_another_dialect_becomes_a_body() -> None:
    """Messages, limits, tools and options arrive; options of other engines do not."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    question = Question(
        messages=[Message("system", "Be brief."), Message("user", "Why?")],
        max_tokens=7,
        options={"temperature": 0.0},
        tools=tools,
        tool_choice="auto",
        stream=True,
        extra={"mode": "mix"},
    )
    assert msgspec.json.decode(body_for(question, OWN)) == {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "max_tokens": 7,
        "temperature": 0.0,
        "tools": tools,
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
    }

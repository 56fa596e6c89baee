"""A long body is taken apart where its messages end, and says the same as one that is read through."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.model import Message, Question
from equipoise.gateway.dialects import chat
from equipoise.gateway.dialects.apart import MOST_AROUND, apart
from equipoise.gateway.dialects.base import Malformed

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
TURN = {"role": "user", "content": 'Words, "quoted", and what looks like an end: "}],"model":"x"}'}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Why?"}]}
SPACED, INDENTED = (", ", ": "), (",", ": ")

TEXTS = st.text(max_size=12) | st.sampled_from(['"}]', '"}],"model":"x"}', '"messages":[', "[]", "naïve", "\\", "}]}]"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TURNS = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "name", "refusal"]), st.sampled_from(["user"]) | VALUES, max_size=4
    )
    | st.just(TURN)
    | st.just(PARTS),
    max_size=4,
)
FIELDS = st.lists(
    st.tuples(st.just("messages"), TURNS)
    | st.tuples(
        st.sampled_from(["model", "tools", "stream", "stop", "user", "x", "messages", "n", 'y"messages']), VALUES
    ),
    max_size=6,
)


def spelt(fields: list[tuple[str, Any]], comma: str, colon: str) -> bytes:
    """A JSON object of these fields in their order, a name twice if it is there twice."""
    said = (
        f"{json.dumps(name)}{colon}{json.dumps(value, separators=(comma, colon), ensure_ascii=False)}"
        for name, value in fields
    )
    return f"{{{comma.join(said)}}}".encode("utf-8", "surrogatepass")


def read(body: bytes) -> Question | tuple[str, str | None, int]:
    try:
        question = chat.read_chat(body).question
        question.messages = [Message(**msgspec.structs.asdict(message)) for message in question.messages]
        return question
    except Malformed as error:
        return error.message, error.param, error.status


def both(body: bytes, patch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """What is made of a body that counts as long, and of the same one if it does not."""
    with patch.context() as patched:
        patched.setattr(chat, "LONG", 0)
        cut = read(body)
    return cut, read(body)


@given(FIELDS, st.sampled_from([(",", ":"), SPACED, ("\n,", " :\t")]))
def test_a_body_says_the_same_taken_apart(fields: list[tuple[str, Any]], signs: tuple[str, str]) -> None:
    """Every value, every field in its place and with its very bytes, and every refusal in the same words."""
    cut, whole = both(spelt(fields, *signs), pytest.MonkeyPatch())
    assert cut == whole
    if isinstance(cut, Question) and isinstance(whole, Question):
        assert cut.parts is not None
        assert whole.parts is not None
        assert list(cut.parts.fields.items()) == list(whole.parts.fields.items())


@given(FIELDS, st.integers(0), st.binary(max_size=3))
def test_so_does_a_broken_one(fields: list[tuple[str, Any]], at: int, piece: bytes) -> None:
    """Cut short, or with bytes in it that do not belong there."""
    body = spelt([*fields, ("messages", [TURN])], ",", ":")
    at %= len(body)
    for broken in (body[:at], body[:at] + piece + body[at:], body[:at] + piece + body[at + 1 :]):
        cut, whole = both(broken, pytest.MonkeyPatch())
        assert cut == whole


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[%s],"messages":[]}',
        b'{"messages":[%s],"m\\u0065ssages":[ ]}',
        b'{"y\\"messages":[%s],"messages":[ ]}',
        b'{"x":"\\"messages\\":[%s]","messages":[{"role":"user","content":"?"}]}',
        b'{"x":[{"messages":[%s]}],"messages":[ ]}',
        b'{"messages":[%s],"tools":[{"a":1}]}',
        b'{"messages":[%s],"messages":[%s]}',
        b'{"messages":[%s]}]}',
        b'{"messages":[%s],}',
        b'{"messages":[[%s]],"x":[]}',
    ],
)
def test_what_only_looks_like_the_messages_is_not_taken_for_them(body: bytes) -> None:
    """Names said twice, in another spelling, within a text or deeper down, other lists, and what is no JSON."""
    body = body.replace(b"%s", b'{"role":"user","content":"Why?"}')
    cut, whole = both(body, pytest.MonkeyPatch())
    assert cut == whole


@pytest.mark.parametrize("signs", [(",", ":"), SPACED])
@pytest.mark.parametrize(
    "fields",
    [
        {"model": "m", "messages": [TURN, TURN], "temperature": 0.2},
        {"messages": [TURN], "model": "m", "tools": [TOOL, TOOL], "tool_choice": "auto"},
        {"model": "m", "messages": [TURN, PARTS]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}, PARTS], "stop": ["a", "b"]},
        {"response_format": {"type": "json_object"}, "messages": [PARTS], "metadata": {"x": "{}"}},
    ],
)
def test_what_clients_send_is_taken_apart(fields: dict[str, Any], signs: tuple[str, str]) -> None:
    """Whatever stands around the messages, compact or with blanks; what is left of the body is short."""
    body = spelt([*fields.items()], *signs)
    cut = apart(body)
    assert cut is not None
    assert msgspec.json.decode(cut.turns) == fields["messages"]
    assert msgspec.json.decode(cut.rest) == {**fields, "messages": []}


def test_a_body_without_a_plain_end_is_read_through() -> None:
    """Messages far from both ends, or where another list could be meant; said twice, or with another list behind them,
    what seems to be them is no JSON.
    """
    turns = ("messages", [TURN])
    for behind in (turns, ("tools", [PARTS])):
        cut = apart(spelt([turns, behind], ",", ":"))
        assert cut is not None
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(cut.turns)
    assert apart(spelt([("system", "x" * MOST_AROUND), turns], ",", ":")) is None
    assert apart(spelt([turns, ("user", "x" * MOST_AROUND)], ",", ":")) is None
    assert apart(spelt([turns, ("stop", [])], ",", ":")) is None
    assert apart(json.dumps({"messages": [TURN]}, indent=2).encode()) is None
    assert apart(b'{"m\\u0065ssages":[{}],"messages":[{}]}') is not None
    assert apart(b'{"messages":[{}],"m\\u0065ssages":7}') is None


def test_bytes_that_are_no_text_are_refused_in_fields_that_nobody_reads() -> None:
    """They would be sent on as they are."""
    words = b'"' + b"x" * 5_000 + b'"'
    for hidden in (b'"refusal":"\xff"', b'"x":{"y":["\xc3"]}'):
        body = b'{"messages":[{"role":"user",' + hidden + b',"content":' + words + b'}],"model":"m"}'
        assert read(body) == ("The body is not valid UTF-8.", None, 400)

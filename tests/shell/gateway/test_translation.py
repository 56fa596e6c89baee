"""Translation between dialects: nothing lost, nothing invented; and no body, however hostile, breaks a reader."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends.base import TextDelta
from equipoise.core.model import Answer, Citation, Message, Question, Usage
from equipoise.gateway.dialects import chat, lightrag, responses, responses_write
from equipoise.gateway.dialects.base import Asked, Envelope, Malformed, encode
from equipoise.gateway.dialects.chat_stream import ChatStream
from equipoise.gateway.dialects.lightrag import QueryStream
from equipoise.gateway.dialects.responses_stream import ResponsesStream
from tests.shell.gateway.scripted import reply_of

ASKED = Asked(Question(messages=[Message("user", "?")]), with_passages=True)
ENVELOPE = Envelope("req-1", 1_700_000_000)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
count = st.integers(0, 10**9)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Answers with 0 to 5 sources, some marked in the text, some not."""
    number = draw(st.integers(0, 5))
    citations = [
        Citation(i + 1, title=draw(text), url=draw(st.none() | name), file=draw(name), snippet=draw(text))
        for i in range(number)
    ]
    marked = draw(st.lists(st.sampled_from(citations), max_size=4)) if citations else []
    words = "".join(draw(text) + f"[{c.index}]" for c in marked) + draw(text)
    usage = Usage(draw(count), draw(count), cached_tokens=draw(count), reasoning_tokens=draw(count))
    return Answer(text=words, citations=citations, usage=usage, model=draw(name))


def address(citation: Citation) -> str:
    """What an address becomes on the wire: a file name with a colon in its first segment must not read as a scheme."""
    first, *rest = (citation.file or "").split("/")
    return citation.url or "/".join([first.replace(":", "%3A"), *rest])


def from_chat(body: dict[str, Any]) -> tuple[str, list[Any], list[int], float]:
    usage = body["usage"]
    results = [(r["id"], r["title"], r["url"], r["snippet"]) for r in body.get("search_results", [])]
    details = usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]
    counts = [usage["prompt_tokens"], usage["completion_tokens"], *details]
    return body["choices"][0]["message"]["content"], results, counts, usage["cost"]


def from_responses(body: dict[str, Any]) -> tuple[str, list[Any], list[int], float]:
    usage = body["usage"]
    found = [item for item in body["output"] if item["type"] == "search_results"]
    results = [(r["id"], r["title"], r["url"], r["snippet"]) for item in found for r in item["results"]]
    words = [p["text"] for item in body["output"] if item["type"] == "message" for p in item["content"]]
    details = usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]["reasoning_tokens"]
    return (
        "".join(words),
        results,
        [usage["input_tokens"], usage["output_tokens"], *details],
        usage["cost"]["total_cost"],
    )


@given(answers(), st.integers(0, 10**12))
def test_chat_and_responses_tell_the_same(answer: Answer, cost: int):
    """Text, sources, token counts and cost read back from both forms equal what went in."""
    reply = reply_of(answer, cost=cost)
    expected = (
        answer.text,
        [(c.index, c.title, address(c), c.snippet) for c in answer.citations],
        [
            answer.usage.input_tokens,
            answer.usage.output_tokens,
            answer.usage.cached_tokens,
            answer.usage.reasoning_tokens,
        ],
        cost,
    )
    for write, read in ((chat.write_chat, from_chat), (responses_write.write_responses, from_responses)):
        words, results, counts, dollars = read(json.loads(write(reply, ASKED, ENVELOPE)))
        assert (words, results, counts, round(dollars * 10**9)) == expected


@given(answers())
def test_lightrags_form_loses_no_text_and_no_source(answer: Answer):
    """Text, numbers, addresses and passages survive; titles have no place there."""
    body = json.loads(lightrag.write_query(reply_of(answer), ASKED, ENVELOPE))
    assert body["response"] == answer.text
    read = [(r["reference_id"], r["file_path"], (r["content"] or [""])[0]) for r in body["references"]]
    assert read == [(str(c.index), c.file or c.url or "", c.snippet) for c in answer.citations]
    assert body["usage"]["total_tokens"] == answer.usage.input_tokens + answer.usage.output_tokens


@given(answers())
def test_every_annotation_marks_its_own_source(answer: Answer):
    """A span is exactly `[n]` of its source or empty; every source has one at least."""
    message = chat.message(answer)
    spans = [a["url_citation"] for a in message.get("annotations", [])]
    marks = {answer.text[s["start_index"] : s["end_index"]] for s in spans}
    assert marks <= {f"[{c.index}]" for c in answer.citations} | {""}
    assert {s["url"] for s in spans} == {address(c) for c in answer.citations}


@given(answers(), st.lists(st.integers(0, 60), max_size=4))
def test_streams_carry_the_whole_text_in_every_dialect(answer: Answer, cuts: list[int]):
    """However the text is cut into pieces, joining what a client gets gives it back."""
    bounds = sorted({0, len(answer.text), *(c for c in cuts if c < len(answer.text))})
    pieces = [answer.text[a:b] for a, b in itertools.pairwise(bounds)]
    reply = reply_of(answer)
    for writer, read in ((ChatStream, chat_text), (ResponsesStream, responses_text), (QueryStream, query_text)):
        one = writer(ASKED, ENVELOPE, "m")
        stream = one.begin() + b"".join(one.item(TextDelta(piece)) for piece in pieces) + one.end(reply)
        assert read(stream) == answer.text


def events(stream: bytes) -> list[Any]:
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


def chat_text(stream: bytes) -> str:
    return "".join(c["choices"][0]["delta"].get("content", "") for c in events(stream))


def responses_text(stream: bytes) -> str:
    told = events(stream)
    final = "".join(p["text"] for i in told[-1]["response"]["output"] if i["type"] == "message" for p in i["content"])
    assert final == "".join(e["delta"] for e in told if e["type"] == "response.output_text.delta")
    return final


def query_text(stream: bytes) -> str:
    lines = [json.loads(line) for line in stream.split(b"\n") if line]
    return "".join(line.get("response", "") for line in lines)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KNOWN = sorted({*chat.TYPED, *responses.TYPED, *lightrag.TYPED, "temperature", "mode"})
bodies = st.dictionaries(st.sampled_from(KNOWN), json_values, max_size=6).map(lambda b: json.dumps(b).encode())
READERS = [chat.read_chat, responses.read_responses, lightrag.read_plain_query, lightrag.read_stream_query]


def read_or_none(read: Callable[[bytes], Asked], body: bytes) -> Asked | None:
    try:
        return read(body)
    except Malformed:
        return None


@pytest.mark.parametrize("read", READERS)
@given(body=bodies | st.binary(max_size=80))
def test_a_hostile_body_is_read_or_malformed(read: Callable[[bytes], Asked], body: bytes):
    """Wrong types, broken JSON, stray bytes: a question or Malformed, never another error."""
    asked = read_or_none(read, body)
    assert asked is None or asked.question.messages


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("levels", [90, 300, 100_000])
def test_deep_bodies_do_not_exhaust_the_stack(read: Callable[[bytes], Asked], levels: int):
    """Nesting anywhere is either harmless or refused."""
    deep = b"[" * levels + b"]" * levels
    for field in (b"stop", b"tools", b"metadata", b"conversation_history", b"mode"):
        body = b'{"query":"abc","input":"x","messages":[{"role":"user","content":"x"}],"%s":%s}' % (field, deep)
        asked = read_or_none(read, body)
        assert asked is None or encode(asked.question)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), text), max_size=4), name)
def test_a_conversation_survives_every_reader(turns: list[tuple[str, str]], question: str):
    """The same history and question come out whichever dialect they came in."""
    history = [{"role": role, "content": words} for role, words in turns]
    last = {"role": "user", "content": question}
    as_chat = chat.read_chat(json.dumps({"messages": [*history, last]}).encode()).question
    as_responses = responses.read_responses(json.dumps({"input": [*history, last]}).encode()).question
    assert as_chat.messages == as_responses.messages
    if question.strip():
        body = {"query": question, "conversation_history": history}
        assert lightrag.read_query(json.dumps(body).encode()).question.messages == as_chat.messages

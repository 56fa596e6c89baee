"""OpenAI chat completions: what is read from a body and what is written back."""

from __future__ import annotations

import json

import pytest

from equipoise.core.model import Answer, Citation, Message, Question, Usage
from equipoise.gateway.dialects.base import Asked, Envelope, Malformed
from equipoise.gateway.dialects.chat import read_chat, write_chat
from equipoise.gateway.dialects.citations import MAX_MARKS
from tests.shell.gateway.scripted import CITED, reply_of

ASKED = Asked(Question(messages=[Message("user", "?")]))
ENVELOPE = Envelope("req-1", 1_700_000_000)


def written(answer: Answer, **changes: object) -> dict[str, object]:
    return json.loads(write_chat(reply_of(answer, **changes), ASKED, ENVELOPE))


def test_a_body_becomes_a_question_and_stays_with_it():
    """Typed fields, sampling options and engine options find their places; the bytes are kept as they came."""
    body = (
        b'{"model":"auto:cheap","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"}],'
        b'"temperature":0.2,"n":2,"mode":"hybrid","search_recency_filter":"week","max_tokens":9,'
        b'"stream":true,"stream_options":{"include_usage":true},"metadata":{"a":"b"}}'
    )
    asked = read_chat(body)
    question = asked.question
    assert (asked.model, asked.metadata) == ("auto:cheap", {"a": "b"})
    assert question.options == {"temperature": 0.2, "n": 2}
    assert question.extra == {"mode": "hybrid", "search_recency_filter": "week"}
    assert (question.text, question.system) == ("Why?", "Be brief.")
    assert (question.max_tokens, question.stream, question.include_usage) == (9, True, True)
    assert question.body is body


def test_a_nested_extra_body_is_engine_options_too():
    """Whoever writes `extra_body` into the JSON itself means the same as the SDK that flattens it."""
    body = b'{"messages":[{"role":"user","content":"x"}],"extra_body":{"top_k":3},"mode":"mix"}'
    assert read_chat(body).question.extra == {"top_k": 3, "mode": "mix"}


@pytest.mark.parametrize(("older", "newer"), [(5, 7), (7, 5)])
def test_of_two_token_limits_the_larger_is_reckoned_with(older: int, newer: int):
    """`max_completion_tokens` replaced `max_tokens`; which of them an upstream obeys, and bills by, is its own affair."""
    body = b'{"messages":[{"role":"user","content":"x"}],"max_tokens":%d,"max_completion_tokens":%d}' % (older, newer)
    assert read_chat(body).question.max_tokens == 7


def test_parts_tools_and_images_are_kept():
    """What a backend may need is carried, not flattened."""
    body = json.dumps(
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function"}]},
                {"role": "tool", "content": "42", "tool_call_id": "c1"},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "tool_choice": "required",
            "response_format": {"type": "json_object"},
        }
    ).encode()
    question = read_chat(body).question
    assert question.messages[0].content == [{"type": "image_url", "image_url": {"url": "data:,x"}}]
    assert question.messages[2].tool_call_id == "c1"
    assert (question.tool_choice, question.response_format) == ("required", {"type": "json_object"})
    assert question.tools == [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"messages":[]}', "messages"),
        (b'{"messages":[{"role":"wizard","content":"x"}]}', "messages[0].role"),
        (b'{"messages":[{"role":"user","content":7}]}', "messages[0].content"),
        (b'{"messages":[{"role":"user","content":"x"}],"max_tokens":0}', "max_tokens"),
        (b'{"messages":[{"role":"user","content":"x"}],"max_tokens":"many"}', "max_tokens"),
        (b'{"messages":[{"role":"user","content":"x"}],"seed":1e999}', None),
        (b'{"messages":[{"role":"user","content":"x"}],"max_tokens":%s}' % (b"9" * 40), "max_tokens"),
        (b'{"messages":[{"role":"user","content":"x"}],"stop":' + b"[" * 200 + b"]" * 200 + b"}", "stop"),
        (b"{}", None),
        (b"[]", None),
        (b"", None),
        (b"[" * 100_000, None),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', None),
        (b'{"messages":[{"role":"user","content":"x"}],"stop":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    ],
)
def test_a_bad_body_names_its_fault(body: bytes, param: str | None):
    """Hostile or careless bodies are Malformed, with the parameter where it is known."""
    with pytest.raises(Malformed) as caught:
        read_chat(body)
    assert caught.value.param == param


def test_what_is_already_a_completion_passes_untouched():
    """An OpenAI-compatible upstream's bytes are the client's bytes."""
    raw = b'{ "id":"u1",  "choices":[]}'
    assert write_chat(reply_of(Answer(raw=raw)), ASKED, ENVELOPE) == raw


def test_annotations_stand_where_the_marks_are():
    """Start and end cut exactly `[n]` out of the text, for URLs and for files."""
    message = written(CITED)["choices"][0]["message"]
    spans = [a["url_citation"] for a in message["annotations"]]
    assert [message["content"][s["start_index"] : s["end_index"]] for s in spans] == ["[1]", "[2]"]
    assert [s["url"] for s in spans] == ["https://example.org/steam", "heights.txt"]


def test_perplexitys_clients_find_their_lists():
    """Top-level `citations` and `search_results`, the n-th entry being `[n]`."""
    body = written(CITED)
    assert body["citations"] == ["https://example.org/steam", "heights.txt"]
    assert body["search_results"][0]["snippet"] == "It boils."
    assert [(r["source"], r.get("file")) for r in body["search_results"]] == [("web", None), (None, "heights.txt")]


def test_usage_tells_tokens_and_exact_cost():
    """Details where OpenAI has them, cost as a number that is exact to the nano-dollar."""
    usage = written(CITED)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (12, 9, 21)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 4}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert usage["cost"] == 0.001234567
    assert usage["num_search_queries"] == 1
    assert "estimated" not in usage


def test_estimates_are_called_estimates():
    """Tokens that no upstream reported are marked."""
    assert written(Answer(text="x", usage=Usage(estimated=True)))["usage"]["estimated"] is True


def test_tool_calls_come_without_content():
    """A turn that only calls tools has null content, as OpenAI's."""
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    choice = written(Answer(tool_calls=calls, finish_reason="tool_calls"))["choices"][0]
    assert (choice["message"]["content"], choice["message"]["tool_calls"]) == (None, calls)
    assert choice["finish_reason"] == "tool_calls"


def test_a_text_of_nothing_but_marks_has_a_bounded_number_of_annotations():
    """Forty bytes a mark would make gigabytes of a hostile answer; every source still keeps its share."""
    sources = [Citation(index=n, url=f"https://example.org/{n}") for n in (1, 2, 3)]
    message = written(Answer(text="[1][2][3]" * 100_000, citations=sources))["choices"][0]["message"]
    urls = [a["url_citation"]["url"] for a in message["annotations"]]
    assert len(urls) <= MAX_MARKS
    assert set(urls) == {source.url for source in sources}


@pytest.mark.parametrize("many", [b'"x":[' + b"[]," * 150_000 + b"1]", b'"x":[' + b"1," * 250_000 + b"1]"])
def test_a_body_of_too_many_parts_is_refused_before_it_is_decoded(many: bytes):
    """Empty lists by the million cost the loop seconds and memory thirty times their size."""
    with pytest.raises(Malformed) as caught:
        read_chat(b'{"messages":[{"role":"user","content":"x"}],' + many + b"}")
    assert caught.value.status == 413


def test_a_long_text_may_hold_any_number_of_commas_and_brackets():
    """A pasted table or program is one part, quotes and backslashes in it included."""
    table = 'a,"b",[c],{d}\\\n' * 60_000
    body = json.dumps({"messages": [{"role": "user", "content": table}]}).encode()
    assert read_chat(body).question.text == table


@pytest.mark.parametrize("file", ["javascript:alert(1)", "data:text/html,x", " java\nscript:alert(1)//", "C:/notes.md"])
def test_no_file_name_becomes_a_link_that_runs(file: str):
    """A document may be called anything; in the place of an address it is at most a relative one."""
    body = written(Answer(text="See [1].", citations=[Citation(index=1, title=file, file=file)]))
    (annotation,) = body["choices"][0]["message"]["annotations"]
    shown = {annotation["url_citation"]["url"], *body["citations"], body["search_results"][0]["url"]}
    assert [":" in url.split("/")[0] for url in shown] == [False]
    assert body["search_results"][0]["file"] == file

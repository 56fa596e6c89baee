"""The Responses form: what is read from a body and what a whole answer looks like."""

from __future__ import annotations

import json

import pytest

from equipoise.core.model import Answer, Message, Question
from equipoise.gateway.dialects.base import Asked, Envelope, Malformed
from equipoise.gateway.dialects.responses import read_responses
from equipoise.gateway.dialects.responses_write import write_responses
from tests.shell.gateway.scripted import CITED, reply_of

ASKED = Asked(Question(messages=[Message("user", "?")]))
ENVELOPE = Envelope("req-1", 1_700_000_000)


def read(**body: object) -> Asked:
    return read_responses(json.dumps(body).encode())


def test_a_plain_input_is_a_question_with_instructions():
    """`instructions` become the system turn, `max_output_tokens` the limit."""
    asked = read(input="Why?", instructions="Be brief.", model="sonar", max_output_tokens=7, stream=True)
    assert [(m.role, m.content) for m in asked.question.messages] == [("system", "Be brief."), ("user", "Why?")]
    assert (asked.model, asked.question.max_tokens, asked.question.stream) == ("sonar", 7, True)


def test_items_become_a_conversation():
    """Messages, calls side by side, and their outputs take the chat form."""
    asked = read(
        input=[
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Sum?"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "42"},
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]},
        ]
    )
    user, calls, output, image = asked.question.messages
    assert user.content == "Sum?"
    assert [call["id"] for call in calls.tool_calls or ()] == ["a", "b"]
    assert (output.role, output.content, output.tool_call_id) == ("tool", "42", "a")
    assert image.content == [{"type": "image_url", "image_url": {"url": "data:,x"}}]


def test_tools_are_the_callers_or_the_engines():
    """Functions take the chat form; search filters are engine options under their own names."""
    web = {
        "type": "web_search",
        "filters": {"search_recency_filter": "week", "search_domain_filter": ["who.int"]},
        "search_context_size": "high",
    }
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    question = read(input="x", tools=[web, function], preset="low", max_steps=3, reasoning={"effort": "low"}).question
    assert question.tools == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert question.extra == {
        "tools": [web],
        "search_recency_filter": "week",
        "search_domain_filter": ["who.int"],
        "web_search_options": {"search_context_size": "high"},
        "preset": "low",
        "max_steps": 3,
    }
    assert question.options == {"reasoning_effort": "low"}


def test_both_places_of_a_response_format_are_read():
    """OpenAI's `text.format` and Perplexity's `response_format` mean the same."""
    schema = {"name": "s", "schema": {"type": "object"}}
    nested = {"type": "json_schema", "json_schema": schema}
    assert read(input="x", text={"format": {"type": "json_schema", **schema}}).question.response_format == nested
    assert read(input="x", response_format=nested).question.response_format == nested
    assert read(input="x", text={"format": {"type": "text"}}).question.response_format is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "x", "background": True}, "background"),
        ({"input": [{"type": "hologram"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({}, None),
    ],
)
def test_what_cannot_be_kept_is_refused(body: dict[str, object], param: str | None):
    """A promise about stored state would be a lie here, so such a body is turned down with the field's name."""
    with pytest.raises(Malformed) as caught:
        read(**body)
    assert caught.value.param == param


def test_a_whole_answer_has_sources_then_message():
    """Perplexity's `search_results` item, the message with annotations at the marks, usage with cost."""
    body = json.loads(write_responses(reply_of(CITED), ASKED, ENVELOPE))
    search, message = body["output"]
    assert (body["id"], body["status"], body["object"]) == ("resp_req-1", "completed", "response")
    assert [result["id"] for result in search["results"]] == [1, 2]
    (part,) = message["content"]
    assert [part["text"][a["start_index"] : a["end_index"]] for a in part["annotations"]] == ["[1]", "[2]"]
    assert body["usage"]["cost"]["total_cost"] == 0.001234567
    assert body["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}


def test_an_openai_body_is_opened_for_this_dialect():
    """Bytes that were kept for relaying are decoded here, text and calls."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    raw = json.dumps({"choices": [{"message": {"content": "Water.", "tool_calls": [call]}}]}).encode()
    body = json.loads(write_responses(reply_of(Answer(raw=raw)), ASKED, ENVELOPE))
    assert [item["type"] for item in body["output"]] == ["function_call", "message"]
    assert body["output"][1]["content"][0]["text"] == "Water."


def test_a_cut_short_answer_is_incomplete():
    """`length` is said in the Responses way."""
    body = json.loads(write_responses(reply_of(Answer(text="x", finish_reason="length")), ASKED, ENVELOPE))
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})

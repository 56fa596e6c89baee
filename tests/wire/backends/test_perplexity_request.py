"""A question as a body that Perplexity's strict agent API accepts: nothing lost, nothing invented."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perplexity.generated import api

from equipoise.backends import PerplexityClient
from equipoise.backends.perplexity_request import agent_body
from equipoise.core.model import Message, Question

SEARCH = {"type": "web_search", "search_context_size": "low"}
SEARCHING = ({"model": "perplexity/sonar"}, {})


def test_an_option_that_would_be_refused_is_refused_at_start() -> None:
    """The body is strict: a typo would fail every question."""
    with pytest.raises(ValueError, match="background"):
        PerplexityClient(options={"background": True})


def test_search_options_find_their_place() -> None:
    """Top-level names and `web_search_options` of the older API both reach the tool; the client overrules the operator."""
    extra = {"search_domain_filter": ["nih.gov"], "web_search_options": {"search_context_size": "high"}, "mode": "mix"}
    options = {"search_recency_filter": "month", "search_context_size": "medium"}
    body = agent_body(Question(messages=[Message("user", "q")], extra=extra), {"preset": "low"}, options)
    filters = {"search_domain_filter": ["nih.gov"], "search_recency_filter": "month"}
    assert body == {
        "preset": "low",
        "input": "q",
        "tools": [{"type": "web_search", "search_context_size": "high", "filters": filters}],
    }


def test_a_preset_brings_its_own_tools_and_search_can_be_left_out() -> None:
    """No tool is added to a preset unasked, nor where the client wants none."""
    question = Question(messages=[Message("user", "q")])
    assert "tools" not in agent_body(question, {"preset": "fast"}, {})
    assert "tools" not in agent_body(
        Question(messages=[Message("user", "q")], extra={"disable_search": True}), *SEARCHING
    )


def test_a_conversation_with_tools_arrives_in_items() -> None:
    """Turns, images, calls and their results, in order; instructions apart."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "https://a.org/i.png"}}
    messages = [
        Message("system", "Be brief."),
        Message("user", [{"type": "text", "text": "see"}, image]),
        Message("assistant", None, tool_calls=[call]),
        Message("tool", "42", tool_call_id="c1"),
        Message("user", "So?"),
    ]
    function = {"type": "function", "function": {"name": "f", "parameters": {}}}
    body = agent_body(Question(messages=messages, tools=[function], max_tokens=9, tool_choice="auto"), *SEARCHING)
    assert body["instructions"] == "Be brief."
    assert body["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "https://a.org/i.png"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"type": "message", "role": "user", "content": "So?"},
    ]  # fmt: skip
    assert body["tools"] == [SEARCH, {"type": "function", "name": "f", "parameters": {}}]
    assert (body["max_output_tokens"], body["tool_choice"]) == (9, "auto")


def test_a_client_cannot_reach_hosts_or_models_of_his_choice() -> None:
    """Tools that call out or cost by the session, and the model, are the operator's to choose."""
    extra = {
        "tools": [{"type": "mcp", "server_url": "https://evil"}, {"type": "sandbox"}, {"type": "fetch_url"}],
        "model": "x",
        "models": ["y"],
        "background": True,
    }
    body = agent_body(Question(messages=[Message("user", "q")], extra=extra), *SEARCHING)
    assert body == {"model": "perplexity/sonar", "input": "q", "tools": [{"type": "fetch_url"}, SEARCH]}


NAMES = st.sampled_from(["stop", "n", "top_k", "logprobs", "seed", "search_mode", "search_type", "user"]) | st.text(
    max_size=10
)
FIELDS = api.ResponsesRequestInput.model_fields.keys()


@given(
    st.dictionaries(NAMES, st.integers() | st.text(max_size=5), max_size=6),
    st.dictionaries(NAMES, st.integers(), max_size=6),
)
def test_only_fields_that_the_api_knows_are_sent(options: dict[str, Any], extra: dict[str, Any]) -> None:
    """Whatever a client adds, the official SDK's request type has every field, with the right type."""
    question = Question(messages=[Message("user", "q")], options=options, extra=extra, stream=True)
    body = agent_body(question, *SEARCHING)
    assert body.keys() <= FIELDS
    api.ResponsesRequestInput.model_validate(body, strict=True)


def test_everything_that_can_be_said_is_said_in_the_apis_own_words() -> None:
    """A question that uses all of it fits the official SDK's request type field for field."""
    function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
    question = Question(
        messages=[Message("user", "q"), Message("assistant", "a"), Message("user", [{"type": "text", "text": "b"}])],
        options={"temperature": 0.5, "top_p": 0.9, "reasoning_effort": "low", "stop": ["x"]},
        tools=[function],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        extra={
            "search_recency_filter": "week",
            "user_location": {"country": "DE"},
            "language_preference": "de",
            "search_type": "pro",
        },
    )
    body = agent_body(question, *SEARCHING)
    assert (body["temperature"], body["reasoning"], body["tool_choice"]) == (
        0.5,
        {"effort": "low"},
        {"type": "function", "name": "f"},
    )
    assert "search_type" not in body["tools"][0]
    assert body.keys() <= FIELDS
    api.ResponsesRequestInput.model_validate(body, strict=True)

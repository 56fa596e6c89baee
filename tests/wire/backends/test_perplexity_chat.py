"""Perplexity's older chat API: cumulative usage, sources beside the text, the bill at the end."""

from __future__ import annotations

from typing import Any

import msgspec
import perplexity.types as sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perplexity.types.chat import completion_create_params
from pydantic import TypeAdapter

from equipoise.backends import PerplexityChatClient, make_client
from equipoise.backends.base import TextDelta
from equipoise.backends.perplexity_chat import chat_body
from equipoise.core.model import Citation, Message, Question, Usage, Verdict
from tests.wire.backends.scripted import (
    ScriptedUpstream,
    collected,
    failed,
    failed_stream,
    recorded,
    request_for,
    text_of,
)

TEXT = "Lipids fall early [1]; spectrometry dominates [2]."
USAGE = Usage(input_tokens=14, output_tokens=23)
COST = 5_037_000


def client_for(upstream: ScriptedUpstream, **options: Any) -> PerplexityChatClient:
    """A client with a key, made as a configuration makes it."""
    client = make_client("perplexity", api="chat", endpoint_url=upstream.url, api_key="pplx-test", **options)
    assert isinstance(client, PerplexityChatClient)
    return client


def test_the_fixtures_are_what_the_official_sdk_accepts() -> None:
    """Our recorded shapes against the SDK's own type."""
    chunk = TypeAdapter(sdk.StreamChunk)
    assert chunk.validate_json(recorded("perplexity_chat.json"), strict=True).choices[0].message.content == TEXT
    parts = [part.removeprefix(b"data: ") for part in recorded("perplexity_chat.sse").split(b"\r\n\r\n") if part]
    assert [chunk.validate_json(part, strict=True).object for part in parts][-1] == "chat.completion.done"


async def test_an_answer_comes_with_sources_and_the_bill(upstream: ScriptedUpstream) -> None:
    """Search results are numbered by their place, as the text cites them."""
    upstream.replies(recorded("perplexity_chat.json"))
    answer = await client_for(upstream).send(request_for(), 5.0)
    assert (answer.text, answer.usage, answer.metered_cost) == (TEXT, USAGE, COST)
    assert answer.citations[1] == Citation(
        2, "A review of metabolomics", "https://example.org/review", None, "Mass spectrometry dominates.", "2026-01-15"
    )
    assert (upstream.seen[0].path, upstream.body()["model"]) == ("/chat/completions", "sonar")


async def test_the_last_usage_of_a_stream_counts(upstream: ScriptedUpstream) -> None:
    """Usage is cumulative: the sum of all would bill the answer several times."""
    upstream.streams(recorded("perplexity_chat.sse"))
    items, answer = await collected(client_for(upstream), request_for(stream=True))
    assert items == [TextDelta("Lipids fall "), TextDelta("early [1]; "), TextDelta("spectrometry dominates [2].")]
    assert (answer.text, answer.usage, answer.metered_cost, len(answer.citations)) == (TEXT, USAGE, COST, 2)


async def test_a_stream_reads_the_same_cut_at_every_byte(upstream: ScriptedUpstream) -> None:
    """Wherever TCP cuts it, within CRLF too."""
    wire = recorded("perplexity_chat.sse")
    client = client_for(upstream)
    for place in range(1, len(wire), 41):
        upstream.streams(wire[:place], wire[place:])
        items, answer = await collected(client, request_for(stream=True))
        assert (text_of(items), answer.metered_cost) == (TEXT, COST)


async def test_a_cut_stream_is_an_error_that_knows_its_usage(upstream: ScriptedUpstream) -> None:
    """What the last chunk said was used is not forgotten."""
    wire = recorded("perplexity_chat.sse")
    cut = wire.index(b'"object": "chat.completion.done"')
    upstream.streams(wire[:cut], then="cut")
    items, error = await failed_stream(client_for(upstream), request_for(stream=True))
    assert text_of(items) == TEXT
    assert (error.verdict, error.usage) == (Verdict.FAILURE, USAGE)
    upstream.streams(wire[: wire.index(b"data: ", 10)])
    assert (await failed_stream(client_for(upstream), request_for(stream=True)))[1].code == "upstream_malformed"


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'])
async def test_imitators_end_their_streams_as_openai_does(upstream: ScriptedUpstream, end: bytes) -> None:
    """[DONE] or a finish reason is an end as well."""
    upstream.streams(b'data: {"choices":[{"delta":{"content":"yes"}}],"citations":["https://a.org/"]}\n\n', end)
    _, answer = await collected(client_for(upstream), request_for(stream=True))
    assert (answer.text, answer.citations) == ("yes", [Citation(1, url="https://a.org/")])
    assert answer.usage.estimated


async def test_errors_in_every_shape(upstream: ScriptedUpstream) -> None:
    """In a 200, in an event, with nothing in it, as garbage."""
    client = client_for(upstream)
    for body, verdict in [
        ({"error": {"message": "x", "type": "rate_limit_error"}}, Verdict.THROTTLED),
        ({"choices": []}, Verdict.NO_ANSWER),
    ]:
        upstream.replies(body)
        assert (await failed(client, request_for())).verdict is verdict
        upstream.streams(b"data: " + msgspec.json.encode(body) + b"\n\ndata: [DONE]\n\n")
        items, error = await failed_stream(client, request_for(stream=True))
        assert (items, error.verdict) == ([], verdict)
    upstream.replies(b"[]")
    assert (await failed(client, request_for())).verdict is Verdict.FAILURE


def test_search_options_are_nested_where_this_api_wants_them() -> None:
    """The operator's context size and the client's filters both arrive."""
    question = Question(
        messages=[Message("developer", "Brief."), Message("user", "q")],
        extra={"search_recency_filter": "week", "mode": "mix"},
        max_tokens=5,
    )
    body = chat_body(question, "sonar-pro", {"search_context_size": "high"})
    assert body.pop("messages")[0].role == "system"
    assert body == {
        "model": "sonar-pro",
        "search_recency_filter": "week",
        "web_search_options": {"search_context_size": "high"},
        "max_tokens": 5,
    }


NAMES = st.sampled_from(
    ["temperature", "seed", "search_mode", "model", "messages", "search_context_size", "logit_bias"]
) | st.text(max_size=8)


@given(st.dictionaries(NAMES, st.integers(), max_size=6), st.dictionaries(NAMES, st.integers(), max_size=6))
def test_only_fields_that_the_api_knows_are_sent(options: dict[str, int], extra: dict[str, int]) -> None:
    """Whatever a client adds, no field goes out that the official SDK has no name for, and the model is ours."""
    body = chat_body(Question(messages=[Message("user", "q")], options=options, extra=extra), "sonar", {})
    allowed = completion_create_params.CompletionCreateParamsBase.__annotations__.keys() | {"stream"}
    assert body.keys() <= allowed
    assert body["model"] == "sonar"

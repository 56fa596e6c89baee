"""Perplexity's agent API: what is sent, how success and failure are told apart, and the exact bill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import perplexity.types as sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perplexity.generated import api
from pydantic import TypeAdapter

from equipoise.backends import PerplexityClient
from equipoise.backends.base import TextDelta, ToolCallDelta
from equipoise.backends.billing import decode_exactly, metered
from equipoise.core.model import Usage, Verdict
from tests.wire.backends.scripted import (
    ScriptedUpstream,
    collected,
    failed,
    failed_stream,
    recorded,
    request_for,
    text_of,
)

TEXT = "Lactate remains the reference [7], while lipids fall early [1]."
USAGE = Usage(input_tokens=3184, output_tokens=271, cached_tokens=1024, reasoning_tokens=64, searches=2)
COST = 6_281_500
SEARCH = {"type": "web_search", "search_context_size": "low"}


def client_for(upstream: ScriptedUpstream, **options: Any) -> PerplexityClient:
    """A client with a key."""
    return PerplexityClient(upstream.url, api_key="pplx-test", **options)


def changed(**fields: Any) -> dict[str, Any]:
    """The recorded response with other fields."""
    return {**msgspec.json.decode(recorded("perplexity_agent.json")), **fields}


def event(kind: str, **fields: Any) -> bytes:
    """One event of a stream."""
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


def test_the_fixtures_are_what_the_official_sdk_accepts() -> None:
    """Our recorded shapes against the response types of Perplexity's own SDK."""
    reply = TypeAdapter(sdk.ResponseCreateResponse).validate_json(recorded("perplexity_agent.json"), strict=True)
    assert reply.output_text == TEXT
    assert [item.type for item in reply.output] == ["search_results", "message"]
    TypeAdapter(sdk.ResponseCreateResponse).validate_json(recorded("perplexity_agent_failed.json"), strict=True)
    events = [part.split(b"\ndata: ")[1] for part in recorded("perplexity_agent.sse").split(b"\n\n") if part]
    chunk = TypeAdapter(sdk.ResponseStreamChunk)
    chunk.rebuild(_types_namespace=vars(api))
    kinds = [chunk.validate_json(data, strict=True).type for data in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def test_an_answer_comes_with_sources_usage_and_the_exact_bill(upstream: ScriptedUpstream) -> None:
    """Sources keep the numbers that the text cites; the bill is the upstream's to the nano-dollar."""
    upstream.replies(recorded("perplexity_agent.json"))
    answer = await client_for(upstream).send(request_for(), 5.0)
    assert (answer.text, answer.usage, answer.metered_cost) == (TEXT, USAGE, COST)
    assert [(source.index, source.url) for source in answer.citations] == [
        (1, "https://example.org/lipids"),
        (2, "https://example.org/review"),
        (7, "https://example.org/bedside?x=1"),
    ]
    assert (answer.citations[2].date, answer.model) == ("2025-11-30", "perplexity/sonar")
    assert upstream.seen[0].path == "/v1/agent"
    assert upstream.seen[0].headers[b"authorization"] == b"Bearer pplx-test"


async def test_by_default_sonar_searches_with_little_context(upstream: ScriptedUpstream) -> None:
    """Without the tool it would not search at all."""
    upstream.replies(recorded("perplexity_agent.json"))
    await client_for(upstream).send(request_for("Why?"), 5.0)
    assert upstream.body() == {"model": "perplexity/sonar", "input": "Why?", "tools": [SEARCH]}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_response_in_a_success_is_a_failure(upstream: ScriptedUpstream, stream: bool) -> None:
    """HTTP says 200, `status` says failed: what was billed is told with the error."""
    reply = decode_exactly(recorded("perplexity_agent_failed.json"))
    client = client_for(upstream)
    if stream:
        upstream.streams(
            event("response.created"),
            b"event: response.failed\ndata: "
            + msgspec.json.encode(
                {"type": "response.failed", "error": reply["error"], "response": reply}, enc_hook=float
            )
            + b"\n\n",
        )
        items, error = await failed_stream(client, request_for(stream=True))
        assert items == []
    else:
        upstream.replies(recorded("perplexity_agent_failed.json"))
        error = await failed(client, request_for())
    assert (error.verdict, "overloaded" in str(error)) == (Verdict.FAILURE, True)
    assert error.usage is not None
    assert error.usage.input_tokens == 3184


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"status": "cancelled"}, Verdict.FAILURE),
        ({"status": "queued", "output": []}, Verdict.FAILURE),
        ({"status": None}, Verdict.FAILURE),
        ({"status": "failed", "error": {"message": "slow down", "type": "rate_limit_error"}}, Verdict.THROTTLED),
        ({"status": "failed", "error": {"message": "x", "code": "insufficient_quota"}}, Verdict.REFUSED),
        ({"output": []}, Verdict.NO_ANSWER),
        ({"status": "incomplete", "output": []}, Verdict.NO_ANSWER),
    ],
)
async def test_the_status_decides(upstream: ScriptedUpstream, fields: dict[str, Any], verdict: Verdict) -> None:
    """Anything but a finished response with something in it is no success, and is billed all the same."""
    upstream.replies(changed(**fields))
    error = await failed(client_for(upstream), request_for())
    assert (error.verdict, error.metered_cost) == (verdict, COST)


async def test_an_incomplete_answer_with_text_is_a_short_one(upstream: ScriptedUpstream) -> None:
    """The limit was the client's: he gets what there is, and why it ends."""
    upstream.replies(changed(status="incomplete", incomplete_details={"reason": "max_output_tokens"}))
    assert (await client_for(upstream).send(request_for(), 5.0)).finish_reason == "length"


async def test_functions_to_call_come_in_openais_form(upstream: ScriptedUpstream) -> None:
    """Whole and streamed."""
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c1",
        "name": "f",
        "arguments": "{}",
        "status": "completed",
    }
    upstream.replies(changed(status="requires_action", output=[call]))
    wanted = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    answer = await client_for(upstream).send(request_for(), 5.0)
    assert (answer.tool_calls, answer.finish_reason) == (wanted, "tool_calls")
    upstream.streams(
        event("response.output_item.done", item=call), event("response.completed", response=changed(output=[call]))
    )
    items, answer = await collected(client_for(upstream), request_for(stream=True))
    assert items == [ToolCallDelta(wanted)]
    assert answer.tool_calls == wanted


async def test_a_stream_comes_in_pieces_and_ends_with_the_bill(upstream: ScriptedUpstream) -> None:
    """Typed events, no [DONE]: the last one has sources, usage and cost."""
    upstream.streams(recorded("perplexity_agent.sse"))
    items, answer = await collected(client_for(upstream), request_for(stream=True))
    assert items == [
        TextDelta("Lactate remains "),
        TextDelta("the reference [7], "),
        TextDelta("while lipids fall early [1]."),
    ]
    assert (answer.text, answer.usage, answer.metered_cost, len(answer.citations)) == (TEXT, USAGE, COST, 3)
    assert upstream.body()["stream"] is True


async def test_a_stream_reads_the_same_cut_at_every_byte(upstream: ScriptedUpstream) -> None:
    """Wherever TCP cuts it."""
    wire = recorded("perplexity_agent.sse")
    client = client_for(upstream)
    for place in range(1, len(wire), 41):
        upstream.streams(wire[:place], wire[place:])
        items, answer = await collected(client, request_for(stream=True))
        assert (text_of(items), answer.metered_cost) == (TEXT, COST)


@pytest.mark.parametrize("then", ["cut", "end"])
async def test_a_stream_without_its_last_event_is_an_error(upstream: ScriptedUpstream, then: str) -> None:
    """Cut or just ended: what came before is no answer."""
    wire = recorded("perplexity_agent.sse")
    client = client_for(upstream)
    for place in range(0, wire.index(b"event: response.completed"), 173):
        upstream.streams(wire[:place], then=then)
        _, error = await failed_stream(client, request_for(stream=True))
        assert error.verdict is Verdict.FAILURE
        assert error.usage is not None


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (event("response.cancelled", response={}), Verdict.FAILURE),
        (event("response.failed", error={"message": "no"}), Verdict.FAILURE),
        (event("response.incomplete", response={"output": []}), Verdict.NO_ANSWER),
        (event("error", message="Too many requests", code="429"), Verdict.THROTTLED),
        (b'event: error\ndata: {"error":{"message":"bad key","type":"authentication_error"}}\n\n', Verdict.REFUSED),
        (b'data: {"error":{"message":"dead"}}\n\n', Verdict.FAILURE),
        (b"data: <html>\n\n", Verdict.FAILURE),
    ],
)
async def test_every_way_a_stream_can_end_badly(upstream: ScriptedUpstream, last: bytes, verdict: Verdict) -> None:
    """Four endings and a bare error; before the first word nothing was passed on."""
    upstream.streams(event("response.created"), event("response.reasoning.started", thought="hm"), last)
    items, error = await failed_stream(client_for(upstream), request_for(stream=True))
    assert (items, error.verdict) == ([], verdict)


async def test_text_that_comes_only_at_the_end_is_not_lost(upstream: ScriptedUpstream) -> None:
    """A stream without deltas still gives its text."""
    upstream.streams(event("response.completed", response=changed()))
    items, _ = await collected(client_for(upstream), request_for(stream=True))
    assert items == [TextDelta(TEXT)]


async def test_a_complaint_about_our_body_is_not_the_clients(upstream: ScriptedUpstream) -> None:
    """The body is strict and ours; what the client did choose is his."""
    client = client_for(upstream)
    upstream.replies(
        {"error": {"message": "Invalid model 'perplexity/sonar'", "type": "invalid_model", "code": 400}}, 400
    )
    assert (await failed(client, request_for())).verdict is Verdict.REFUSED
    upstream.replies({"error": {"message": "unknown field `colour`", "type": "invalid_request", "code": 400}}, 400)
    assert (await failed(client, request_for())).verdict is Verdict.FAILURE
    upstream.replies(
        {"error": {"message": "max_output_tokens must be positive", "type": "invalid_request", "code": 400}}, 400
    )
    assert (await failed(client, request_for(max_tokens=-1))).verdict is Verdict.IGNORED


async def test_a_probe_proves_reachability_and_says_so(upstream: ScriptedUpstream) -> None:
    """The list of models is open to anyone."""
    upstream.replies({"object": "list", "data": []})
    result = await client_for(upstream).probe()
    assert (result.healthy, result.details) == (True, {"proves": "reachable", "key": "unknown", "models": 0})
    assert upstream.seen[0].path == "/v1/models"


@given(st.decimals(0, 1000, places=9), st.sampled_from(["{}", '"{}"']))
def test_money_is_read_exactly(amount: Decimal, spelling: str) -> None:
    """Any amount of whole nano-dollars arrives as it was written, as a number or as text."""
    reply = decode_exactly(b'{"total_cost":' + spelling.format(format(amount, "f")).encode() + b"}")
    assert metered(reply) == int(amount * 1_000_000_000)


@pytest.mark.parametrize(
    "cost",
    [
        {"total_cost": -1},
        {"total_cost": None},
        {"total_cost": True},
        {"total_cost": "x"},
        {"total_cost": 1, "currency": "EUR"},
        None,
        [],
        "NaN",
    ],
)
def test_what_is_no_amount_of_dollars_is_not_booked(cost: Any) -> None:
    """It is then priced, not taken for nothing."""
    assert metered(cost) is None

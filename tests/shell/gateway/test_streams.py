"""Stream items in the three dialects: what goes out, in which order, and how an interruption looks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from equipoise.backends.base import Finished, ReasoningDelta, Relayed, StreamItem, TextDelta, ToolCallDelta
from equipoise.core.model import Answer, Message, Question, Usage
from equipoise.gateway.dialects.base import Asked, Envelope
from equipoise.gateway.dialects.chat_stream import ChatStream
from equipoise.gateway.dialects.lightrag import QueryStream
from equipoise.gateway.dialects.responses_stream import ResponsesStream
from equipoise.gateway.problems import Problem
from equipoise.gateway.streaming import StreamBody
from tests.shell.gateway.scripted import CITED, ScriptedStream, reply_of

ENVELOPE = Envelope("req-1", 1_700_000_000)
CUT = Problem(502, "stream_interrupted", "cut", attempts=1, cost=5).told("req-1")
RELAYED = b'data: {"choices":[{"index":0,"delta":{"content":"Wa"}}]}\n\ndata: {"choices":[{"delta":{"content":"ter"},"finish_reason":"length"}]}\n\n'


def asked(include_usage: bool = False) -> Asked:
    return Asked(Question(messages=[Message("user", "?")], stream=True, include_usage=include_usage))


def run(writer: Any, items: list[StreamItem], answer: Answer) -> bytes:
    return writer.begin() + b"".join(writer.item(item) for item in items) + writer.end(reply_of(answer))


def data(stream: bytes) -> list[Any]:
    """The payloads of all events but `[DONE]`."""
    lines = [line[6:] for line in stream.splitlines() if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def test_pieces_become_chunks_with_one_role_and_one_end():
    """Role first, text, sources, finish reason, usage and story, `[DONE]`."""
    stream = run(ChatStream(asked(), ENVELOPE, "m"), [TextDelta("Water "), TextDelta("boils")], CITED)
    chunks = data(stream)
    deltas = [c["choices"][0]["delta"] for c in chunks]
    assert deltas[0] == {"role": "assistant", "content": "Water "}
    assert deltas[1] == {"content": "boils"}
    assert chunks[2]["citations"] == ["https://example.org/steam", "heights.txt"]
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None, None, None, "stop", None]
    assert chunks[-1]["usage"]["cost"] == 0.001234567
    assert chunks[-1]["equipoise"] == {
        "backend": "graph-a",
        "strategy": "cost_optimized",
        "attempts": 1,
        "cost_usd": "0.001234567",
        "cost_source": "metered",
        "fallback_from": None,
    }
    assert stream.endswith(b"\n\ndata: [DONE]\n\n")
    assert stream.count(b"[DONE]") == 1
    assert {c["id"] for c in chunks} == {"chatcmpl-req-1"}


def test_who_asked_for_usage_gets_it_without_choices():
    """OpenAI's form of the usage chunk, only on request: others index `choices[0]`."""
    last = data(run(ChatStream(asked(True), ENVELOPE, "m"), [TextDelta("x")], CITED))[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 21


def test_relayed_events_pass_untouched_and_are_finished_once():
    """No decoding, no second finish reason, the upstream's id on our last chunk."""
    writer = ChatStream(asked(), ENVELOPE, "m")
    assert writer.item(Relayed(RELAYED)) is RELAYED or writer.item(Relayed(RELAYED)) == RELAYED
    end = writer.end(reply_of(Answer(usage=Usage(3, 4), model="gpt", upstream_id="up-7")))
    (last,) = data(end)
    assert (last["id"], last["model"], last["choices"][0]["finish_reason"]) == ("up-7", "gpt", None)


def test_reasoning_and_tool_calls_are_streamed():
    """In the fields OpenAI-compatible clients look at."""
    call = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]
    chunks = data(run(ChatStream(asked(), ENVELOPE, "m"), [ReasoningDelta("hm"), ToolCallDelta(call)], Answer()))
    assert chunks[0]["choices"][0]["delta"]["reasoning_content"] == "hm"
    assert chunks[1]["choices"][0]["delta"]["tool_calls"] == call


def test_a_cut_chat_stream_ends_in_an_error():
    """The error, what it cost so far, then `[DONE]`: never a finish reason."""
    end = ChatStream(asked(), ENVELOPE, "m").cut(CUT)
    (error,) = data(end)
    assert error["error"] == {
        "message": "cut",
        "type": "server_error",
        "param": None,
        "code": "stream_interrupted",
    }
    assert (error["request_id"], error["attempts"], error["cost_usd"]) == ("req-1", 1, "0.000000005")
    assert end.endswith(b"data: [DONE]\n\n")
    assert b"finish_reason" not in end


def test_responses_events_are_numbered_and_balanced():
    """Every item and part that is opened is closed, and the last event holds the whole."""
    events = data(
        run(ResponsesStream(asked(), ENVELOPE, "m"), [ReasoningDelta("hm"), TextDelta("Wa"), TextDelta("ter")], CITED)
    )
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    kinds = [e["type"].removeprefix("response.") for e in events]
    assert kinds[:2] == ["created", "in_progress"]
    assert kinds.count("output_item.added") == kinds.count("output_item.done") == 3
    assert kinds.count("content_part.added") == kinds.count("content_part.done") == 2
    assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == "Water"
    last = events[-1]["response"]
    assert (kinds[-1], last["status"]) == ("completed", "completed")
    assert [item["type"] for item in last["output"]] == ["reasoning", "message", "search_results"]
    assert last["usage"]["cost"]["total_cost"] == 0.001234567


def test_every_item_keeps_its_index_through_its_events():
    """`output_index` of added, deltas and done is the item's place in the final output."""
    events = data(run(ResponsesStream(asked(), ENVELOPE, "m"), [ReasoningDelta("hm"), TextDelta("Water")], CITED))
    output = events[-1]["response"]["output"]
    for event in events:
        if "item_id" in event:
            assert output[event["output_index"]]["id"] == event["item_id"]
        if event["type"].endswith("output_item.done"):
            assert output[event["output_index"]] == event["item"]


def test_a_cut_response_fails_and_never_completes():
    """`response.failed` with the error where both SDKs look for it."""
    writer = ResponsesStream(asked(), ENVELOPE, "m")
    (event,) = data(writer.cut(CUT))
    assert (event["type"], event["error"]["code"]) == ("response.failed", "stream_interrupted")
    assert (event["response"]["status"], event["response"]["error"]["message"]) == ("failed", "cut")


@pytest.mark.parametrize("dialect", [ResponsesStream, QueryStream])
def test_relayed_events_are_translated_for_other_dialects(dialect: type):
    """Text in an upstream's chat chunks reaches a client that speaks something else, whole."""
    stream = run(dialect(asked(), ENVELOPE, "m"), [Relayed(RELAYED)], Answer(usage=Usage(1, 2)))
    told = data(stream) if dialect is ResponsesStream else [json.loads(line) for line in stream.splitlines()]
    assert (
        "".join(t.get("delta", "") or t.get("response", "") for t in told if isinstance(t.get("response", ""), str))
        == "Water"
    )


def test_a_relayed_answer_that_was_cut_short_is_incomplete():
    """The finish reason in a relayed chunk becomes the Responses status."""
    events = data(run(ResponsesStream(asked(), ENVELOPE, "m"), [Relayed(RELAYED)], Answer()))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_tool_calls_in_pieces_become_one_item():
    """Arguments are joined by index."""
    pieces = [
        ToolCallDelta([{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}]),
        ToolCallDelta([{"index": 0, "function": {"arguments": ":1}"}}]),
    ]
    events = data(run(ResponsesStream(asked(), ENVELOPE, "m"), pieces, Answer(finish_reason="tool_calls")))
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["call_id"], item["arguments"]) == ("function_call", "c1", '{"a":1}')


def test_a_query_stream_is_lines_with_references_before_its_last():
    """NDJSON: text lines, references as soon as they are known, then the bill."""
    stream = run(QueryStream(asked(), ENVELOPE, "m"), [TextDelta("Wa"), TextDelta("ter")], CITED)
    lines = [json.loads(line) for line in stream.splitlines()]
    assert [line.get("response") for line in lines[:2]] == ["Wa", "ter"]
    assert lines[2]["references"][1] == {"reference_id": "2", "file_path": "heights.txt", "content": None}
    assert (lines[3]["llm_generated"], lines[3]["equipoise"]["cost_usd"]) == (True, "0.001234567")


def test_a_cut_query_stream_ends_in_an_error_line():
    """As LightRAG itself ends one."""
    line = json.loads(QueryStream(asked(), ENVELOPE, "m").cut(CUT))
    assert (line["error"], line["code"], line["cost_usd"]) == ("cut", "stream_interrupted", "0.000000005")


async def test_a_body_closes_its_upstream_even_if_it_was_never_started():
    """The client may be gone before the first piece is asked for."""
    ended: list[Problem | None] = []
    stream = ScriptedStream("req-1", [TextDelta("x")])
    await StreamBody(stream, ChatStream(asked(), ENVELOPE, "m"), ended.append).aclose()
    assert stream.closed == 1
    assert [problem and problem.code for problem in ended] == ["cancelled"]


async def test_a_body_closes_its_upstream_in_the_middle():
    """Hanging up after the first piece closes as well."""
    stream = ScriptedStream("req-1", [TextDelta("x"), TextDelta("y"), Finished(CITED)])
    body = StreamBody(stream, ChatStream(asked(), ENVELOPE, "m"), lambda problem: None)
    await anext(body)
    await body.aclose()
    assert stream.closed == 1
    assert [piece async for piece in body] == []


async def test_a_malformed_relayed_chunk_is_an_interruption_in_another_dialect():
    """What cannot be translated is not left out silently."""
    stream = ScriptedStream("req-1", [Relayed(b"data: {nonsense\n\n"), Finished(CITED)])
    body = [piece async for piece in StreamBody(stream, ResponsesStream(asked(), ENVELOPE, "m"), lambda problem: None)]
    assert data(b"".join(body))[-1]["type"] == "response.failed"

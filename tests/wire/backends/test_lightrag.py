"""LightRAG servers: what is asked, what counts as an answer, and the failures they do not tell."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends import LightRAGClient
from equipoise.backends.base import BackendError, TextDelta
from equipoise.backends.lightrag_wire import (
    CANNED,
    QUERY_FIELDS,
    Told,
    answers_nothing,
    may_be_canned,
    options_of,
    query_body,
)
from equipoise.core.model import Citation, Message, Question, Verdict
from equipoise.http import Response
from tests.wire.backends.scripted import (
    JSON,
    NDJSON,
    ScriptedUpstream,
    collected,
    failed,
    failed_stream,
    recorded,
    request_for,
    text_of,
)

STREAMED = "Lactate is the reference marker [1]. Lipids fall early [2]."


def line(**fields: object) -> bytes:
    """One line of a streamed reply."""
    return msgspec.json.encode(fields) + b"\n"


async def test_an_answer_comes_with_citations_and_estimated_usage(upstream: ScriptedUpstream) -> None:
    """References keep their numbers, a web address its link, passages are kept for scoring; usage says it is a guess."""
    upstream.replies(recorded("lightrag_query.json"))
    answer = await LightRAGClient(upstream.url, api_key="k").send(request_for(), 5.0)
    assert answer.citations == [
        Citation(1, "sepsis_review.pdf", None, "sepsis_review.pdf", "Lactate above 2 mmol/L marks shock."),
        Citation(2, "https://example.org/lipids", "https://example.org/lipids", "https://example.org/lipids", "Phosphatidylcholines fall. They recover late."),
    ]  # fmt: skip
    assert answer.contexts == [
        "Lactate above 2 mmol/L marks shock.",
        "Phosphatidylcholines fall.",
        "They recover late.",
    ]
    assert answer.usage.estimated
    assert answer.usage.input_tokens > 2_000  # the prompts of both hidden calls
    assert (upstream.seen[0].path, upstream.seen[0].headers[b"x-api-key"]) == ("/query", b"k")


async def test_older_servers_are_understood(upstream: ScriptedUpstream) -> None:
    """1.4.9 to 1.5.3 say nothing of `llm_generated`: that is no failure."""
    upstream.replies(recorded("lightrag_query_old.json"))
    answer = await LightRAGClient(upstream.url).send(request_for(), 5.0)
    assert answer.text.startswith("Lactate")
    assert len(answer.citations) == 2


@pytest.mark.parametrize("canned", CANNED)
@pytest.mark.parametrize("flag", [{"llm_generated": False}, {}])
async def test_a_canned_reply_is_no_answer(upstream: ScriptedUpstream, canned: str, flag: dict[str, bool]) -> None:
    """LightRAG hides a dead LLM behind a 200: the text or the flag gives it away, whole and streamed."""
    client = LightRAGClient(upstream.url)
    upstream.replies({"response": canned, "references": [], **flag})
    assert (await failed(client, request_for())).verdict is Verdict.NO_ANSWER
    upstream.streams(
        line(references=[]), *(line(response=piece, **flag) for piece in (canned[:9], canned[9:])), headers=NDJSON
    )
    items, error = await failed_stream(client, request_for(stream=True))
    assert (items, error.verdict) == ([], Verdict.NO_ANSWER)
    assert error.usage is not None
    assert error.usage.estimated


@pytest.mark.parametrize("name", ["lightrag_no_context.json", "lightrag_no_context.ndjson"])
async def test_recorded_failures_are_no_answers(upstream: ScriptedUpstream, name: str) -> None:
    """Both recorded forms of finding nothing."""
    upstream.answer = Response(200, JSON, recorded(name))
    client = LightRAGClient(upstream.url)
    assert (await failed(client, request_for())).verdict is Verdict.NO_ANSWER
    items, error = await failed_stream(client, request_for(stream=True))
    assert (items, error.verdict) == ([], Verdict.NO_ANSWER)


async def test_raw_context_that_was_asked_for_is_an_answer(upstream: ScriptedUpstream) -> None:
    """`only_need_context` is answered without the LLM, and says so."""
    upstream.replies({"response": "Entities: lactate", "references": [], "llm_generated": False})
    answer = await LightRAGClient(upstream.url).send(request_for(extra={"only_need_context": True}), 5.0)
    assert answer.text == "Entities: lactate"


async def test_a_stream_comes_in_pieces_with_its_sources(upstream: ScriptedUpstream) -> None:
    """The pieces add up; the sources of the first line come in the last item."""
    upstream.streams(recorded("lightrag_query.ndjson"), headers=NDJSON)
    items, answer = await collected(LightRAGClient(upstream.url), request_for(stream=True))
    assert items == [
        TextDelta("Lactate is "),
        TextDelta("the reference marker [1]. "),
        TextDelta("Lipids fall early [2]."),
    ]
    assert (answer.text, [c.file for c in answer.citations]) == (
        STREAMED,
        ["sepsis_review.pdf", "https://example.org/lipids"],
    )
    assert upstream.seen[0].path == "/query/stream"


async def test_a_stream_reads_the_same_cut_at_every_byte(upstream: ScriptedUpstream) -> None:
    """Wherever TCP cuts it."""
    wire = recorded("lightrag_query.ndjson")
    client = LightRAGClient(upstream.url)
    for place in range(1, len(wire), 5):
        upstream.streams(wire[:place], wire[place:], headers=NDJSON)
        items, answer = await collected(client, request_for(stream=True))
        assert (text_of(items), len(answer.citations)) == (STREAMED, 2)


async def test_a_cut_stream_is_an_error_wherever_it_is_cut(upstream: ScriptedUpstream) -> None:
    """There is no terminator but the end of the body: without it there is no answer."""
    wire = recorded("lightrag_query.ndjson")
    client = LightRAGClient(upstream.url)
    for place in range(0, len(wire) + 1, 17):
        upstream.streams(wire[:place], headers=NDJSON, then="cut")
        _, error = await failed_stream(client, request_for(stream=True))
        assert error.verdict is Verdict.FAILURE
        assert error.usage is not None


async def test_an_error_line_within_a_success_is_a_failure(upstream: ScriptedUpstream) -> None:
    """Before the first words nothing was passed on; after them the stream is broken off."""
    client = LightRAGClient(upstream.url)
    upstream.streams(line(references=[]), line(error="LLM service unavailable"), headers=NDJSON)
    items, error = await failed_stream(client, request_for(stream=True))
    assert (items, error.verdict) == ([], Verdict.FAILURE)
    upstream.streams(line(response="Lactate is"), line(error="Rate limit reached, code 429"), headers=NDJSON)
    items, error = await failed_stream(client, request_for(stream=True))
    assert text_of(items) == "Lactate is"
    assert "Rate limit" in str(error)


async def test_garbage_is_a_failure(upstream: ScriptedUpstream) -> None:
    """Whatever is no JSON object is no reply."""
    client = LightRAGClient(upstream.url)
    for garbage in (b"<html>", b"[1]", b'{"response":'):
        upstream.answer = Response(200, JSON, garbage)
        assert (await failed(client, request_for())).verdict is Verdict.FAILURE
        assert (await failed_stream(client, request_for(stream=True)))[1].verdict is Verdict.FAILURE


async def test_a_question_too_short_for_a_graph_is_not_sent(upstream: ScriptedUpstream) -> None:
    """LightRAG would refuse it with 422; another kind of backend can answer it, so nobody is to blame."""
    error = await failed(LightRAGClient(upstream.url), request_for("Hi"))
    assert (error.verdict, error.sent, upstream.seen) == (Verdict.NO_ANSWER, False, [])
    upstream.replies({"response": "Hello!"})
    assert (await LightRAGClient(upstream.url, mode="bypass").send(request_for("Hi"), 5.0)).text == "Hello!"


async def test_a_bad_mode_is_the_fault_of_whoever_set_it(upstream: ScriptedUpstream) -> None:
    """422 about the operator's mode counts against the backend, about the client's it is his."""
    upstream.replies({"detail": [{"loc": ["body", "mode"], "msg": "bad", "type": "literal_error"}]}, 422)
    client = LightRAGClient(upstream.url, mode="mixx")
    assert (await failed(client, request_for())).verdict is Verdict.FAILURE
    assert (await failed(client, request_for(extra={"mode": "x"}))).verdict is Verdict.IGNORED


def test_an_option_that_is_none_is_refused_at_start() -> None:
    """A typo in the configuration would otherwise be ignored by LightRAG silently."""
    with pytest.raises(ValueError, match="top_kk"):
        LightRAGClient("http://127.0.0.1:9621", options={"top_kk": 3})


async def test_health_and_key_are_probed_and_the_key_rarely(upstream: ScriptedUpstream) -> None:
    """A good key is remembered; a wrong one makes the server unfit although `/health` says it is well."""
    upstream.routes = {
        "/health": Response(200, JSON, recorded("lightrag_health.json")),
        "/auth/verify": Response(200, JSON, b'{"status":"ok"}'),
    }
    client = LightRAGClient(upstream.url, api_key="k")
    result, again = await client.probe(), await client.probe()
    assert (result.healthy, again.healthy, result.details["key"], result.details["core_version"]) == (
        True,
        True,
        "ok",
        "1.5.7",
    )
    assert [request.path for request in upstream.seen] == ["/health", "/auth/verify", "/health"]
    upstream.routes["/auth/verify"] = Response(403, JSON, b'{"detail":"Invalid API Key"}')
    refused = await LightRAGClient(upstream.url, api_key="k").probe()
    assert (refused.healthy, "Invalid API Key" in (refused.error or "")) == (False, True)


@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_without_a_key_check_is_healthy_all_the_same(upstream: ScriptedUpstream, status: int) -> None:
    """Older servers cannot tell about the key."""
    upstream.routes = {"/health": Response(200, JSON, b'{"status":"healthy"}'), "/auth/verify": Response(status)}
    result = await LightRAGClient(upstream.url).probe()
    assert (result.healthy, result.details["key"]) == (True, "unknown")


async def test_document_counts_can_be_asked_for(upstream: ScriptedUpstream) -> None:
    """`details` tells what is in the index, or why it cannot."""
    client = LightRAGClient(upstream.url)
    upstream.routes["/documents/status_counts"] = Response(200, JSON, b'{"status_counts":{"processed":50,"failed":0}}')
    assert await client.details() == {"processed": 50, "failed": 0}
    upstream.routes["/documents/status_counts"] = Response(403, JSON, b"{}")
    with pytest.raises(BackendError):
        await client.details()


ROLES = st.sampled_from(["user", "assistant", "tool"])
WORDS = st.text(min_size=1, max_size=20).filter(str.strip)


@given(st.lists(st.tuples(ROLES, WORDS), max_size=5), WORDS, st.lists(WORDS, max_size=2))
def test_a_conversation_arrives_whole(turns: list[tuple[str, str]], question: str, instructions: list[str]) -> None:
    """The last question, every turn around it in order, and all instructions: each once, none lost."""
    before = [Message("system", text) for text in instructions] + [Message(role, text) for role, text in turns]
    body = query_body(Question(messages=[*before, Message("user", question)]), {"mode": "mix"})
    assert body["query"] == question.strip()
    assert [turn["content"] for turn in body.get("conversation_history", [])] == [text for _, text in turns]
    assert body.get("user_prompt", "") == "\n\n".join(instructions)
    assert body.keys() <= {"query", "mode", "conversation_history", "user_prompt"}


@given(
    st.dictionaries(
        st.text(max_size=12) | st.sampled_from(["mode", "top_k", "query", "stream"]), st.integers(), max_size=6
    )
)
def test_only_fields_that_lightrag_knows_are_sent(extra: dict[str, int]) -> None:
    """What belongs to another engine, or is ours to fill, is left out."""
    sent = options_of(Question(messages=[], extra=extra), {"mode": "mix", "top_k": 5})
    assert sent.keys() == {"mode", "top_k"} | (extra.keys() & QUERY_FIELDS)
    assert sent.keys().isdisjoint({"query", "stream"})
    assert sent["top_k"] == extra.get("top_k", 5)


@given(st.text(max_size=60), st.integers(0, 60))
def test_holding_back_never_holds_what_can_be_told_apart(text: str, place: int) -> None:
    """A beginning is held exactly as long as some canned reply begins with it."""
    for canned in CANNED:
        assert may_be_canned(canned[:place])
    begins = any(canned.startswith(text.strip()) for canned in CANNED)
    assert may_be_canned(text) == (begins or "[no-context]" in text)
    assert answers_nothing(Told(text=[text]), {}) == (
        not text.strip() or text.strip() in CANNED or "[no-context]" in text
    )

"""Our LightRAG client against the real server."""

from __future__ import annotations

from typing import Any

import pytest

from equipoise.backends.base import BackendError, Finished, TextDelta
from equipoise.backends.lightrag import LightRAGClient
from equipoise.core.model import Message, Question, Request, Verdict
from equipoise.sandbox.real.processes import call
from equipoise.sandbox.real.stack import Stack

PATIENCE = 60.0
SEPSIS = "What does falling blood lactate predict in sepsis?"
POOL = "How is a pooled quality control sample made?"


def asking(text: str, *earlier: Message, **extra: Any) -> Request:
    return Request(id="e2e", question=Question(messages=[*earlier, Message("user", text)], extra=extra))


def last_conversation(stack: Stack) -> list[dict[str, Any]]:
    """The newest conversation LightRAG had with its model."""
    conversation: list[dict[str, Any]] = call(stack.rules.port, "GET", "/seen")[1]["conversations"][-1]
    return conversation


def paid_calls(stack: Stack) -> tuple[int, int]:
    """Conversations with the model and texts embedded so far: what a provider would bill."""
    asked = call(stack.rules.port, "GET", "/seen")[1]["asked"]
    return asked, call(stack.embeddings.port, "GET", "/health")[1]["texts"]


async def test_an_answer_comes_with_the_document_it_was_taken_from(client: LightRAGClient) -> None:
    """The text quotes the right document, and that document is the citation."""
    answer = await client.send(asking(SEPSIS), PATIENCE)
    assert "lactate" in answer.text
    assert [citation.file for citation in answer.citations] == ["lactate-sepsis.txt"]
    assert answer.usage.estimated
    assert answer.usage.output_tokens > 0


async def test_a_stream_says_the_same_as_the_whole_answer(client: LightRAGClient) -> None:
    """Several pieces, joined equal to the unstreamed text, and the same citations at the end."""
    whole = await client.send(asking(POOL), PATIENCE)
    items = [item async for item in client.stream(asking(POOL), PATIENCE)]
    pieces = [item.text for item in items if isinstance(item, TextDelta)]
    assert len(pieces) > 1
    assert "".join(pieces).strip() == whole.text.strip()
    assert isinstance(items[-1], Finished)
    assert items[-1].answer.citations == whole.citations


async def test_a_wrong_key_is_refused_not_counted_as_a_failure(stack: Stack) -> None:
    """LightRAG's 403 is about the key: REFUSED, for questions and streams."""
    stranger = LightRAGClient(f"http://127.0.0.1:{stack.lightrag.port}", api_key="wrong")
    with pytest.raises(BackendError) as refusal:
        await stranger.send(asking(SEPSIS), PATIENCE)
    assert refusal.value.verdict is Verdict.REFUSED
    with pytest.raises(BackendError) as refusal:
        await anext(stranger.stream(asking(SEPSIS), PATIENCE))
    assert refusal.value.verdict is Verdict.REFUSED
    await stranger.close()


async def test_a_probe_notices_a_wrong_key_although_health_is_open_to_all(stack: Stack) -> None:
    """`/health` answers 200 to anybody; the probe asks further."""
    stranger = LightRAGClient(f"http://127.0.0.1:{stack.lightrag.port}", api_key="wrong")
    found = await stranger.probe()
    assert not found.healthy
    assert "wrong" not in (found.error or "")
    await stranger.close()


async def test_a_probe_costs_nothing(client: LightRAGClient, stack: Stack) -> None:
    """Neither the model nor the embedding server is called by a probe."""
    before = paid_calls(stack)
    for _ in range(3):
        assert (await client.probe()).healthy
    assert paid_calls(stack) == before


async def test_earlier_turns_and_instructions_reach_the_model_behind_lightrag(
    client: LightRAGClient, stack: Stack
) -> None:
    """A conversation goes round: history as turns, the system prompt inside LightRAG's own instructions."""
    earlier = (
        Message("system", "Answer like a pharmacist."),
        Message("user", "What is lactate?"),
        Message("assistant", "A product of glycolysis."),
    )
    await client.send(asking("And what does its fall predict in sepsis?", *earlier), PATIENCE)
    system, *turns = last_conversation(stack)
    assert "Answer like a pharmacist." in system["content"]
    assert [(turn["role"], turn["content"]) for turn in turns] == [
        ("user", "What is lactate?"),
        ("assistant", "A product of glycolysis."),
        ("user", "And what does its fall predict in sepsis?"),
    ]


async def test_the_engines_own_options_pass_through(client: LightRAGClient) -> None:
    """`chunk_top_k` asks LightRAG for more passages, so more documents are cited, counted from 1."""
    answer = await client.send(asking("Which metabolites are raised?", mode="naive", chunk_top_k=4), PATIENCE)
    assert len(answer.citations) > 1
    assert [citation.index for citation in answer.citations] == list(range(1, len(answer.citations) + 1))


async def test_a_question_without_context_is_no_answer(client: LightRAGClient) -> None:
    """LightRAG's 200 with its canned sentence is not delivered as an answer."""
    with pytest.raises(BackendError) as silence:
        await client.send(asking("qwxz vbnm", mode="naive"), PATIENCE)
    assert silence.value.verdict is Verdict.NO_ANSWER


@pytest.mark.usefixtures("no_model")
async def test_a_dead_model_behind_a_healthy_server_is_no_answer(client: LightRAGClient) -> None:
    """LightRAG hides it behind a 200, and its health stays green; whole and streamed answers are told apart all the same."""
    assert (await client.probe()).healthy
    with pytest.raises(BackendError) as silence:
        await client.send(asking(SEPSIS), PATIENCE)
    assert silence.value.verdict is Verdict.NO_ANSWER
    with pytest.raises(BackendError) as silence:
        await anext(client.stream(asking(SEPSIS), PATIENCE))
    assert silence.value.verdict is Verdict.NO_ANSWER


@pytest.mark.usefixtures("no_embeddings")
async def test_dead_embeddings_behind_a_healthy_server_are_no_answer(client: LightRAGClient) -> None:
    """The same for the other service LightRAG depends on."""
    with pytest.raises(BackendError) as silence:
        await client.send(asking(SEPSIS, mode="naive"), PATIENCE)
    assert silence.value.verdict is Verdict.NO_ANSWER

"""The openai SDK against the real gateway: LightRAG and llama.cpp behind it, nothing simulated but LightRAG's model."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from openai import OpenAI

from equipoise.sandbox.real.gateway import RealGateway

SEPSIS = "What does falling blood lactate predict in sepsis?"
QUOTED = "predicts survival"
FILE = "lactate-sepsis.txt"


@pytest.fixture
def openai(gateway: RealGateway) -> Iterator[OpenAI]:
    """A client that knows nothing of us but the address."""
    with OpenAI(base_url=f"{gateway.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_completion_carries_its_source_and_its_cost(openai: OpenAI) -> None:
    """The answer of LightRAG comes as OpenAI's completion; sources as top-level lists, cost in header and usage alike."""
    raw = openai.chat.completions.with_raw_response.create(model="auto", messages=[{"role": "user", "content": SEPSIS}])
    completion = raw.parse()
    assert QUOTED in (completion.choices[0].message.content or "")
    extra = completion.model_extra or {}
    assert [source["title"] for source in extra["search_results"]] == [FILE]
    assert raw.headers["x-equipoise-backend"] == "lightrag"
    assert raw.headers["x-equipoise-cost-source"] == "estimated"
    usage = (completion.usage.model_extra or {}) if completion.usage else {}
    assert Decimal(raw.headers["x-equipoise-cost-usd"]) == Decimal(str(usage["cost"])) > 0


def test_a_stream_is_the_same_answer_in_pieces(openai: OpenAI) -> None:
    """NDJSON from LightRAG arrives as chunks, with sources, a finish reason and usage before the end."""
    chunks = list(
        openai.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": SEPSIS}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert len(pieces) > 1
    assert QUOTED in "".join(pieces)
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    found = [chunk.model_extra["search_results"] for chunk in chunks if (chunk.model_extra or {}).get("search_results")]
    assert [source["title"] for source in found[-1]] == [FILE]
    assert chunks[-1].usage is not None


def test_a_pinned_local_model_is_relayed_with_its_own_usage(openai: OpenAI) -> None:
    """llama.cpp's stream goes through, and the tokens counted are its own."""
    chunks = list(
        openai.chat.completions.create(
            model="small-model",
            messages=[{"role": "user", "content": "Say hello."}],
            max_tokens=12,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    usage = chunks[-1].usage
    assert usage is not None
    assert 0 < usage.completion_tokens <= 12
    assert not (usage.model_extra or {}).get("estimated")


def test_the_models_on_offer_are_routes_and_backends(openai: OpenAI) -> None:
    """A client's list of models names the automatic route and every backend that can be pinned."""
    assert {"auto", "lightrag", "small-model"} <= {model.id for model in openai.models.list()}


def test_a_conversation_keeps_its_instructions_and_turns(openai: OpenAI) -> None:
    """A system prompt and earlier turns are accepted and answered."""
    completion = openai.chat.completions.create(
        model="auto",
        messages=[
            {"role": "system", "content": "Answer briefly."},
            {"role": "user", "content": "What is lactate?"},
            {"role": "assistant", "content": "A product of glycolysis."},
            {"role": "user", "content": SEPSIS},
        ],
        extra_body={"mode": "naive"},
    )
    assert QUOTED in (completion.choices[0].message.content or "")

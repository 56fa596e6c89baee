"""LightRAG's own dialect and the perplexityai SDK against the real gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from perplexity import Perplexity

from equipoise.sandbox.real.gateway import RealGateway
from equipoise.sandbox.real.stack import Stack

QUESTION = "How is a pooled quality control sample made?"
QUOTED = "mixing a small volume of every study sample"
FILE = "quality-control.txt"


@pytest.fixture
def perplexity(gateway: RealGateway) -> Iterator[Perplexity]:
    """Perplexity's client with nothing changed but the address."""
    with Perplexity(base_url=gateway.address, api_key="none", max_retries=0) as client:
        yield client


def test_a_lightrag_client_sees_no_difference_but_more(gateway: RealGateway, stack: Stack) -> None:
    """`POST /query` through the gateway says what the server itself says; usage and story are additions."""
    direct = stack.ask_lightrag("POST", "/query", {"query": QUESTION})
    through = httpx.post(f"{gateway.address}/query", json={"query": QUESTION}, timeout=60).json()
    assert QUOTED in through["response"]
    for field in ("response", "references", "llm_generated"):
        assert through[field] == direct[field]


def test_a_lightrag_stream_stays_ndjson(gateway: RealGateway) -> None:
    """`POST /query/stream` gives one JSON object a line: pieces of the answer, and the references."""
    with httpx.stream("POST", f"{gateway.address}/query/stream", json={"query": QUESTION}, timeout=60) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.iter_lines() if line]
    assert QUOTED in "".join(line.get("response", "") for line in lines)
    references = [line["references"] for line in lines if "references" in line]
    assert [[reference["file_path"] for reference in found] for found in references] == [[FILE]]


def test_a_query_too_short_for_lightrag_is_answered_by_whoever_can(gateway: RealGateway) -> None:
    """LightRAG would answer 422 to two letters; the gateway asks the small model."""
    answer = httpx.post(f"{gateway.address}/query", json={"query": "Hi"}, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["x-equipoise-backend"] == "small-model"


def test_a_perplexity_client_gets_text_and_sources(perplexity: Perplexity) -> None:
    """`responses.create` is answered by LightRAG in Perplexity's shape."""
    response = perplexity.responses.create(model="auto", input=QUESTION)
    assert response.status == "completed"
    assert QUOTED in response.output_text
    found = [item for item in response.output if item.type == "search_results"]
    assert [result.title for item in found for result in item.results] == [FILE]


def test_a_perplexity_client_streams(perplexity: Perplexity) -> None:
    """Its typed events: text in deltas, the completed response last."""
    events = list(perplexity.responses.create(model="auto", input=QUESTION, stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert QUOTED in "".join(deltas)
    assert events[-1].type == "response.completed"

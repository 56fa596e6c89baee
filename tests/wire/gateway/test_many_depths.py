"""Bodies nested to the edge of what the interpreter can follow."""

from __future__ import annotations

import json

import pytest

from tests.wire.gateway.fleet import Fleet

DEPTHS = (50, 99, 101, 150, *range(900, 1_000), 100_000)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/query"])
@pytest.mark.parametrize("field", ["unknown", "metadata", "extra_body", "response_format"])
async def test_no_depth_of_a_body_is_a_fault_of_ours(fleet: Fleet, path: str, field: str) -> None:
    """What is nested just as deep as it can be read is written again further down the stack: never a 500, no lease kept."""
    question = "What is clinical metabolomics, and what do targeted assays measure?"
    asked = {"model": "general_llm", "messages": [{"role": "user", "content": question}]}
    asked |= {"input": question, "query": question}
    for depth in DEPTHS:
        deep = '{"equipoise":' + "[" * depth + "]" * depth + "}"
        body = json.dumps({**asked, field: "deep"}).replace('"deep"', deep).encode()
        response = await fleet.pool.request("POST", path, body=body)
        await response.read()
        assert response.status in (200, 400, 422), (depth, response.status)
    assert fleet.estate.balancer.in_flight == 0

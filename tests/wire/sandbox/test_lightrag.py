"""The LightRAG-shaped backend keeps the wire format of API 0344."""

from __future__ import annotations

import json

import pytest

from tests.wire.sandbox.conftest import Start

KEY = {"x_api_key": "sandbox"}
KNOWN = "What is clinical metabolomics?"
UNKNOWN = "Who won the chess tournament?"


async def test_a_known_question_is_answered_with_references(start: Start) -> None:
    """The text cites by number what `references` lists by file."""
    peer = await start("graph_deep")
    status, answer = await peer.json("POST", "/query", {"query": KNOWN}, **KEY)
    assert status == 200
    assert answer["llm_generated"] is True
    assert "[1]" in answer["response"]
    expected = {"reference_id": "1", "file_path": "clinical-metabolomics.md", "content": None}
    assert answer["references"] == [expected]


@pytest.mark.parametrize("path", ["/query", "/query/stream"])
async def test_an_unknown_question_gets_a_200_that_no_model_wrote(start: Start, path: str) -> None:
    """An empty retrieval is no error: one has to read the text or the flag."""
    peer = await start("graph_deep")
    status, answer = await peer.json("POST", path, {"query": UNKNOWN}, **KEY)
    assert (status, answer["llm_generated"], answer["references"]) == (200, False, [])
    assert answer["response"].endswith("[no-context]")


async def test_a_broken_model_behind_it_is_a_silent_failure(start: Start) -> None:
    """With `no_context` a known question gets the canned sentence, and its deep probe fails."""
    peer = await start("graph_deep")
    await peer.faults(no_context=True)
    _, answer = await peer.json("POST", "/query", {"query": KNOWN}, **KEY)
    assert answer["response"] == "No relevant context found for the query."
    status, _ = await peer.json("POST", "/query/data", {"query": KNOWN, "mode": "naive"}, **KEY)
    assert status == 500
    assert (await peer.json("GET", "/health"))[1]["status"] == "healthy"


async def test_a_stream_is_a_line_of_references_and_lines_of_text(start: Start) -> None:
    """The joined pieces are the text of the unstreamed answer."""
    peer = await start("graph_deep")
    lines = (await peer.text("POST", "/query/stream", {"query": KNOWN}, **KEY)).splitlines()
    first, *rest = [json.loads(line) for line in lines]
    assert [r["file_path"] for r in first["references"]] == ["clinical-metabolomics.md"]
    _, whole = await peer.json("POST", "/query", {"query": KNOWN}, **KEY)
    assert "".join(line["response"] for line in rest) == whole["response"]


@pytest.mark.parametrize(
    ("headers", "status", "detail"),
    [
        ({}, 403, "API Key required"),
        ({"x_api_key": "wrong"}, 403, "Invalid API Key"),
        ({"authorization": "Bearer sandbox"}, 401, "Invalid token"),
    ],
)
async def test_only_the_right_x_api_key_opens(start: Start, headers: dict[str, str], status: int, detail: str) -> None:
    """A key as bearer token is taken for a JWT and refused."""
    peer = await start("graph_deep")
    for method, path in (("POST", "/query"), ("GET", "/auth/verify"), ("GET", "/documents/status_counts")):
        assert await peer.json(method, path, {"query": KNOWN}, **headers) == (status, {"detail": detail})


@pytest.mark.parametrize(
    ("body", "where", "kind"),
    [
        ({"query": "ab"}, ["body", "query"], "string_too_short"),
        ({}, ["body", "query"], "missing"),
        ({"query": KNOWN, "mode": "magic"}, ["body", "mode"], "literal_error"),
        (b"{", ["body", 0], "json_invalid"),
    ],
)
async def test_a_wrong_body_is_a_422_that_says_where(
    start: Start, body: object, where: list[object], kind: str
) -> None:
    """The shape is pydantic's."""
    peer = await start("graph_deep")
    status, answer = await peer.json("POST", "/query", body, **KEY)
    assert status == 422
    assert (answer["detail"][0]["loc"], answer["detail"][0]["type"]) == (where, kind)


async def test_unknown_fields_are_ignored(start: Start) -> None:
    """The real server ignores them silently."""
    peer = await start("graph_deep")
    assert (await peer.json("POST", "/query", {"query": KNOWN, "temperature": 1}, **KEY))[0] == 200


async def test_data_has_chunks_and_no_bill(start: Start) -> None:
    """`/query/data` retrieves without a model; `chunk_top_k` limits it."""
    peer = await start("graph_deep")
    body = {"query": "LC-MS or NMR for diabetes?", "mode": "naive", "chunk_top_k": 1}
    _, answer = await peer.json("POST", "/query/data", body, **KEY)
    assert (answer["status"], len(answer["data"]["chunks"])) == ("success", 1)
    assert (await peer.stats())["billed_usd"] == "0.000000000"


async def test_health_tells_more_to_who_has_the_key(start: Start) -> None:
    """Health is open and always 200; the configuration is not."""
    peer = await start("graph_deep")
    assert "configuration" not in (await peer.json("GET", "/health"))[1]
    assert "configuration" in (await peer.json("GET", "/health", **KEY))[1]


async def test_the_small_graph_knows_less(start: Start) -> None:
    """Quality differs: the quick graph has half the documents and quotes one at a time."""
    deep, quick = await start("graph_deep"), await start("graph_quick")
    counts = [
        (await p.json("GET", "/documents/status_counts", **KEY))[1]["status_counts"]["all"] for p in (deep, quick)
    ]
    assert counts == [28, 14]

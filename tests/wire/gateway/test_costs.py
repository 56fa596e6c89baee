"""The cost report over the admin listener: JSON, CSV, and words for what makes no sense."""

from __future__ import annotations

import csv
import io
import json

import pytest

from equipoise.cli.serving import make_gateway
from equipoise.config.load import load
from equipoise.http import Pool, Server
from tests.wire.gateway.fleet import Fleet

ASKED = {"messages": [{"role": "user", "content": "What is clinical metabolomics?"}], "model": "general_llm"}


@pytest.fixture
async def admin(fleet: Fleet):
    """The admin listener as `serve` puts it together, beside the fleet's own."""
    config = load(fleet._configuration()).config
    server = Server(make_gateway(config, fleet.estate).handle_admin)
    await server.start()
    pool = Pool(f"http://127.0.0.1:{server.port}")
    yield pool
    await pool.close()
    await server.drain(0)


async def told(admin: Pool, query: str) -> tuple[int, bytes, bytes]:
    response = await admin.request("GET", "/admin/costs" + query)
    return response.status, response.headers[b"content-type"], await response.read()


async def test_what_was_spent_stands_beside_what_it_would_have_been(fleet: Fleet, admin: Pool) -> None:
    """The question that was just answered is in it, in both forms alike."""
    response = await fleet.post("/v1/chat/completions", ASKED, x_equipoise_tags="=team")
    await response.read()
    status, _, body = await told(admin, "?by=tenant,tag")
    found = json.loads(body)
    assert status == 200
    assert found["total"]["spent_usd"] == await fleet.billed() != "0.000000000"
    assert found["dearest"] in ("web_search", "graph_deep")
    assert found["total"]["saved_against_dearest_percent"] > 0
    assert [(row["tenant"], row["tag"]) for row in found["rows"]] == [("default", "=team")]
    status, kind, body = await told(admin, "?by=tenant,tag&format=csv&since=1h")
    (row,) = csv.DictReader(io.StringIO(body.decode()))
    assert (status, kind) == (200, b"text/csv; charset=utf-8")
    assert (row["tag"], row["spent_usd"]) == ("'=team", found["total"]["spent_usd"])


@pytest.mark.parametrize("query", ["?by=colour", "?since=yesterday", "?format=xml", "?until=1e99", "?x=1"])
async def test_what_makes_no_sense_is_a_400(admin: Pool, query: str) -> None:
    """With what would."""
    status, _, body = await told(admin, query)
    assert (status, json.loads(body)["error"]["type"]) == (400, "invalid_request_error")

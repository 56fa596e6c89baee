"""The operator's listener and who may ask it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from equipoise.stores import StoreError
from tests.shell.gateway.scripted import ScriptedBalancer, gateway_of, http, whole


async def ask(balancer: ScriptedBalancer, method: str, path: str, **options: Any) -> tuple[int, Any]:
    headers = options.pop("headers", {})
    request = http(method, path)
    request.headers.update({name.encode(): value.encode() for name, value in headers.items()})
    response = await gateway_of(balancer, **options).handle_admin(request)
    body = await whole(response)
    return response.status, json.loads(body) if body.startswith(b"{") else body


async def test_backends_are_listed_drained_and_resumed():
    """The rows of the balancer's status, and its two commands by name."""
    balancer = ScriptedBalancer()
    assert await ask(balancer, "GET", "/admin/backends") == (200, balancer.status())
    assert (await ask(balancer, "POST", "/admin/backends/graph-a/drain"))[0] == 200
    assert (await ask(balancer, "POST", "/admin/backends/graph%2Da/resume"))[0] == 200
    assert balancer.commands == [("drain", "graph-a"), ("resume", "graph-a")]


@pytest.mark.parametrize(
    ("backend", "body", "status"),
    [
        ("graph-a", b'{"weight": 2.5}', 200),
        ("graph-a", b'{"weight": -1}', 400),
        ("graph-a", b'{"weight": "2"}', 400),
        ("graph-a", b"{}", 400),
        ("graph-a", b'{"weight": 1, "of": 2}', 400),
        ("nobody", b'{"weight": 2.5}', 404),
    ],
)
async def test_a_weight_is_changed_by_a_number_and_by_nothing_else(backend: str, body: bytes, status: int):
    """What is no weight is refused with a sentence, and nothing is done."""
    balancer = ScriptedBalancer()
    request = http("POST", f"/admin/backends/{backend}/weight", body)
    response = await gateway_of(balancer).handle_admin(request)
    assert response.status == status
    assert balancer.commands == ([("weight 2.5", "graph-a")] if status == 200 else [])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/admin/backends/nobody/drain", 404),
        ("GET", "/admin/backends/graph-a/drain", 405),
        ("POST", "/admin/backends/graph-a/explode", 404),
        ("GET", "/admin/backends/graph-a/weight", 405),
        ("POST", "/admin/config_dump", 405),
        ("GET", "/admin/secrets", 404),
        ("GET", "/v1/models", 404),
        ("OPTIONS", "/admin/backends", 204),
    ],
)
async def test_other_commands_do_nothing(method: str, path: str, status: int):
    """No command by GET, none for strangers, no questions here."""
    balancer = ScriptedBalancer()
    assert (await ask(balancer, method, path))[0] == status
    assert balancer.commands == []


async def test_config_bill_and_statistics_come_from_their_owners():
    """The gateway only passes them on."""

    async def summary() -> dict[str, Any]:
        return {"cost_usd": "0.000000001", "records": 3}

    balancer = ScriptedBalancer()
    assert await ask(balancer, "GET", "/admin/ledger/summary", ledger_summary=summary) == (200, await summary())
    assert (await ask(balancer, "GET", "/admin/ledger/summary"))[0] == 404
    assert await ask(balancer, "GET", "/admin/config_dump", config_dump=lambda: {"key": "***"}) == (200, {"key": "***"})
    status, statistics = await ask(balancer, "GET", "/admin/stats", stats=lambda: {"requests": 7})
    assert (status, statistics["requests"], statistics["draining"]) == (200, 7, False)


async def test_a_ledger_that_cannot_be_read_is_said_to_be_unavailable():
    """503 with the store's own sentence, here and where a request's story is asked for."""

    async def broken(*asked: str) -> Any:
        raise StoreError("cannot read the ledger: disk I/O error")

    status, body = await ask(ScriptedBalancer(), "GET", "/admin/ledger/summary", ledger_summary=broken)
    assert (status, body["error"]["code"]) == (503, "ledger_unavailable")
    response = await gateway_of(ScriptedBalancer(), story=broken).handle(http("GET", "/v1/requests/known"))
    assert response.status == 503


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/metrics"])
async def test_probes_are_answered_here_too(path: str):
    """So that readiness can still be asked while the public listener drains."""
    assert (await ask(ScriptedBalancer(), "GET", path))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:4001"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:4001"}, 200),
        ({"host": "ops.internal:4001"}, 200),
        ({"host": "rebound.example:4001"}, 403),
        ({"host": ""}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "10.0.0.1:4001"}, 403),
        ({"host": "127.0.0.1:4001", "origin": "http://127.0.0.1:4001"}, 200),
        ({"host": "127.0.0.1:4001", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:4001", "origin": "null"}, 403),
        ({"host": "127.0.0.1:4001", "origin": "http://[broken"}, 403),
        ({"host": "127.0.0.1:4001", "sec-fetch-site": "cross-site"}, 403),
    ],
)
async def test_pages_of_other_sites_cannot_ask(headers: dict[str, str], status: int):
    """Neither a rebound name nor a foreign page reaches the operator's listener."""
    answer = await ask(ScriptedBalancer(), "GET", "/admin/backends", headers=headers, admin_hosts=("ops.internal",))
    assert answer[0] == status

"""The document at /openapi.json describes the gateway: all of it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from equipoise.core.budget import Budgets
from equipoise.core.efficiency import CostEfficiency
from equipoise.gateway import (
    alerting,
    backends,
    budgeting,
    canarying,
    configuring,
    costs,
    explaining,
    learning,
    migrating,
    openapi,
    people,
    purging,
    quality,
)
from equipoise.gateway.auditing import Auditor
from equipoise.gateway.caching import ResponseCache
from equipoise.gateway.records import TEMPLATES
from equipoise.stores.audit import AuditStore
from tests.fakes import FakeClock
from tests.shell.gateway.scripted import ScriptedBalancer, gateway_of, http, whole


class Still:
    """A configuration that nothing happens to."""

    async def reload(self, *, dry_run: bool = False) -> dict[str, Any]:
        return {}

    async def change(self, values: Any, unset: list[str], *, dry_run: bool) -> dict[str, Any]:
        return {}

    async def save(self, *, dry_run: bool = False) -> dict[str, Any]:
        return {}

    async def turn(self) -> None: ...

    async def store(self) -> Any: ...

    async def add(self, backend_id: str, settings: Any, *, dry_run: bool) -> dict[str, Any]:
        return {}

    update = add

    async def remove(self, backend_id: str, *, dry_run: bool) -> dict[str, Any]:
        return {}


def gateway() -> Any:
    balancer: Any = ScriptedBalancer()
    balancer.efficiency = CostEfficiency(3600.0, lambda route: 0.0)
    balancer.selection = SimpleNamespace(budgets=Budgets(), clock=FakeClock(), backends={})
    operations = {
        **migrating.operations(None),
        **canarying.operations(None),
        **configuring.operations(Still()),
        **explaining.operations(balancer),
        **alerting.operations(None),
        **quality.operations(balancer, None),
        **learning.operations(balancer),
        **purging.operations(ResponseCache(balancer)),
        **costs.operations(None, dict, str),
        **budgeting.operations(balancer, Still(), bool),
    }
    auditor = Auditor(AuditStore(Path("/nowhere/audit.sqlite3")))
    return gateway_of(balancer, auditor=auditor, operations=operations, commands=backends.commands(Still()))


def described(listener: str) -> set[tuple[str, str]]:
    paths = openapi.document(listener)["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_every_public_route_is_described_and_nothing_else():
    """HEAD is GET without a body and goes without saying."""
    routes = {(method, path) for method, path in gateway()._routes if method != "HEAD"}
    assert described("public") == routes | {("GET", path) for path in TEMPLATES}


def test_every_admin_route_is_described_and_nothing_else():
    """Commands on backends have their names in the path."""
    admin = gateway()._admin
    routes = {("GET", path) for path in (*admin._routes, *admin._probes)} | set(admin._operations)
    verbs = {("POST", f"/admin/backends/{{id}}/{verb}") for verb in (*people.STEERING, *admin._commands)}
    assert described("admin") == routes | verbs


@pytest.mark.parametrize("listener", ["public", "admin"])
async def test_what_is_described_is_served(listener: str):
    """Under its path and with its method."""
    served = gateway()
    handle = served.handle if listener == "public" else served.handle_admin
    for method, path in sorted(described(listener)):
        response = await handle(http(method, path.replace("{id}", "graph-a"), b""))
        body = await whole(response)
        assert b"There is nothing at" not in body, path
        assert response.status != 405, path


@pytest.mark.parametrize("listener", ["public", "admin"])
async def test_the_document_is_served_without_a_key(listener: str):
    """It holds nothing secret, and every reference in it leads somewhere."""
    served = gateway()
    handle = served.handle if listener == "public" else served.handle_admin
    found = json.loads(await whole(await handle(http("GET", openapi.PATH))))
    assert found == msgspec.json.decode(openapi.written(listener))
    text = json.dumps(found)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in found["components"]["schemas"]

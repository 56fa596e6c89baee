"""Each configuration field and each of the seven switches changes what happens, but for those in the one table of what is
to come: there, the feature that builds it removes the row, and this test then wants a check."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields

import pytest

from equipoise.config.pending import pending
from equipoise.http import Server
from lightrag_integration import PRODUCTION_LB_FEATURES
from lightrag_integration._translation import SWITCHES
from lightrag_integration.production_load_balancer import BackendInstanceConfig, ProductionLoadBalancingConfig
from tests.specified.conftest import Balance, Start
from tests.specified.observed import CHECKS, FLAGS, Bench

BACKEND_FIELDS = [of.name for of in fields(BackendInstanceConfig) if of.name != "extra"]
WHOLE_FIELDS = [of.name for of in fields(ProductionLoadBalancingConfig) if of.name != "extra"]


@pytest.fixture
async def bench(start: Start, balance: Balance) -> AsyncIterator[Bench]:
    """With the silent server running."""
    bench = Bench(start, balance, "")
    server = Server(bench.never)
    await server.start("127.0.0.1", 0)
    bench.quiet = f"http://127.0.0.1:{server.port}/v1"
    yield bench
    await server.drain(0.0)


@pytest.mark.parametrize("field", [*BACKEND_FIELDS, *WHOLE_FIELDS])
async def test_a_field_changes_what_happens(field: str, bench: Bench) -> None:
    """Two values, two different observations; or a row in the table of what is to come, and then no check."""
    path = f"backend_instances.*.{field}" if field in BACKEND_FIELDS else field
    if pending(path):
        assert field not in CHECKS, f"{field} has an effect: remove its row from the table"
        return
    first, second = await CHECKS[field](bench)
    assert first != second


@pytest.mark.parametrize("flag", PRODUCTION_LB_FEATURES)
async def test_a_switch_changes_what_happens(flag: str, bench: Bench) -> None:
    """On and off differ; a switch of a field that waits for its feature waits with it."""
    if flag in SWITCHES and pending(SWITCHES[flag]):
        assert flag not in FLAGS
        return
    on, off = await FLAGS[flag](bench)
    assert on != off

"""Wire tests run on uvloop, as the product does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.wire.gateway.fleet import Fleet


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Three sandbox backends behind the real balancer and gateway."""
    running = Fleet(tmp_path)
    await running.start()
    yield running
    await running.stop()

"""A small upstream on loopback that answers what a test tells it and remembers what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.wire.backends.scripted import ScriptedUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """A running upstream; whatever is still open is cut at the end."""
    server = ScriptedUpstream()
    await server.start()
    yield server
    await server.stop()

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.wire.dashboard.house import House, Visitor, visiting


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    it = House(tmp_path, budgets={"daily": {"usd": 5}})
    await it.start()
    yield it
    await it.stop()


@pytest.fixture
def visitor(house: House) -> Visitor:
    return visiting(house)

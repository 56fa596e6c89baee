"""Health probes of a running gateway."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from equipoise.stores.sqlite import open_for_reading
from tests.wire.gateway.fleet import Fleet

PATIENCE = 10.0


async def test_a_deep_probe_is_in_the_ledger_and_a_free_one_is_not(tmp_path: Path) -> None:
    """One search of the graph, booked under the role `probe`; checks of others cost nothing and leave no record."""
    fleet = Fleet(tmp_path, enable_real_time_monitoring=True)
    fleet.say("graph_deep", deep_probe=True, health_check_interval_seconds=0.1)
    await fleet.start()
    try:
        ledger = fleet.estate.ledger
        assert ledger is not None
        rows: list[tuple[str, str, str]] = []
        async with asyncio.timeout(PATIENCE):
            while not rows:
                await asyncio.sleep(0.05)
                await ledger.flush()
                with closing(open_for_reading(ledger.database.path)) as store:
                    found = store.execute("SELECT role, backend_id, cost_source FROM attempts").fetchall()
                rows = [(row["role"], row["backend_id"], row["cost_source"]) for row in found]
    finally:
        await fleet.stop()
    assert rows == [("probe", "graph_deep", "estimated")]

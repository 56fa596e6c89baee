"""`equipoise budget` against a gateway that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from equipoise.build import build
from equipoise.cli.app import run
from equipoise.cli.budget import row_of
from equipoise.cli.serving import make_gateway
from equipoise.config.load import load
from equipoise.http import Server

ROW = {
    "budget": "daily", "unit": "usd", "spent": "1.000000000", "limit": "2.000000000", "configured_limit": "1.500000000",
    "share": 0.5, "reserved": "0.000000000", "held": "0.100000000", "unknown": "0.000000000", "renews_at": 1_060.0,
    "exhausted_at": 9_000.0,
}  # fmt: skip


def test_a_row_says_what_people_ask() -> None:
    """A limit that an operator changed is marked; times are from now."""
    row = row_of(ROW, now=1_000.0)
    assert row[3] == "2.000000000*"
    assert row[4] == "50.0%"
    assert row[-2:] == ["in 60 s", "in 2 h"]


async def test_budgets_are_listed_set_and_reset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the admin listener; what changes something wants --yes, and --dry-run changes nothing."""
    import asyncio

    config = load(
        {
            "backend_instances": {"a": {"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:1/v1"}},
            "budgets": {"daily": {"usd": 2}},
            "state_dir": str(tmp_path),
            "ledger": {"enabled": False},
            "enable_real_time_monitoring": False,
        }
    ).config
    estate = build(config)
    server = Server(make_gateway(config, estate).handle_admin)

    async def told(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, ["budget", *words, "--admin-url", f"http://127.0.0.1:{server.port}"])
        out, err = capsys.readouterr()
        return code, out, err

    async with estate.balancer:
        await server.start("127.0.0.1", 0)
        code, out, _ = await told("ls", "--json")
        rows: list[dict[str, Any]] = json.loads(out)["budgets"]
        assert (code, rows[0]["budget"], rows[0]["limit"]) == (0, "daily", "2.000000000")
        code, _, err = await told("set", "daily", "3")
        assert code == 4
        assert "--yes" in err
        assert "would be 3.000000000" in (await told("set", "daily", "3", "--dry-run"))[1]
        assert "2.000000000" in (await told("ls"))[1]
        assert "is 3.000000000" in (await told("set", "daily", "3", "--yes"))[1]
        assert "3.000000000*" in (await told("ls"))[1]
        assert "is 2.000000000" in (await told("set", "daily", "configured", "--yes"))[1]
        assert "is forgotten" in (await told("reset", "daily", "--yes"))[1]
        code, _, err = await told("reset", "weekly", "--yes")
        assert code == 1
        assert "no budget of this name" in err
        await server.drain(0)

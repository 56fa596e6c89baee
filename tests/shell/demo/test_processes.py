"""The demo's processes really die, come back where they were, and leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from equipoise.http import HTTPError, Pool
from equipoise.sandbox import seeded
from equipoise.sandbox.demo.processes import BackendProcess, DemoFailed, GatewayProcess, addresses
from equipoise.sandbox.demo.stage import free_port


async def status(url: str) -> int:
    """What the backend's list of models answers."""
    pool = Pool(url)
    try:
        response = await pool.request("GET", "/v1/models", headers=[(b"authorization", b"Bearer sandbox")])
        await response.read()
    finally:
        await pool.close()
    return response.status


async def test_a_killed_backend_comes_back_on_its_port() -> None:
    """kill -9, connection refused, start, 200 at the same address. It is a port that nobody is given meanwhile."""
    backend = BackendProcess(seeded(1)[3], seed=1)
    await backend.start(free_port())
    try:
        url, before = backend.url, await status(backend.url)
        pid = await backend.kill()
        assert not backend.alive
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        with pytest.raises(HTTPError):
            await status(url)
        await backend.start()
        assert (backend.url, before, await status(url)) == (url, 200, 200)
    finally:
        await backend.stop()
    assert not backend.alive


async def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The end of its log is in the error."""
    config = tmp_path / "equipoise.yaml"
    config.write_text("backend_instances: 7\n")
    gateway = GatewayProcess(config, tmp_path / "log")
    with pytest.raises(DemoFailed, match="backend_instances"):
        await gateway.start()
    assert await gateway.stop() not in (None, 0)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", ("", "")),
        ("Equipoise on http://127.0.0.1:4000\n", ("http://127.0.0.1:4000", "")),
        (
            "http://127.0.0.1:4000\nadmin http://127.0.0.1:4001/admin\nmetrics http://127.0.0.1:4000/metrics\n",
            ("http://127.0.0.1:4000", "http://127.0.0.1:4001"),
        ),
    ],
)
def test_addresses_are_the_first_two_origins_it_names(said: str, found: tuple[str, str]) -> None:
    """Public first, admin second, whatever else the lines say."""
    assert addresses(said) == found

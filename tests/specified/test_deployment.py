"""Every command line that the specification prints runs as printed: with a gateway, without one, and from both folders."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lightrag_integration.deploy_production_load_balancer import ProductionDeploymentManager
from tests.end_to_end.migration.town import Town
from tests.specified.conftest import ROOT, SNIPPETS

PIPE = asyncio.subprocess.PIPE
NOWHERE = "http://127.0.0.1:1"
PRINTED = [
    shlex.split(line)
    for name in ("deployment.sh", "phase_1.sh", "gradual_migration.sh")
    for line in (SNIPPETS / name).read_text().splitlines()
    if line.startswith("python ")
]


async def deploy(arguments: list[str], admin: str, folder: Path = ROOT) -> tuple[int, str, str]:
    """`python deploy_production_load_balancer.py ...` in a folder: exit code, stdout, stderr."""
    environ = {**os.environ, "EQUIPOISE_ADMIN_URL": admin, "PYTHONPATH": str(ROOT)}
    run = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, env=environ, stdout=PIPE, stderr=PIPE
    )
    out, err = await run.communicate()
    assert run.returncode is not None
    return run.returncode, out.decode(), err.decode()


def script(*arguments: str) -> list[str]:
    return ["deploy_production_load_balancer.py", *arguments]


@pytest.fixture
async def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """An old router, a new engine and a gateway between them, as processes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = Town(tmp_path)
    await found.begin()
    yield found
    await found.end()


def test_the_blocks_hold_the_command_lines() -> None:
    """Nine of them, phase 1 and the health check twice."""
    assert len(PRINTED) == 9
    assert all(line[:2] == ["python", "deploy_production_load_balancer.py"] for line in PRINTED)


async def test_the_printed_lines_on_a_running_gateway(town: Town) -> None:
    """In the order of a move, shortened health checks apart: each does what it says and exits with 0 or 1 only."""
    lines = [[word if word != "300" else "1" for word in line[1:]] for line in PRINTED]
    for line in lines:
        code, out, err = await deploy(line, town.admin)
        assert code in (0, 1), err
        assert "= equipoise " in err
        assert "Traceback" not in out + err
    code, out, _ = await deploy(script("--health-check", "--duration", "1"), town.admin)
    assert code == 0
    assert json.loads(out)["summary"]["monitoring_completed"] is True
    assert {"start_time", "duration_seconds", "samples", "summary"} == json.loads(out).keys()


async def test_phases_of_separate_commands_agree(town: Town) -> None:
    """The state lives in the gateway: one command begins a phase, another goes back, a third sees it."""
    assert (await deploy(script("--environment", "production", "--phase", "1"), town.admin))[0] == 0
    code, _, err = await deploy(script("--phase", "3"), town.admin)
    assert code == 1, err
    assert (await deploy(script("-p", "3", "--force", "-e", "high_availability"), town.admin))[0] == 0
    assert (await deploy(script("--rollback", "2"), town.admin))[0] == 0
    code, out, err = await deploy(script(), town.admin, ROOT / "lightrag_integration")
    assert (code, "10 % of keys" in out) == (0, True), err


async def test_without_a_gateway_they_say_what_starts_one(folder: Path) -> None:
    """Exit code 1, and the command to type."""
    for line in (script("--phase", "1"), script(), script("--rollback", "1"), script("--health-check")):
        code, _, err = await deploy(line, NOWHERE)
        assert code == 1
        assert "ENVIRONMENT=development equipoise serve" in err


async def test_a_dry_run_needs_neither_gateway_nor_keys(folder: Path) -> None:
    """It prints the plan and which checks would fail, and exits with 0."""
    code, out, _ = await deploy(script("--environment", "production", "--phase", "1", "--dry-run"), NOWHERE)
    assert code == 0
    assert "phase 1" in out
    assert "PERPLEXITY_API_KEY" in out
    for rest in (["--migrate", "--percentage", "25"], ["--rollback", "1"], ["--health-check"]):
        assert (await deploy(script(*rest, "--dry-run"), NOWHERE))[0] == 0


async def test_a_wrong_command_line_exits_with_1(folder: Path) -> None:
    """Never 2: scripts that were written for the earlier one test for 0 and 1."""
    for line in (script("--phase", "6"), script("--nonsense"), script("--environment", "moon")):
        assert (await deploy(line, NOWHERE))[0] == 1


async def test_the_manager_does_in_python_what_the_commands_do(town: Town) -> None:
    """Checks, phases, validation, monitoring and rollback, each with the whole document in `last`."""
    manager = ProductionDeploymentManager("staging", town.admin)
    assert await manager.initialize_systems()
    checks = await manager.run_pre_deployment_checks()
    assert checks["configuration"] is True
    assert await manager.run_phase_validation(1) is True
    assert await manager.deploy_phase(1) is True
    assert await manager.deploy_phase(3) is False
    assert manager.last["outcome"] == "refused"
    assert await manager.deploy_phase(3, force=True) is True
    found = await manager.run_health_monitoring(0)
    assert found["summary"] == {"average_available_backends": 2.0, "total_samples": 1, "monitoring_completed": True}
    assert await manager.rollback_to_phase(0) is True
    await manager.initialize_systems()
    assert "staging" in str(manager.last["journal"])
    await manager.cleanup()

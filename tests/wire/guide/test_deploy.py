"""The examples in deploy/ are valid, and what they run works."""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from equipoise.config.sections import ListenConfig
from tests.wire.guide.blocks import ROOT

UNITS = ROOT / "deploy" / "systemd"
MANIFEST = ROOT / "deploy" / "kubernetes" / "health-cronjob.yaml"
INSTALLED, FILE, STATE = "/opt/equipoise/bin/equipoise", "/etc/equipoise/equipoise.yaml", "/var/lib/equipoise"


def unit(name: str) -> configparser.ConfigParser:
    """A unit's sections; systemd's names are case-sensitive."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((UNITS / name).read_text())
    return parser


def seconds(name: str, key: str) -> float:
    """A plain number of seconds in a unit's [Service]."""
    return float(unit(name)["Service"][key])


def documents() -> list[dict[str, Any]]:
    """The manifest's documents."""
    return list(YAML(typ="safe").load_all(MANIFEST.read_text()))


def health_commands() -> dict[str, list[str]]:
    """The arguments of the health-check command as each example gives them, for a look of a tenth of a second."""
    containers = documents()[-1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    arguments = containers[0]["args"]
    in_pod = arguments[arguments.index("--") + 2 :]
    in_unit = unit("equipoise-health.service")["Service"]["ExecStart"].removeprefix(INSTALLED).split()
    return {"systemd": _shortened(in_unit), "kubernetes": _shortened(in_pod)}


def _shortened(arguments: list[str]) -> list[str]:
    return [
        "0.1" if before == "--duration" else word for before, word in zip(["", *arguments], arguments, strict=False)
    ]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[str]:
    """What the unit starts, on other ports and in other folders; its admin address. SIGTERM ends it well."""
    file = tmp_path / "equipoise.yaml"
    file.write_text("backend_instances:\n  llm: {backend_type: local_llm, endpoint_url: 'http://127.0.0.1:1/v1'}\n")
    started = unit("equipoise.service")["Service"]["ExecStart"].replace(FILE, str(file)).replace(STATE, str(tmp_path))
    arguments = [*started.removeprefix(INSTALLED).split(), "--port", "0"]
    process = await _equipoise(*arguments)
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(5)]
    yield lines[1].split()[1].removesuffix("/dashboard")
    process.terminate()
    assert await process.wait() == 0


async def _equipoise(*arguments: str) -> asyncio.subprocess.Process:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/")}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "equipoise", *arguments, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environ
    )


async def test_the_service_starts_and_both_health_checks_can_ask_it(gateway: str) -> None:
    """The very arguments of the examples, against the very service; a backend nobody has probed yet may be asked."""
    for where, arguments in health_commands().items():
        process = await _equipoise(*arguments, "--admin-url", gateway)
        printed, _ = await process.communicate()
        assert process.returncode == 0, where
        assert json.loads(printed)["summary"]["monitoring_completed"], where


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """systemd-analyze verify is silent, with a program in place of one that is not installed here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    for file in UNITS.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace(INSTALLED, shutil.which("true") or "/bin/true"))
    command = ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_the_units_fit_together() -> None:
    """The timer fires the service of its name, and no time limit cuts what it is there for."""
    assert {file.name for file in UNITS.iterdir()} == {
        f"equipoise{n}" for n in (".service", "-health.service", "-health.timer")
    }
    assert "Unit" not in unit("equipoise-health.timer")["Timer"]
    looked = unit("equipoise-health.service")["Service"]["ExecStart"].split()
    assert float(looked[looked.index("--duration") + 1]) < seconds("equipoise-health.service", "TimeoutStartSec")
    listen = ListenConfig()
    assert listen.drain_notice_seconds + listen.drain_seconds < seconds("equipoise.service", "TimeoutStopSec")


def test_the_manifest_hangs_together() -> None:
    """One account, one role that may exec, one job that uses both and ends before the next begins."""
    account, role, binding, job = documents()
    assert [d["kind"] for d in (account, role, binding, job)] == ["ServiceAccount", "Role", "RoleBinding", "CronJob"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
    assert {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]} in role["rules"]
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["restartPolicy"]) == (account["metadata"]["name"], "Never")
    arguments = pod["containers"][0]["args"]
    assert all(isinstance(argument, str) for argument in arguments)
    lasts = float(arguments[arguments.index("--duration") + 1])
    assert lasts < job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 300

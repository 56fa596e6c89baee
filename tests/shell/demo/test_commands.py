"""The two commands as a user runs them: processes, exit codes, one document on stdout."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from equipoise.cli.demo_watch import remarkable
from equipoise.config.load import load
from equipoise.http import Pool
from equipoise.sandbox.demo.asking import Fate, Heard
from equipoise.sandbox.demo.questions import questions
from equipoise.sandbox.snippet import KINDS

EQUIPOISE = (sys.executable, "-m", "equipoise")


def test_the_demo_loses_no_question_and_no_nano_dollar() -> None:
    """With a backend killed in the middle: everyone is answered or told, and the ledger holds what clients were told."""
    command = [*EQUIPOISE, "demo", "--json", "--questions", "40"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    report = json.loads(run.stdout)
    assert (run.returncode, report["failed"], report["failures"]) == (0, 0, [])
    assert report["answered"] + report["interrupted_streams"] == report["questions"] == 40
    assert report["cost_usd"] == report["ledger_cost_usd"] != "0.000000000"
    assert f"killed {report['killed_backend']}" in run.stderr
    assert f"revived {report['killed_backend']}" in run.stderr
    rows = {row["backend"]: row for row in report["backends"]}
    assert sum(row["requests"] for row in rows.values()) == report["ledger_records"] > 40
    assert sum(Decimal(row["cost_usd"]) for row in rows.values()) == Decimal(report["cost_usd"])
    assert rows[report["killed_backend"]]["errors"] > 0
    assert len(report["story"]["attempts"]) > 1


async def test_the_sandbox_prints_a_configuration_that_loads_and_ends_with_ctrl_c() -> None:
    """One JSON document; the faults of the first backend can be switched at the address it names."""
    command = (*EQUIPOISE, "sandbox", "--json", "--port-base", "0")
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    told = json.loads(await child.stdout.readuntil(b"\n}\n"))
    config = load(_mapping(told["config"])).config
    kinds = {one["name"]: KINDS[one["kind"]] for one in told["backends"]}
    assert {name: of.backend_type.value for name, of in config.backend_instances.items()} == kinds
    pool = Pool(told["backends"][0]["url"])
    response = await pool.request("POST", "/__faults", body=b'{"error_rate": 1}')
    assert json.loads(await response.read())["error_rate"] == 1.0
    await pool.close()
    child.send_signal(signal.SIGINT)
    assert await child.wait() == 0


def _mapping(text: str) -> dict[str, object]:
    from ruamel.yaml import YAML

    return dict(YAML(typ="safe").load(text))


def test_a_taken_port_is_said_and_nothing_is_left_running() -> None:
    """Exit code 2 and a hint, not a traceback."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*EQUIPOISE, "sandbox", "--port-base", str(taken.getsockname()[1])]
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 2
    assert "cannot listen" in run.stderr
    assert "--port-base 0" in run.stderr


@pytest.mark.parametrize("arguments", [["--questions", "0"], ["--corpus", "somewhere"]])
def test_senseless_options_of_the_demo_are_usage_errors(arguments: list[str]) -> None:
    """Before any process is started."""
    run = subprocess.run([*EQUIPOISE, "demo", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stdout) == (2, "")


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ({"fate": Fate.ANSWERED, "attempts": 1}, ""),
        ({"fate": Fate.ANSWERED, "attempts": 2, "fallback_from": "a", "backend": "b"}, "a gave no answer, b did"),
        ({"fate": Fate.INTERRUPTED, "backend": "b"}, "cut after its first byte"),
        ({"fate": Fate.FAILED, "error": "no_healthy_backend: none"}, "FAILED: no_healthy_backend"),
    ],
)
def test_only_what_did_not_simply_go_through_is_told(heard: dict[str, object], told: str) -> None:
    """A line for each of these and none for the rest."""
    sentence = remarkable(Heard(question=questions(1, 1)[0], **heard))  # type: ignore[arg-type]
    assert (told in sentence) if told else sentence == ""

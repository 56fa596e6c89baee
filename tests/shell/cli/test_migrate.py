"""`equipoise migrate` against a gateway in a process of its own, and without one."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from equipoise.cli import migrating
from tests.shell.cli.conftest import Run, Served, start

MOVING = """\
backend_instances:
  oracle: {backend_type: function, function: "answers:answer", corpus: mine}
state_dir: state
migration:
  incumbent: {function: "answers:old"}
  hold_minutes: {1: 0, 2: 30}
  criteria: {minimum_requests: 1}
"""
OLD = """
class Router:
    def route_query(self, query_text, context=None):
        return {"response": "the old router: " + query_text}

old = Router()
"""
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def moving(oracle: Path) -> Iterator[Served]:
    """A gateway with an old router, a Python object beside its configuration."""
    with (oracle.parent / "answers.py").open("a") as module:
        module.write(OLD)
    oracle.write_text(MOVING)
    process = start("serve", "--port", "0", folder=oracle.parent)
    assert process.stdout is not None
    gateway = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    yield gateway
    if process.poll() is None:
        gateway.stop()


def test_a_move_by_command(moving: Served, run: Run) -> None:
    """Plan, apply, refuse what is held, status, rollback; 0 for done, 4 for refused, 1 for a failed gate."""
    here = ("--admin-url", moving.admin_url)
    planned = run("migrate", "plan", *here)
    assert planned.code == 0
    assert "from phase 0 (0 %) to phase 1" in planned.out
    assert run("migrate", "apply", "--yes", *here).code == 0
    assert run("migrate", "apply", "--phase", "4", "--yes", *here).code == 4
    second = run("migrate", "apply", "--yes", "--who", "ann", "--why", "week 2", *here)
    assert (second.code, second.out.splitlines()[-1]) == (0, "Advance to phase 2: 10 % of keys")
    held = run("migrate", "apply", "--yes", *here)
    assert held.code == 4
    assert "phase 2 is held for another 30.0 min" in held.out
    unmeasured = run("migrate", "apply", "--percentage", "25", "--yes", *here)
    assert unmeasured.code == 1
    assert "not measured" in unmeasured.out
    shown = run("migrate", "status", *here)
    assert shown.code == 0
    assert "Advance to phase 2: 10 % of keys  by ann (week 2)" in shown.out
    back = run("migrate", "rollback", "--yes", "--json", *here)
    assert (back.code, json.loads(back.out)["after"]["phase"]) == (0, 1)
    assert run("migrate", "rollback", "4", "--yes", *here).code == 4
    assert "the old router" in run("ask", "Who are you?", "--url", moving.url).out


def test_dry_runs_of_a_running_gateway_change_nothing(moving: Served, run: Run) -> None:
    """Neither forwards nor backwards."""
    here = ("--admin-url", moving.admin_url)
    assert run("migrate", "apply", "--percentage", "50", "--dry-run", *here).code == 0
    assert run("migrate", "rollback", "0", "--dry-run", *here).code == 0
    status = json.loads(run("migrate", "status", "--json", *here).out)
    assert (status["era"], status["journal"]) == (0, [])


@pytest.mark.parametrize("command", [("apply", "--phase", "1", "--yes"), ("status",), ("rollback", "0", "--yes")])
def test_with_no_gateway_a_command_says_which_one_starts_it(run: Run, command: tuple[str, ...]) -> None:
    """Exit code 3."""
    ran = run("migrate", *command, "--admin-url", NOBODY)
    assert ran.code == 3
    assert "`equipoise serve` starts one" in ran.err


@pytest.mark.parametrize("command", [("plan",), ("apply", "--phase", "1", "--dry-run"), ("plan", "--percentage", "25")])
def test_a_plan_needs_neither_gateway_nor_keys(run: Run, command: tuple[str, ...]) -> None:
    """It says what is missing as failed checks, and exits with 0."""
    ran = run("migrate", *command, "--admin-url", NOBODY)
    assert ran.code == 0
    assert "✖ configuration" in ran.out
    assert "phase 1 (parallel deployment): 0 %" in ran.out


def test_a_plan_without_a_gateway_looks_at_the_configuration_and_the_stored_state(oracle: Path, run: Run) -> None:
    """A backend where nobody listens is named; nothing is made on disk."""
    oracle.write_text(
        MOVING.replace('{backend_type: function, function: "answers:answer", corpus: mine}',
                       "{backend_type: lightrag, endpoint_url: 'http://127.0.0.1:9'}")
    )  # fmt: skip
    told = json.loads(run("migrate", "plan", "--json", "--admin-url", NOBODY).out)
    failed = {check["name"] for check in told["checks"] if check["state"] == "failed"}
    assert (told["gateway"], failed) == (False, {"connectivity: oracle", "health endpoint: oracle"})
    assert not (oracle.parent / "state").exists()


def test_live_traffic_is_not_moved_without_a_yes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal: exit code 4, not a question that nobody answers."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for command in (("apply", "--phase", "1"), ("rollback", "1")):
        ran = run("migrate", *command, "--admin-url", NOBODY)
        assert (ran.code, "--yes agrees to it" in ran.err) == (4, True)


@pytest.mark.parametrize(
    "command",
    [
        ("apply", "--phase", "7", "--yes"),
        ("plan", "--phase", "1", "--percentage", "2"),
        ("plan", "--percentage", "101"),
    ],
)
def test_an_order_that_makes_no_sense_is_a_usage_error(run: Run, command: tuple[str, ...]) -> None:
    """Exit code 2, before anybody is asked."""
    assert run("migrate", *command, "--admin-url", NOBODY).code == 2


def test_a_gateway_without_a_migration_says_so(served: Served, run: Run) -> None:
    """Exit code 1 and what is missing."""
    ran = run("migrate", "status", "--admin-url", served.admin_url)
    assert ran.code == 1
    assert "no migration: section" in ran.err


def test_an_old_side_that_cannot_be_had_is_told_at_the_start(oracle: Path) -> None:
    """Exit code 2, not the first question's failure."""
    oracle.write_text(MOVING.replace("answers:old", "answers:nobody"))
    ran = start("serve", "--port", "0", folder=oracle.parent)
    _, err = ran.communicate(timeout=20)
    assert ran.returncode == 2
    assert "the old side of the migration cannot be had" in err


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("applied", 0), ("unchanged", 0), ("planned", 0), ("rolled_back", 0), ("gate_failed", 1), ("check_failed", 1), ("refused", 4)],
)  # fmt: skip
def test_every_outcome_has_its_exit_code(outcome: str, code: int) -> None:
    """For scripts."""
    assert migrating.exit_code({"outcome": outcome}) == code

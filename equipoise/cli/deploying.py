"""The specification's command line, `deploy_production_load_balancer.py`: each use of it is one of our commands."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from typing import NoReturn

from equipoise.cli.app import run
from equipoise.cli.exits import UNREACHABLE
from equipoise.cli.output import tell
from equipoise.config.presets import PRESETS, VARIABLE


class _Parser(argparse.ArgumentParser):
    """Exits with 1 where argparse would with 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage()
        tell(f"error: {message}")
        raise SystemExit(1)


WHAT = "The five phases of a move, carried out by the running gateway: `equipoise migrate` in other words."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; prints the command it stands for. 0: done, 1: not done."""
    said = _parser().parse_args(arguments)
    if said.environment is None:
        said.environment = os.environ.get(VARIABLE) or "development"
    os.environ[VARIABLE] = said.environment
    command = equivalent(said)
    tell(f"= equipoise {shlex.join(command)}")
    code = run(list(command))
    if code == UNREACHABLE:
        tell(f"  start one: {VARIABLE}={said.environment} equipoise serve, or equipoise serve -c FILE")
    return 0 if said.dry_run or not code else 1


def equivalent(said: argparse.Namespace) -> list[str]:
    """The command of ours that this command line stands for: phase before migrate before rollback before health check."""
    why = ["--yes", "--why", f"{said.environment}, by deploy_production_load_balancer"]
    last = ["--dry-run"] if said.dry_run else why
    force = ["--force"] if said.force else []
    if said.phase is not None:
        return ["migrate", "apply", "--phase", str(said.phase), *force, *last]
    if said.migrate:
        return ["migrate", "apply", "--percentage", str(said.percentage), *force, *last]
    if said.rollback is not None:
        return ["migrate", "rollback", str(said.rollback), *last]
    if said.health_check:
        return ["backends", "watch", "--duration", "0" if said.dry_run else str(said.duration), "--json"]
    return ["migrate", "status"]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="deploy_production_load_balancer.py", description=WHAT)
    add = parser.add_argument
    add(
        "--environment",
        "-e",
        choices=[*PRESETS],
        help="the preset served without a file (default: $ENVIRONMENT, else development)",
    )
    add("--phase", "-p", type=int, choices=range(1, 6), help="begin this phase")
    add("--migrate", action="store_true", help="set --percentage exactly, running the gates of every phase passed")
    add("--percentage", type=int, default=10, help="percent of the traffic, with --migrate")
    add("--rollback", "-r", type=int, metavar="PHASE", help="go back to this phase; 0 is before the first")
    add("--health-check", action="store_true", help="look at the backends for --duration seconds")
    add("--duration", type=int, default=60, help="seconds, with --health-check")
    add("--force", "-f", action="store_true", help="pass over order, hold times, checks and gates")
    add("--dry-run", action="store_true", help="print the plan; needs neither gateway nor keys")
    return parser

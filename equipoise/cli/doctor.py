"""`equipoise doctor`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.examination import FAIL, OK, WARN, Finding, examine
from equipoise.cli.exits import OK as GOOD
from equipoise.cli.exits import PROBLEMS, REFUSED, Failure
from equipoise.cli.output import GREEN, RED, YELLOW, Output, as_documents, painted, say, tell
from equipoise.cli.serve import looped
from equipoise.cli.version import versions

MARKS = {OK: ("✔", GREEN), WARN: ("!", YELLOW), FAIL: ("✖", RED)}


def doctor(
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    live: bool = False,
    yes: bool = False,
    max_cost_usd: float = 0.05,
    output: Output = None,
    json: bool = False,
) -> int:
    """Look at everything an answer depends on; one thing to paste in a bug report.

    Versions, event loop, configuration, state directory, ledger, and each backend's name, address and free health
    probe, which also tries the key where that costs nothing.

    Parameters
    ----------
    config: Path
        The file; otherwise the one that `serve` would take.
    live: bool
        Also ask every backend one short question, which costs money, and look at the shape of its answer.
    yes: bool
        Do not ask before spending.
    max_cost_usd: float
        The most that --live may spend, expected in advance, over all backends.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    if live:
        _agree(yes, max_cost_usd)
    findings = looped_findings(config, max_cost_usd if live else None)
    bad = any(finding.state == FAIL for finding in findings)
    told = {"ok": not bad, "versions": versions(), "checks": [finding.as_dict() for finding in findings]}
    if not as_documents(told, output, json):
        _print(findings)
    return PROBLEMS if bad else GOOD


def _agree(yes: bool, max_cost_usd: float) -> None:
    """Spending wants a yes: from the option, or from a person at a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("--live spends money", REFUSED, "--yes agrees to it")
    tell(f"One short question to every backend, at most ${max_cost_usd:g} in all. Go on? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was asked", REFUSED)


def looped_findings(config: Path | None, budget_usd: float | None) -> list[Finding]:
    """Examine on the event loop that `serve` would use."""
    findings: list[Finding] = []

    async def examined() -> int:
        findings.extend(await examine(config, budget_usd))
        return 0

    looped(examined())
    return findings


def _print(findings: list[Finding]) -> None:
    for name, text in versions().items():
        say(f"  {name:<18}{text}")
    for finding in findings:
        mark, colour = MARKS[finding.state]
        say(f"{painted(mark, colour)} {finding.check:<30}  {finding.text}")

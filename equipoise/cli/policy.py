"""`equipoise policy replay` and `policy compare`: another policy against recorded decisions, before it is trusted"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from equipoise.cli.configured import configuration, estate_paths
from equipoise.cli.exits import OK, PROBLEMS, USAGE, Failure
from equipoise.cli.output import GREEN, RED, Output, as_documents, painted, remark, say, table
from equipoise.cli.times import moment

if TYPE_CHECKING:
    from equipoise.core.replay import Finding, Interval
    from equipoise.simulation.replaying import Replayed
    from equipoise.stores.decisions import StoredDecision

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
Record = tuple[list["StoredDecision"], int]


def replay(
    *,
    policy: Path,
    since: str = "7d",
    until: str | None = None,
    route: str = "",
    config: ConfigFile = None,
    ledger: Path | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Say what another configuration's strategies, weights and prices would have done on recorded decisions; asks nobody.

    Exit code 0 when it is shown to be no worse in quality (by at most one point), 1 when it is not, or when the record
    cannot tell.

    Parameters
    ----------
    policy: Path
        The other configuration: a whole file, of which routes, strategies, their options, weights and prices count.
    since: str
        From when on: 7d, 12h, 2026-11-25 (UTC).
    until: str
        Up to when; now when absent.
    route: str
        Only decisions of this route.
    config: Path
        The configuration whose ledger is read; otherwise the one that `serve` would take.
    ledger: Path
        A ledger's file, instead.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    found = _judged(policy, _record(config, ledger, since, until, route))
    if not as_documents(_document(found), output, json):
        _print(found)
    return OK if found.verdict[0] else PROBLEMS


def compare(
    *policies: Path,
    since: str = "7d",
    until: str | None = None,
    route: str = "",
    config: ConfigFile = None,
    ledger: Path | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Compare configurations, and each backend alone, on recorded decisions: quality against cost, and who is dominated.

    Parameters
    ----------
    policies: Path
        Configurations.
    since: str
        From when on: 7d, 12h, 2026-11-25 (UTC).
    until: str
        Up to when; now when absent.
    route: str
        Only decisions of this route.
    config: Path
        The configuration whose ledger is read; otherwise the one that `serve` would take.
    ledger: Path
        A ledger's file, instead.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    from equipoise.core.replay import frontier
    from equipoise.simulation.replaying import each_alone, points

    record = _record(config, ledger, since, until, route)
    judged = [_judged(policy, record) for policy in policies]
    alone = each_alone(record[0])
    better = frontier(points({**alone, **{one.name: one.measures for one in judged}}))
    told = {
        "decisions": len(record[0]),
        "policies": [_document(one) for one in judged],
        "backends": {name: _plain(measures) for name, measures in alone.items()},
        "dominated_by": better,
    }
    if not as_documents(told, output, json):
        _compared(judged, alone, better)
    return OK


def _record(config: Path | None, ledger: Path | None, since: str, until: str | None, route: str) -> Record:
    from equipoise.build.store import ledger_in
    from equipoise.stores import StoreError
    from equipoise.stores.database import Database
    from equipoise.stores.decisions import stored_decisions
    from equipoise.stores.sqlite import SqliteFile, ledger_schema

    if ledger:
        record: Database | None = SqliteFile(ledger, ledger_schema())
    else:
        record = ledger_in(configuration(config, quiet=True).config, at_leisure=True)
    if record is None or not record.exists():
        raise Failure(f"there is no ledger{f' at {record.name}' if record else ''}", USAGE, "--ledger names one")
    now = time.time()
    try:
        found = stored_decisions(record, moment(since, now), moment(until, now) if until else now, route)
    except StoreError as error:
        raise Failure(str(error), USAGE) from error
    if not found[0]:
        raise Failure("there is no recorded decision in that time", PROBLEMS)
    if found[1]:
        remark(f"{found[1]} decisions were written by a version that this one does not understand; they are left out")
    return found


def _judged(policy: Path, record: Record) -> Replayed:
    from equipoise.simulation.replaying import replayed

    loaded = configuration(policy)
    estate_paths(loaded)
    try:
        return replayed(policy.name, loaded.config, record[0])
    except (ValueError, ImportError, AttributeError) as error:
        raise Failure(f"{policy}: {error}", USAGE) from error


def _document(found: Replayed) -> dict[str, Any]:
    ok, why = found.verdict
    return {
        "policy": found.name,
        "decisions": found.decisions,
        "no_worse": ok,
        "verdict": why,
        "doubt": found.doubt,
        "left_out": found.left_out,
        "chosen": found.chosen,
        "measures": _plain(found.measures),
        "kinds": {kind: _plain(measures) for kind, measures in found.kinds.items()},
    }


def _plain(measures: Mapping[str, Finding]) -> dict[str, Any]:
    return {name: _finite(msgspec.to_builtins(finding)) for name, finding in measures.items()}


def _finite(value: Any) -> Any:
    """JSON knows no infinity."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(found: Replayed) -> None:
    say(f"{found.name} on {found.decisions} recorded decisions")
    for reason, count in found.left_out.items():
        say(f"  left out: {count} ({reason})")
    say("  it would have chosen " + ", ".join(f"{name} {share:.0%}" for name, share in found.chosen.items()) + "\n")
    rows = [_row("all", name, finding) for name, finding in found.measures.items()]
    rows += [
        _row(kind, name, measures[name])
        for kind, measures in found.kinds.items()
        for name in ("quality", "cost_usd")
        if name in measures
    ]
    table(("questions", "measure", "recorded", "would be", "SNIPS", "change", "worth", "verdict"), rows)
    ok, why = found.verdict
    say(f"\n{painted('✔' if ok else '✖', GREEN if ok else RED)} {why}")


def _row(kind: str, name: str, found: Finding) -> tuple[Any, ...]:
    told = (kind, name, f"{found.recorded.value:.4g}")
    if found.refusal:
        return (*told, None, None, None, round(found.effective), f"not enough data: {found.refusal}")
    change = f"{found.change.low:+.3g} to {found.change.high:+.3g}"
    sure = "" if found.change.low <= 0.0 <= found.change.high else "changed"
    return (*told, _interval(found.doubly_robust), _interval(found.snips), change, round(found.effective), sure)


def _interval(found: Interval) -> str:
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _compared(
    judged: list[Replayed], alone: Mapping[str, Mapping[str, Finding]], better: Mapping[str, str | None]
) -> None:
    rows = [_side(one.name, one.measures, better) for one in judged]
    rows += [_side(name, measures, better) for name, measures in alone.items()]
    table(("policy or backend alone", "quality", "cost usd", "errors", "seconds", "worth", "frontier"), rows)


def _side(name: str, measures: Mapping[str, Finding], better: Mapping[str, str | None]) -> tuple[Any, ...]:
    told = [_interval(one.doubly_robust) if (one := measures.get(m)) and not one.refusal else None for m in SHOWN]
    worth = round(max((one.effective for one in measures.values()), default=0.0))
    if name not in better:
        why = next((f": {one.refusal}" for m in SHOWN if (one := measures.get(m)) and one.refusal), "")
        return (name, *told, worth, f"not enough data{why}")
    return (name, *told, worth, f"dominated by {better[name]}" if better[name] else "on the frontier")


SHOWN = ("quality", "cost_usd", "errors", "seconds")

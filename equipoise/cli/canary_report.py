"""A canary for people: where it stands, what was measured on both sides, what happened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from equipoise.cli.output import BOLD, DIM, GREEN, RED, YELLOW, painted, say, table

Document = dict[str, Any]
MARKS = {
    "promoted": ("✔", GREEN),
    "ended": ("✖", RED),
    "running": ("▶", GREEN),
    "paused": ("⏸", YELLOW),
    "shadow": ("◌", DIM),
    "none": ("·", DIM),
}
LINES_OF_JOURNAL = 10
NOTHING = "no canary yet: `equipoise canary start --candidate new.yaml --at 5%` begins one"


def outcome(found: Document) -> None:
    """What an order came to."""
    match found["outcome"]:
        case "refused":
            say(f"{painted('✖', RED)} refused: {found['reason']}")
        case "planned" if "differs" in found:
            say(f"would send {found['at']:g} % of keys to a candidate that differs in:")
            for name in found["differs"]:
                say(f"  {name}")
        case "planned":
            say(f"would: {found['would']}")
        case _:
            say(f"{_mark(found['stage'])} {found.get('message') or found['history'][-1]['message']}")


def line(found: Document) -> str:
    """One line, for looking again and again."""
    seen = found["requests"]
    waits = f"; {found['waits']}" if found["waits"] else ""
    return (
        f"{_mark(found['stage'])} {found['candidate']} {found['stage']} at {found['share']:g} %, "
        f"{seen['candidate']} requests against {seen['control']}: {found['message']}{waits}"
    )


def standing(found: Document) -> None:
    """Everything."""
    if found["stage"] == "none":
        say(NOTHING)
        return
    say(line(found))
    say(f"ladder  {_ladder(found)}")
    if found["keeping"] != "ok":
        say(painted(f"state   {found['keeping']}", YELLOW))
    say()
    rows = [_row(row) for row in found["measures"] if row["control_count"] or row["candidate_count"]]
    if rows:
        table(("measure", "control", "candidate", "harm between", "worse: e", "needs", "no worse: e", "needs"), rows)
        say()
    journal(found["journal"][:LINES_OF_JOURNAL])


def journal(entries: Sequence[Document]) -> None:
    """Who did what, when and why."""
    if not entries:
        say(NOTHING)
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["wall"]))
        why = f" ({entry['why']})" if entry["why"] else ""
        say(f"{painted(when, DIM)}  {entry['what']}  by {entry['who'] or 'nobody'}{why}")


def _row(row: Document) -> tuple[Any, ...]:
    low, high = row["harm_low"], row["harm_high"]
    between = None if low is None else f"{low:.3g} .. {high:.3g}"
    name = row["measure"] + (" *" if row["required"] else "")
    return (
        name,
        row["control"],
        row["candidate"],
        between,
        row["harm_e"],
        row["harm_needed"],
        row["safe_e"],
        row["safe_needed"],
    )


def _ladder(found: Document) -> str:
    rungs = [
        painted(f"[{rung:g}]", BOLD) if rung == found["share"] else f"{'✔' if rung < found['share'] else ' '}{rung:g}"
        for rung in found["plan"]["rungs"]
    ]
    return " → ".join(rungs) + " %"


def _mark(stage: str) -> str:
    return painted(*MARKS.get(stage, MARKS["none"]))

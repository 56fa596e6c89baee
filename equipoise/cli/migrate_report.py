"""A migration for people: what an order came to, and where the move stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from equipoise.cli.output import BOLD, DIM, GREEN, RED, YELLOW, painted, say, table
from equipoise.core.rollout import PHASES

Document = dict[str, Any]
MARKS = {"ok": ("✔", GREEN), "passed": ("✔", GREEN), "warning": ("!", YELLOW), "failed": ("✖", RED)}
NOT_YET = ("⏸", DIM)
LINES_OF_JOURNAL = 10


def outcome(found: Document) -> None:
    """An order's outcome with its checks, validation queries and gates."""
    if found["outcome"] == "planned":
        _plan(found)
    checks(found.get("checks", ()))
    _validation(found.get("validation", ()))
    gates(found.get("gates", ()))
    if found["outcome"] != "planned":
        say(_headline(found))


def standing(found: Document) -> None:
    """Where the move stands: phases, evidence, gates, journal."""
    for number, phase in PHASES.items():
        mark, colour = ("✔", GREEN) if number <= found["phase"] else NOT_YET
        here = "  <- now" if number == found["phase"] else ""
        switches = f"  switches on {', '.join(phase.switches_on)}" if phase.switches_on else ""
        say(f"{painted(mark, colour)} phase {number}  {phase.percentage:>3.0f} %  {phase.name}{switches}{here}")
    say(f"\nthe new side takes {found['percentage']:g} % of keys{_since(found)}")
    if found["keeping"] != "ok":
        say(painted(f"the state cannot be kept: {found['keeping']}", RED))
    if found["hold_seconds_left"]:
        say(f"held for another {found['hold_seconds_left'] / 60:.1f} min")
    _evidence(found)
    gates(found["gates"])
    _journal(found["journal"])


def checks(rows: Sequence[Document]) -> None:
    """Pre-deployment checks, one a line."""
    for row in rows:
        say(f"{_mark(row['state'])} {row['name']:<32}  {row['text']}")


def gates(rows: Sequence[Document]) -> None:
    """Gates, one a line; what cannot be measured yet says what will measure it."""
    for row in rows:
        measured = "not measured" if row["measured"] is None else f"{row['measured']:.4g}"
        waits = f" (until {row['waits_for']})" if row["waits_for"] else ""
        place = f"phase {row['phase']}, {row['over']}"
        wanted = f"{measured}, wanted {row['target']:g}{waits}"
        say(f"{_mark(row['result'])} {row['name']:<24}  {wanted:<44}  {place}: {row['note']}")


def _plan(found: Document) -> None:
    before, after = found["before"], found["after"]
    say(painted(f"from phase {before['phase']} ({before['percentage']:g} %) to phase {after['phase']}", BOLD))
    for phase in found.get("phases", ()):
        switches = f", switches on {', '.join(phase['switches_on'])}" if phase["switches_on"] else ""
        asks = f"asks {phase['validation_queries']} validation queries"
        say(f"  phase {phase['phase']} ({phase['name']}): {phase['percentage']:g} %{switches}; {asks}")
    if "validation_cost_at_most_usd" in found:
        say(f"  the validation queries are expected to cost at most ${found['validation_cost_at_most_usd']}")
    if found.get("refused"):
        say(painted(f"would be refused: {found['refused']}", YELLOW))


def _headline(found: Document) -> str:
    before, after = found["before"], found["after"]
    match found["outcome"]:
        case "applied":
            return painted(f"Advance to phase {after['phase']}: {after['percentage']:g} % of keys", GREEN)
        case "rolled_back":
            return painted(f"Rolled back to phase {after['phase']}: {after['percentage']:g} % of keys", YELLOW)
        case "unchanged":
            return f"Nothing to do: phase {before['phase']} at {before['percentage']:g} %"
        case word:
            return painted(f"Halt advancement ({word.replace('_', ' ')}): {found['reason']}", RED)


def _validation(rows: Sequence[Document]) -> None:
    for row in rows:
        told = f"{row['seconds']:.2f} s, ${row['cost_usd']}, {row['backend']}" if row["answered"] else row["error"]
        say(f"{_mark('ok' if row['answered'] else 'failed')} phase {row['phase']}: {row['question'][:60]:<42}  {told}")


def _evidence(found: Document) -> None:
    rows = [
        (role, row["requests"], row["answered"], row["success_percentage"], row["mean_seconds"], row["cost_usd"])
        for role, row in found["evidence"].items()
    ]
    say()
    table(("side", "questions", "answered", "success %", "mean s", "cost $"), rows)
    if found["comparison"]:
        mean = found["comparison"]["mean"]
        say(
            f"{found['comparison']['compared']} questions answered by both: {mean['overlap']:.0%} of the words shared, "
            f"old {mean['old_seconds']:.2f} s, new {mean['new_seconds']:.2f} s"
        )
    say()


def _journal(entries: Sequence[Document]) -> None:
    say()
    for entry in entries[:LINES_OF_JOURNAL]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["wall"]))
        why = f" ({entry['why']})" if entry["why"] else ""
        say(f"{painted(when, DIM)}  {entry['what']}  by {entry['who'] or 'nobody'}{why}")


def _since(found: Document) -> str:
    if not found["since"]:
        return ""
    return f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(found['since']))}"


def _mark(state: str) -> str:
    return painted(*MARKS.get(state, NOT_YET))

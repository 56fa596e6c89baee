"""The canary: on which rung it stands, the evidence on both sides against its thresholds, who did what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from equipoise.core.callers import Role
from equipoise.core.ladder import ALLOWED, Command
from equipoise.dashboard.figures.compared import ladder
from equipoise.dashboard.figures.frame import WIDTH, picture
from equipoise.dashboard.figures.scale import Scale
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.orders import ALL_RUNGS
from equipoise.dashboard.pages import parts
from equipoise.dashboard.pages.requests import facts
from equipoise.dashboard.table import state
from equipoise.dashboard.view import Tables, View, button, panel
from equipoise.dashboard.wording import instant, number


def draw(tables: Tables, view: View) -> Markup:
    """Ladder, evidence, journal."""
    rows = tables["standing"].rows
    if not rows:
        return panel(
            "No canary",
            tag("p", tables["canary"].empty, class_="empty"),
            parts.listed(tables["journal"], view, "Journal"),
            wide=True,
        )
    return tag(
        "div", _ladder(rows[0], view), _evidence(tables, view),
        panel("Both sides", parts.listed(tables["canary"], view, "Measures of both sides"), wide=True),
        panel("Journal", parts.listed(tables["journal"], view, "Journal"), wide=True),
        class_="grid-of",
    )  # fmt: skip


def _ladder(of: Mapping[str, Any], view: View) -> Markup:
    told = {
        "Candidate": of["candidate"], "Stage": state(of["stage"]), "Share of keys": f"{of['share']:g} %", "Since": instant(of["since"]),
        "Requests": f"{number(of['candidate_requests'])} of the candidate, {number(of['control_requests'])} of the control",
        "Finding": of["message"] or "–", "Waits for": of["waits"] or "–",
    }  # fmt: skip
    return panel(
        "The ladder",
        ladder(f"rungs of the rollout, now at {of['share']:g} percent", of["rungs"], of["share"], of["stage"]),
        facts(told),
        tag(
            "p", [_order(command, of, view) for command in Command if of["stage"] in ALLOWED[command]], class_="orders"
        ),
    )


def _order(command: Command, of: Mapping[str, Any], view: View) -> Markup:
    """Its button, for whom it is: what takes risk away is an operator's, all else an admin's."""
    name = f"canary-{command.value}"
    if command is Command.PROMOTE:
        rung = button(view, name, "", "One rung up", about="with the canary", needs=Role.ADMIN)
        whole = button(view, ALL_RUNGS, "", "Promote to all", danger=True, about="keys: the canary", needs=Role.ADMIN)
        return join([rung, " ", whole, " "])
    if command is Command.SET_WEIGHT:
        field = tag("input", type="number", name="weight", value=f"{of['share']:g}", min="0.01", max="99.99", step="any", required=True, aria_label="percent of keys for the canary")  # fmt: skip
        return button(view, name, "", "Set percent", more=field, about="of the canary", needs=Role.ADMIN)
    ends = command in (Command.ABORT, Command.UNDO)
    needs = Role.OPERATE if command in (Command.PAUSE, Command.ABORT) else Role.ADMIN
    return join([button(view, name, "", command.value.capitalize(), danger=ends, about="the canary", needs=needs), " "])


def _evidence(tables: Tables, view: View) -> Markup:
    rows = [row for row in tables["canary"].rows if row["control_count"] or row["candidate_count"]]
    if not rows:
        return panel("Evidence", tag("p", "Nothing was measured yet.", class_="empty"))
    inside = picture(
        "evidence against its threshold, measure by measure",
        [_bar(i, row) for i, row in enumerate(rows)],
        height=44.0 * len(rows) + 8,
    )
    return panel(
        "Evidence",
        inside,
        note="Each bar grows towards its threshold (the line at the end), on a scale of powers of ten: above that the candidate is worse, below that it is no worse.",
    )


def _bar(index: int, row: Mapping[str, Any]) -> Markup:
    y = 44.0 * index + 6
    pairs = (
        ("worse", row["harm_e"], row["harm_needed"], "bad"),
        ("no worse", row["safe_e"], row["safe_needed"], "good"),
    )
    drawn = [_towards(y + 18.0 * i, *pair) for i, pair in enumerate(pairs)]
    return join([tag("text", row["measure"].replace("_", " "), class_="tick end", x=88, y=y + 22), drawn])


def _towards(y: float, word: str, value: float, needed: float, kind: str) -> Markup:
    x = Scale(0.0, 1.0, 150.0, WIDTH - 90)
    share = math.log(max(1.0, value)) / math.log(max(1.000001, needed))
    return join([
        tag("text", word, class_="tick end", x=144, y=y + 11), tag("rect", class_="rail", x=150, y=y + 2, width=WIDTH - 240, height=10),
        tag("rect", class_=f"gauge {kind}", x=150, y=y + 2, width=round(x(share) - 150, 1), height=10),
        tag("line", class_="level", x1=WIDTH - 90, x2=WIDTH - 90, y1=y, y2=y + 14),
        tag("text", f"{number(value)} of {number(needed)}", class_="tick", x=WIDTH - 84, y=y + 11),
    ])  # fmt: skip

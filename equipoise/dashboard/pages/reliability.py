"""What went wrong: breakers over time, errors by class, alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from equipoise.dashboard.figures.over_time import strip
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.view import Tables, View, button, panel

MOST_CLASSES = 12


def draw(tables: Tables, view: View) -> Markup:
    """Now first, then history."""
    return tag(
        "div",
        panel(
            "Wrong now",
            parts.listed(
                tables["alerts"], view, "Active alerts", {"acknowledged_by": lambda row: _looked_after(row, view)}
            ),
            wide=True,
        ),
        panel(
            "Breakers",
            parts.breaker_lanes(tables, view),
            parts.numbers(tables["breakers"], view),
            note="A thin line is closed, a block half-open or open; its cause is shown on hovering and in the table.",
            wide=True,
        ),
        _errors(tables, view),
        panel(
            "Alerts given",
            parts.listed(tables["alert-history"], view, "Alerts given"),
            button(view, "test-notice", "", "Send a test notice", about="to every receiver"),
            wide=True,
        ),
        class_="grid-of",
    )


def _looked_after(row: Mapping[str, Any], view: View) -> Markup:
    """Who looks after an alert, or the button for whoever will: then there are no more reminders."""
    who = row["acknowledged_by"]
    return join([who]) if who else button(view, "ack", row["id"], "Look after it", about=row["rule"])


def _errors(tables: Tables, view: View) -> Markup:
    table = tables["errors"]
    if not table.rows:
        return panel("Failed attempts by class", tag("p", table.empty, class_="empty"), wide=True)
    rows = _by_class(table.rows)
    inside = strip("failed attempts by class over time", rows, view.begin, view.now, view.filters.bucket)
    return panel(
        "Failed attempts by class",
        inside,
        parts.numbers(table, view),
        note="The stronger the colour, the more.",
        wide=True,
    )


def _by_class(rows: Any) -> Mapping[str, Mapping[float, float]]:
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        found.setdefault(row["class"], {})[row["moment"]] = row["count"]
    often = sorted(found, key=lambda name: -sum(found[name].values()))
    return {name: found[name] for name in often[:MOST_CLASSES]}

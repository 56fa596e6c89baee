"""One dense row a backend, as HAProxy's page has it, with the orders an operator may give."""

from __future__ import annotations

from typing import Any

from equipoise.core.callers import Role
from equipoise.dashboard.figures.frame import Mark
from equipoise.dashboard.figures.over_time import lines
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.sources.standing import CANDIDATE
from equipoise.dashboard.table import state
from equipoise.dashboard.view import Tables, View, button, panel
from equipoise.dashboard.wording import seconds

SHOWN = (
    "id", "state", "breaker", "for", "in_flight", "per_second", "p95", "first_token_p95", "error_share", "today_usd",
    "quality", "weight", "checked",
)  # fmt: skip


def draw(tables: Tables, view: View) -> Markup:
    """The table, then latency by backend; of a single backend its percentiles."""
    return tag(
        "div",
        panel("Every backend", dense(tables, view, orders=True), wide=True),
        _percentiles(tables, view) if view.filters.backend else parts.latency(tables, view, "p50", "Latency, p50"),
        parts.latency(tables, view, "p95", "Latency, p95", fold=False),
        parts.latency(tables, view, "p99", "Latency, p99", fold=False),
        parts.latency(tables, view, "first_token_p95", "First token, p95", "Streamed answers only.", fold=False),
        class_="grid-of",
    )


def dense(tables: Tables, view: View, *, orders: bool = False) -> Markup:
    """The table of backends; with `orders` each thing that can be changed has its button beside it."""
    given = view if orders else None
    cells = {
        "id": lambda row: _name(row, view),
        "state": lambda row: _state(row, given),
        "breaker": lambda row: _breaker(row, given),
        "weight": lambda row: _weight(row, given),
    }
    return parts.listed(parts.chosen(tables["backends"], *SHOWN), view, "Backends", cells)


def _name(row: Any, view: View) -> Markup:
    side = f" ({row['side']})" if row["side"] else ""
    name = tag("a", row["id"], href=view.link("backends", backend=row["id"]))
    return join([name, side, tag("div", f"{row['type']} {row['model']}", class_="note")])


def _state(row: Any, view: View | None) -> Markup:
    why = row["why_not"]
    told = join([state(row["state"]), tag("div", why, class_="note reason") if why else None])
    if view is None or row["side"] == CANDIDATE:
        return told
    name = row["id"]
    resumed = button(view, "resume", name, "Resume")
    return join([told, tag("div", resumed if row["draining"] else button(view, "drain", name, "Drain", danger=True))])


def _breaker(row: Any, view: View | None) -> Markup:
    closed = row["breaker"] == "closed"
    told = join([state(row["breaker"]), None if closed else tag("div", row["reason"], class_="note reason")])
    if view is None or row["side"] == CANDIDATE:
        return told
    name = row["id"]
    word = "of the breaker of"
    opened = button(view, "open", name, "Open", danger=True, about=word)
    return join([told, tag("div", opened if closed else button(view, "close", name, "Close", about=word))])


def _weight(row: Any, view: View | None) -> Markup:
    weight = f"{row['weight']:g}"
    if view is None or row["side"] == CANDIDATE or not view.may(Role.OPERATE):
        return join([weight])
    field = tag(
        "input", type="number", name="weight", value=weight, min="0.001", step="any", required=True,
        aria_label=f"weight of {row['id']}",
    )  # fmt: skip
    return button(view, "weight", row["id"], "Set", more=field, about="the weight of")


def _percentiles(tables: Tables, view: View) -> Markup:
    """p50, p95, p99 and the first token of one backend in one picture."""
    table, named = tables["latency"], {}
    for of, title in (("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("first_token_p50", "first token p50")):
        named[title] = [(row["moment"], row[of]) for row in table.rows]
    if not table.rows:
        return panel("Percentiles", tag("p", table.empty, class_="empty"))
    shown: list[Mark] = parts.marks(tables)
    inside = lines(
        "percentiles over time", named, view.begin, view.now, seconds, marks=shown, gap=6 * view.filters.bucket
    )
    return panel(f"Percentiles of {view.filters.backend}", inside, parts.numbers(table, view))

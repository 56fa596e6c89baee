"""The calm first screen: how many backends are well, what is asked, what it costs, what is wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

from equipoise.dashboard.figures.compared import gauge
from equipoise.dashboard.markup import Child, Markup, join, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.pages.backends import dense
from equipoise.dashboard.sources.standing import CANDIDATE
from equipoise.dashboard.table import state
from equipoise.dashboard.view import Tables, View, panel
from equipoise.dashboard.wording import NOTHING, instant, number, percent, usd

SEVERITIES, MOST_ALERTS = ("info", "warning", "critical", "emergency"), 3


def draw(tables: Tables, view: View) -> Markup:
    """Top to bottom: what is wrong, numbers, backends, pictures, budgets."""
    return join([
        _wrong(tables, view), _tiles(tables, view),
        tag("div", panel("Backends", dense(tables, view), wide=True), parts.traffic(tables, view),
            parts.latency(tables, view, "p95", "Latency, p95"), _budgets(tables, view), class_="grid-of"),
    ])  # fmt: skip


def _wrong(tables: Tables, view: View) -> Markup:
    rows = sorted(tables["alerts"].rows, key=lambda row: (-SEVERITIES.index(row["severity"]), row["since"]))
    found = [_alert(row) for row in rows[:MOST_ALERTS]]
    if len(rows) > MOST_ALERTS:
        found.append(tag("p", tag("a", f"{len(rows) - MOST_ALERTS} more", href=view.link("reliability"))))
    if view.draining:
        text = "This gateway is shutting down: it finishes answers and takes no new questions."
        found.insert(0, tag("p", state("draining", text)))
    bad = bool(rows) and rows[0]["severity"] in SEVERITIES[2:]
    return tag("div", found, class_="notice bad" if bad else "notice") if found else join([])


def _alert(row: Any) -> Markup:
    return tag(
        "p", state(row["severity"]), " ", row["message"], tag("span", f" since {instant(row['since'])}", class_="note")
    )


def _tiles(tables: Tables, view: View) -> Markup:
    rows = tables["traffic"].rows
    attempts, failures = sum(row["attempts"] for row in rows), sum(row["failures"] for row in rows)
    spent = sum(row["cost_usd"] for row in rows)
    return tag(
        "div",
        _states(tables, view),
        tile(
            "Attempts", number(attempts), f"{number(attempts / view.filters.seconds)} a second", view.link("requests")
        ),
        tile(
            "Failed attempts",
            percent(failures / attempts if attempts else None),
            f"{number(failures)} of {number(attempts)}",
            view.link("requests", verdict="failure"),
        ),
        tile("Spent", usd(spent), f"{usd(spent / attempts) if attempts else NOTHING} an attempt", view.link("cost")),
        tile(
            "In flight", number(sum(row["in_flight"] for row in tables["backends"].rows)), "now", view.link("backends")
        ),
        tile("Alerts", number(len(tables["alerts"].rows)), "active now", view.link("reliability")),
        class_="tiles",
    )


def _states(tables: Tables, view: View) -> Markup:
    counts = Counter(
        row["state"] if row["breaker"] == "closed" else row["breaker"]
        for row in tables["backends"].rows
        if row["side"] != CANDIDATE
    )
    words = [
        tag("div", state(name, f"{count} {name}"))
        for name, count in sorted(counts.items(), key=lambda of: of[0] != "healthy")
    ]
    return tag(
        "div",
        tag("p", tag("a", "Backends", href=view.link("backends")), class_="what"),
        tag("div", words or NOTHING, class_="much"),
        class_="tile",
    )


def tile(what: str, much: Child, more: Child, link: str) -> Markup:
    """One number with its name."""
    return tag(
        "div",
        tag("p", tag("a", what, href=link), class_="what"),
        tag("p", much, class_="much"),
        tag("p", more, class_="more"),
        class_="tile",
    )


def _budgets(tables: Tables, view: View) -> Markup:
    table = tables["budgets"]
    if not table.rows:
        return panel("Budgets", tag("p", table.empty, class_="empty"), wide=True)
    return panel("Budgets", parts.listed(parts.chosen(table, "budget", "spent", "limit", "share", "exhausted_at", "renews_at", "scope"), view, "Budgets",
                 {"share": bar, "spent": amount("spent"), "limit": amount("limit")}), wide=True)  # fmt: skip


def bar(row: Any) -> Markup:
    """The share of a budget as a bar and a number."""
    promised = row["reserved"] / row["limit"] if row["limit"] else 0.0
    return join([percent(row["share"]), gauge(f"budget {row['budget']}", row["share"], promised, row["alerts"])])


def amount(name: str) -> Any:
    """An amount of a budget in its own unit."""
    return lambda row: usd(row[name]) if row["unit"] == "usd" else f"{number(row[name])} {row['unit']}"

"""Money: budgets burning down with their forecast, what quality costs, who spent what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from equipoise.dashboard.figures.compared import Spot, scatter
from equipoise.dashboard.figures.over_time import lines
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.pages.overview import amount, bar
from equipoise.dashboard.view import Tables, View, panel
from equipoise.dashboard.wording import instant, usd


def draw(tables: Tables, view: View) -> Markup:
    """Budgets first."""
    cells = {"share": bar, "spent": amount("spent"), "limit": amount("limit"), "reserved": amount("reserved")}
    columns = ("budget", "spent", "reserved", "limit", "share", "renews_at", "exhausted_at", "scope")
    return tag(
        "div", _burning(tables, view), pareto(tables, view), parts.spending(tables, view),
        panel("Budgets", parts.listed(parts.chosen(tables["budgets"], *columns), view, "Budgets", cells), wide=True),
        panel("Who spent what", parts.listed(tables["spending"], view, "Spending by tenant and backend"), wide=True),
        class_="grid-of",
    )  # fmt: skip


def _burning(tables: Tables, view: View) -> Markup:
    names = list(dict.fromkeys(row["budget"] for row in tables["burn"].rows))
    if not names:
        return panel("Budgets burning down", tag("p", tables["burn"].empty, class_="empty"))
    return join(
        _burn(name, [row for row in tables["burn"].rows if row["budget"] == name], tables, view) for name in names
    )


def _burn(name: str, rows: Sequence[Mapping[str, Any]], tables: Tables, view: View) -> Markup:
    budget = next(row for row in tables["budgets"].rows if row["budget"] == name)
    limit, begin, end = budget["limit"], rows[0]["moment"], max(row["ends"] for row in rows)
    named = {
        "left": [(row["moment"], row["left_usd"]) for row in rows if row.get("left_usd") is not None],
        "forecast": [
            (row["moment"], max(0.0, row["forecast_usd"])) for row in rows if row.get("forecast_usd") is not None
        ],
    }
    levels = {f"{share:.0%} spent": limit * (1.0 - share) for share in budget["alerts"]}
    inside = lines(
        f"what is left of budget {name}", named, begin, end, usd, levels=levels, high=limit or None, dots=False
    )
    out = budget["exhausted_at"]
    word = f"At this pace it is used up at {instant(out)}." if out else "At this pace it lasts until it renews."
    return panel(
        f"Budget {name}, burning down",
        inside,
        parts.numbers(tables["burn"], view),
        note=f"{usd(limit)} until {instant(budget['renews_at'])}. {word}",
    )


def pareto(tables: Tables, view: View) -> Markup:
    """Quality against cost."""
    table = tables["efficiency"]
    spots = [
        Spot(name=row["backend_id"], cost=row["usd_per_answer"], quality=row["quality"], answers=row["answers"],
             link=view.link("backends", backend=row["backend_id"]))
        for row in table.rows if row["usd_per_answer"] is not None and row["quality"] is not None
    ]  # fmt: skip
    places = {name: place for place, name in enumerate(parts.backend_names(tables))}
    spots = [msgspec.structs.replace(spot, place=places[spot.name]) for spot in spots]
    if not spots:
        return panel("Quality against cost", tag("p", table.empty, class_="empty"))
    note = "The larger, the more answers. On the dashed frontier nobody is both cheaper and better; who is dominated is hollow."
    return panel(
        "Quality against cost",
        scatter("quality against cost, a bubble a backend", spots),
        parts.numbers(table, view),
        note=note,
    )

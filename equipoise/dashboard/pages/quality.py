"""How good the answers of each backend are, over hours or months, and what they cost."""

from __future__ import annotations

from equipoise.dashboard.figures.over_time import lines
from equipoise.dashboard.markup import Markup, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.pages.cost import pareto
from equipoise.dashboard.view import Tables, View, panel
from equipoise.dashboard.wording import number


def draw(tables: Tables, view: View) -> Markup:
    """The line of each backend, then quality against cost."""
    return tag("div", _over_time(tables, view), pareto(tables, view), class_="grid-of")


def _over_time(tables: Tables, view: View) -> Markup:
    table = tables["quality"]
    named = parts.points(table.rows, parts.backend_names(tables), "quality")
    if not named:
        return panel("Quality by backend", tag("p", table.empty, class_="empty"))
    inside = lines("quality of each backend's answers over time", named, view.begin, view.now, number, high=1.0)
    months = tag("p", tag("a", "Three months", href=view.link("quality", range="90d")))
    return panel("Quality by backend", inside, months, parts.numbers(table, view))

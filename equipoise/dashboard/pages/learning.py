"""What is being learned: who decides, what is believed and how surely, weights over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.dashboard.figures.compared import Estimate, estimates
from equipoise.dashboard.figures.over_time import lines
from equipoise.dashboard.figures.scale import top_of
from equipoise.dashboard.markup import Markup, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.view import Tables, View, panel
from equipoise.dashboard.wording import number

MOST_KINDS = 12


def draw(tables: Tables, view: View) -> Markup:
    """Learners, beliefs by kind of question, weights."""
    return tag(
        "div",
        panel("Learners", parts.listed(tables["learners"], view, "Learners"), wide=True,
              note="The gain is what a learner's choices are worth above those of health_aware, an answer, by the record of both."),
        _beliefs(tables, view), _regret(tables, view), _weights(tables, view),
        panel("Each backend alone", parts.listed(tables["alone"], view, "Each backend alone"), wide=True,
              note="What asking one of them wherever it had a chance would have come to, by the record; elsewhere what was done stays done. "
                   "The best of several estimates is the one that luck helped most: look at the intervals."),
        panel("Learned weights", parts.listed(tables["learned-weights"], view, "Learned weights")),
        class_="grid-of",
    )  # fmt: skip


def _beliefs(tables: Tables, view: View) -> Markup:
    table = tables["beliefs"]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in table.rows:
        groups.setdefault(f"{row['policy']}: {row['kind'].replace('_', ' ')}", []).append(row)
    if not groups:
        return panel("Beliefs", tag("p", table.empty, class_="empty"))
    names = parts.backend_names(tables)
    inside = tag(
        "div",
        [tag("div", tag("h3", name), _arms(name, rows, names)) for name, rows in list(groups.items())[:MOST_KINDS]],
        class_="grid-of",
    )
    return panel(
        "What an answer is believed to be worth",
        inside,
        parts.numbers(table, view),
        note="Quality by kind of question; the bar is where it lies by what was seen so far.",
        wide=True,
    )


def _arms(label: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Markup:
    ordered = sorted(rows, key=lambda row: names.index(row["backend_id"]))
    found = [
        Estimate(
            row["backend_id"],
            row["mean"],
            row["low"],
            row["high"],
            f"({row['answers']:g} answers)",
            names.index(row["backend_id"]),
        )
        for row in ordered[:20]
    ]
    return estimates(f"believed quality, {label}", found)


def _regret(tables: Tables, view: View) -> Markup:
    """What was lost against the best backend alone; below 0 it was won."""
    table = tables["regret"]
    if not table.rows:
        return panel("Regret", tag("p", table.empty, class_="empty"))
    points = [(row["moment"], row["regret"]) for row in table.rows]
    values = [value for _, value in points]
    low = -top_of([-value for value in values]) if min(values) < 0.0 else 0.0
    against = f"always {table.rows[0]['against']}"
    inside = lines("quality lost against the best backend alone, summed up", {against: points}, view.begin, view.now, number,
                   low=low, high=top_of(values), levels={"as good": 0.0} if low else None)  # fmt: skip
    return panel("Regret", inside, parts.numbers(table, view),
                 note="Quality lost against asking always the backend that is best alone, summed over scored answers. Rising: it would have been better; falling: choosing pays.")  # fmt: skip


def _weights(tables: Tables, view: View) -> Markup:
    table = tables["weights"]
    named = parts.points(table.rows, parts.backend_names(tables), "weight", "wall")
    if not named:
        return panel("Weights over time", tag("p", table.empty, class_="empty"))
    high = top_of([value for line in named.values() for _, value in line])
    return panel("Weights over time", lines("learned weight of each backend over time", named, view.begin, view.now, number, high=high), parts.numbers(table, view),
                 note="Learned for general questions, or as configured where nothing was learned.")  # fmt: skip

"""Pictures that several pages show, each from its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from equipoise.dashboard.figures import lanes
from equipoise.dashboard.figures.frame import SERIES, Mark
from equipoise.dashboard.figures.over_time import lines, piled
from equipoise.dashboard.markup import Child, Markup, join, tag
from equipoise.dashboard.table import Column, Table, drawn
from equipoise.dashboard.view import Tables, View, files, panel
from equipoise.dashboard.wording import number, seconds, usd

OTHERS = "others"
KINDS = {"rolled_back": "bad", "open": "bad", "ejected": "bad", "half_open": "warn", "closed": "good"}


def backend_names(tables: Tables) -> list[str]:
    """Every backend a page speaks of, in one order, so that a colour means the same everywhere on it."""
    now = [row["id"] for row in tables["backends"].rows] if "backends" in tables else []
    seen = {row["backend_id"] for table in tables.values() for row in table.rows if "backend_id" in row}
    return list(dict.fromkeys([*now, *sorted(seen)]))


def by_series(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str], of: str, by: str = "backend_id"
) -> dict[str, dict[float, float]]:
    """A value by step for each name; those beyond the colours there are become one."""
    own = names if len(names) <= SERIES else names[: SERIES - 1]
    found: dict[str, dict[float, float]] = {name: {} for name in own}
    for row in rows:
        name = row[by] if row[by] in found else OTHERS
        values = found.setdefault(name, {})
        values[row["moment"]] = values.get(row["moment"], 0.0) + (row[of] or 0.0)
    return found if any(found.values()) else {}


def points(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str], of: str, moment: str = "moment"
) -> dict[str, list[tuple[float, float | None]]]:
    """A line for each of the first names."""
    found: dict[str, list[tuple[float, float | None]]] = {name: [] for name in names[:SERIES]}
    for row in rows:
        if row["backend_id"] in found:
            found[row["backend_id"]].append((row[moment], row[of]))
    return found if any(found.values()) else {}


def marks(tables: Tables) -> list[Mark]:
    """Openings and closings of breakers as lines down a picture."""
    rows = [row for name in ("breakers", "decisions") if name in tables for row in tables[name].rows]
    return [Mark(row["wall"], f"{row['backend_id']} {row['state'].replace('_', '-')}: {row['why']}", KINDS.get(row["state"], "calm"))
            for row in sorted(rows, key=lambda row: row["wall"]) if row["state"] != "half_open"]  # fmt: skip


def traffic(tables: Tables, view: View, *, wide: bool = False) -> Markup:
    """Which share of attempts went where."""
    table = tables["traffic"]
    named = by_series(table.rows, backend_names(tables), "attempts")
    if not table.rows:
        return panel("Traffic by backend", tag("p", table.empty, class_="empty"), wide=wide)
    inside = piled(
        "attempts by backend over time", named, view.begin, view.now, view.filters.bucket, number, marks=marks(tables)
    )
    return panel("Traffic by backend", inside, numbers(table, view), wide=wide,
                 note=f"Attempts in each {seconds(view.filters.bucket)}. A flag marks a breaker or a canary that changed.")  # fmt: skip


def latency(tables: Tables, view: View, of: str, title: str, note: str = "", *, fold: bool = True) -> Markup:
    """A percentile by backend; `fold` has its table with it."""
    table = tables["latency"]
    named = points(table.rows, backend_names(tables), of)
    if not named:
        return panel(title, tag("p", table.empty, class_="empty"))
    inside = lines(
        f"{title} by backend over time",
        named,
        view.begin,
        view.now,
        seconds,
        marks=marks(tables),
        gap=6 * view.filters.bucket,
    )
    return panel(title, inside, numbers(table, view, fold=fold), note=note)


def spending(tables: Tables, view: View) -> Markup:
    """Dollars by step and backend."""
    table = tables["traffic"]
    named = by_series(table.rows, backend_names(tables), "cost_usd")
    if not table.rows:
        return panel("Spent over time", tag("p", table.empty, class_="empty"))
    return panel(
        "Spent over time",
        piled("dollars spent by backend over time", named, view.begin, view.now, view.filters.bucket, usd, wide=True),
        numbers(table, view),
        wide=True,
    )


def breaker_lanes(tables: Tables, view: View) -> Markup:
    """When which breaker was open."""
    known = [row["id"] for row in tables["backends"].rows]
    changes = list(reversed(tables["breakers"].rows))
    if not known:
        return tag("p", tables["backends"].empty, class_="empty")
    began = max(view.begin, tables["backends"].rows[0]["began"])
    now = {row["id"]: row["breaker"] for row in tables["backends"].rows}
    named = {
        name: stays([row for row in changes if row["backend_id"] == name], now[name], view, began)
        for name in known[:40]
    }
    return lanes.lanes("state of each breaker over time", named, view.begin, view.now)


def stays(changes: Sequence[Mapping[str, Any]], now: str, view: View, began: float) -> list[lanes.Stay]:
    """From changes to stretches since this process began; before the first one a breaker is taken for what it must have been."""
    states = [row for row in changes if row["state"] in lanes.KINDS]
    before = (
        "closed"
        if not states or states[0]["state"] == "open"
        else "open"
        if states[0]["state"] == "half_open"
        else "half_open"
    )
    edges = [(began, before if states else now, "")] + [(row["wall"], row["state"], row["why"]) for row in states]
    ends = [edge[0] for edge in edges[1:]] + [view.now]
    return [
        lanes.Stay(state, begin, end, why) for (begin, state, why), end in zip(edges, ends, strict=True) if end > begin
    ]


def numbers(table: Table, view: View, *, fold: bool = True) -> Markup:
    """A picture's table, folded away, and its files."""
    folded = tag("details", tag("summary", "Table"), drawn(table, f"{table.name}, as a table")) if fold else None
    note = tag("p", table.note, class_="note") if table.note else None
    return join([note, tag("div", folded, requests_of(table, view), files(table, view), class_="foot")])


def requests_of(table: Table, view: View) -> Markup | None:
    """From a picture of attempts to the attempts."""
    if table.name not in ("traffic", "latency", "errors"):
        return None
    changed = {"verdict": "failure"} if table.name == "errors" else {}
    return tag("p", tag("a", "View requests", href=view.link("requests", **changed)), class_="files")


def chosen(table: Table, *names: str) -> Table:
    """The same rows with some of the columns, in this order."""
    known: dict[str, Column] = {column.name: column for column in table.columns}
    return Table(
        name=table.name,
        columns=[known[name] for name in names if name in known],
        rows=table.rows,
        note=table.note,
        empty=table.empty,
    )


def listed(table: Table, view: View, caption: str, cells: Mapping[str, Any] | None = None, *more: Child) -> Markup:
    """A table that is shown at once, with its files."""
    return join(
        [
            drawn(table, caption, cells),
            tag("p", table.note, class_="note") if table.note and table.rows else None,
            *more,
            files(table, view),
        ]
    )

"""A table: what every picture is drawn from, and what every page can also give as JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from equipoise.dashboard.markup import Child, Markup, join, tag
from equipoise.dashboard.wording import FORMS, written

MOST_ROWS = 2_000
"""Rows of a table as JSON or CSV; the ledger's own export has no such end."""


class Column(msgspec.Struct, frozen=True):
    """A field of the rows, its heading, and the form of its values (one of wording.FORMS, `state`, or plain text)."""

    name: str
    title: str
    form: str = ""
    help: str = ""


class Table(msgspec.Struct, kw_only=True):
    """Rows are mappings by column name; `note` says what is to be known of them, `empty` what to do where there are none."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""
    empty: str = "Nothing yet."

    def as_json(self) -> bytes:
        """One document: name, note, rows with the columns' names, all values raw."""
        rows = [{column.name: row.get(column.name) for column in self.columns} for row in self.rows[:MOST_ROWS]]
        return msgspec.json.encode({"table": self.name, "note": self.note, "rows": rows})

    def as_csv(self) -> bytes:
        """With a heading; strangers' words cannot be formulas."""
        stream = io.StringIO()
        writer = csv.writer(stream)
        writer.writerow([column.name for column in self.columns])
        writer.writerows([[_cell(row.get(column.name)) for column in self.columns] for row in self.rows[:MOST_ROWS]])
        return stream.getvalue().encode()


def _cell(value: Any) -> Any:
    """Nothing is empty, lists are joined; what a spreadsheet would take for a formula is quoted."""
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    elif isinstance(value, Mapping):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


STATES = {
    "healthy": ("good", "●"), "closed": ("good", "●"), "ok": ("good", "●"), "success": ("good", "●"),
    "resolved": ("good", "●"), "running": ("good", "●"), "promoted": ("good", "●"), "yes": ("good", "●"), "info": ("calm", "○"),
    "degraded": ("warn", "▲"), "half_open": ("warn", "▲"), "probing": ("warn", "▲"), "draining": ("warn", "▼"),
    "drained": ("warn", "▼"), "warning": ("warn", "▲"), "no_answer": ("warn", "▲"), "paused": ("warn", "▲"),
    "ejected": ("bad", "◆"), "open": ("bad", "■"), "unhealthy": ("bad", "■"), "failure": ("bad", "■"),
    "refused": ("bad", "■"), "critical": ("bad", "■"), "emergency": ("bad", "◆"), "firing": ("bad", "■"), "ended": ("bad", "■"),
}  # fmt: skip


def state(value: Any, text: str | None = None) -> Markup:
    """A state as a shape and a word, so that colour only helps."""
    kind, shape = STATES.get(str(value), ("calm", "○"))
    return tag(
        "span",
        tag("span", shape, class_="shape", aria_hidden="true"),
        " ",
        (text or str(value)).replace("_", " "),
        class_=f"state {kind}",
    )


def drawn(table: Table, caption: str, cells: Mapping[str, Any] | None = None, *, most: int = 200) -> Markup:
    """The table as HTML. `cells` gives for a column's name a function from a row to what stands in its cell."""
    if not table.rows:
        return tag("p", table.empty, class_="empty")
    head = tag("tr", [_heading(column) for column in table.columns])
    body = [tag("tr", [_drawn_cell(column, row, cells or {}) for column in table.columns]) for row in table.rows[:most]]
    more = len(table.rows) - most
    return join([
        tag("div", tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body)), class_="scroll", tabindex="0", role="region", aria_label=caption),
        tag("p", f"{more} more rows are in the files.", class_="note") if more > 0 else None,
    ])  # fmt: skip


def _heading(column: Column) -> Markup:
    return tag(
        "th", column.title, scope="col", class_="figure" if column.form in FORMS else None, title=column.help or None
    )


def _drawn_cell(column: Column, row: Mapping[str, Any], cells: Mapping[str, Any]) -> Markup:
    inside: Child
    if column.name in cells:
        inside = cells[column.name](row)
    elif column.form == "state":
        inside = state(row.get(column.name)) if row.get(column.name) is not None else "–"
    else:
        inside = written(row.get(column.name), column.form)
    return tag("td", inside, class_=_kind(column))


def _kind(column: Column) -> str | None:
    """Figures stand to the right, prose may be broken."""
    return "figure" if column.form in FORMS else "prose" if column.form == "prose" else None

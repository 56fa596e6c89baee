"""What people did at the admin listener."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from equipoise.dashboard.markup import Markup, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.view import Tables, View, panel


def draw(tables: Tables, view: View) -> Markup:
    """The newest first."""
    inside = parts.listed(tables["audit"], view, "What people did", {"changed": _changed})
    return panel(
        "Newest first", inside, note="Who ordered what on the command line, over HTTP and on these pages.", wide=True
    )


def _changed(row: Mapping[str, Any]) -> Markup:
    return tag("ul", [tag("li", f"{name}: {before} → {after}") for name, (before, after) in row["changed"].items()])

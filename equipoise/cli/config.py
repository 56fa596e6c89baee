"""`equipoise config show` and `equipoise config schema`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.cli.configured import configuration
from equipoise.cli.output import document, say, table
from equipoise.config.errors import dotted
from equipoise.config.load import Loaded
from equipoise.config.save import json_schema, leaves, plain, to_yaml


def show(
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    origin: bool = False,
    changed: bool = False,
    json: bool = False,
) -> None:
    """Print every effective value; secrets are masked.

    Parameters
    ----------
    config: Path
        The file; otherwise the one that `serve` would take.
    origin: bool
        Say where each value came from: file:line:column, a variable, or default.
    changed: bool
        Only what differs from the defaults.
    json: bool
        Print one JSON document.
    """
    loaded = configuration(config, quiet=True)
    data = plain(loaded.config, everything=not changed)
    if origin:
        _with_origins(loaded, data, json)
    elif json:
        document(data)
    else:
        say(to_yaml(data), end="")


def schema() -> None:
    """Print the JSON Schema of a configuration file, for editors."""
    document(json_schema())


def _with_origins(loaded: Loaded, data: dict[str, Any], json: bool) -> None:
    rows = [(dotted(path), value, _place(loaded, path)) for path, value in leaves(data)]
    if json:
        document([{"path": path, "value": value, "origin": place} for path, value, place in rows])
    else:
        table(("path", "value", "origin"), rows)


def _place(loaded: Loaded, path: tuple[str | int, ...]) -> str:
    """A key written in its short form has its place one level up."""
    place = loaded.tree.said(path)
    return loaded.tree.said(path[:-1]) if place == "default" and path[0] == "keys" and path[-1] == "key" else place

"""`equipoise config show` and `equipoise config schema`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.cli.configured import configuration
from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import Output, as_documents, document, say, table
from equipoise.cli.remote import Remote
from equipoise.config.errors import dotted
from equipoise.config.load import Loaded
from equipoise.config.save import json_schema, leaves, plain, to_yaml


def show(
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    origin: bool = False,
    changed: bool = False,
    running: bool = False,
    admin_url: str | None = None,
    output: Output = None,
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
    running: bool
        That of a running gateway, with what was changed since it started.
    admin_url: str
        The running gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table (with --origin), json or yaml.
    json: bool
        Print one JSON document.
    """
    if running or admin_url:
        _show_running(asyncio.run(_dump(admin_address(admin_url))), origin, output, json)
        return
    loaded = configuration(config, quiet=True)
    data = plain(loaded.config, everything=not changed)
    if origin:
        _rows([(dotted(path), value, _place(loaded, path)) for path, value in leaves(data)], output, json)
    elif not as_documents(data, output, json):
        say(to_yaml(data), end="")


def schema() -> None:
    """Print the JSON Schema of a configuration file, for editors."""
    document(json_schema())


async def _dump(url: str) -> dict[str, Any]:
    async with Remote(url) as remote:
        return dict(await remote.get("/admin/config_dump"))


def _show_running(dump: dict[str, Any], origin: bool, output: str | None, json: bool) -> None:
    if origin:
        places = dump["origins"]
        rows = [(dotted(path), value, places.get(dotted(path), "default")) for path, value in leaves(dump["config"])]
        _rows(rows, output, json)
    elif not as_documents(dump["config"], output, json):
        say(to_yaml(dump["config"]), end="")


def _rows(rows: list[tuple[str, Any, str]], output: str | None, json: bool) -> None:
    documents = [{"path": path, "value": value, "origin": place} for path, value, place in rows]
    if not as_documents(documents, output, json):
        table(("path", "value", "origin"), rows)


def _place(loaded: Loaded, path: tuple[str | int, ...]) -> str:
    """A key written in its short form has its place one level up."""
    place = loaded.tree.said(path)
    return loaded.tree.said(path[:-1]) if place == "default" and path[0] == "keys" and path[-1] == "key" else place

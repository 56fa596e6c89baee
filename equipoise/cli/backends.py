"""`equipoise backends ls`"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from equipoise.cli.output import Output, as_documents, say, table
from equipoise.cli.remote import ADMIN, Remote

FEW = ("id", "type", "health", "breaker", "draining", "in_flight", "requests", "why_not")


def ls(*, admin_url: str | None = None, output: Output = None, json: bool = False, names: bool = False) -> None:
    """List the backends of a running gateway and how they are.

    Parameters
    ----------
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table (those columns that matter most), wide (all), json or yaml.
    json: bool
        Print one JSON document.
    names: bool
        Only the names, one a line.
    """
    rows = asyncio.run(listed(admin_url or os.environ.get("EQUIPOISE_ADMIN_URL") or ADMIN))
    if names:
        say("".join(f"{row['id']}\n" for row in rows), end="")
    elif not as_documents(rows, output, json):
        columns = [name for name in _columns(rows) if output != "table" or name in FEW]
        table([column.replace("_", " ") for column in columns], [[_flat(row.get(c)) for c in columns] for row in rows])


async def listed(url: str) -> list[dict[str, Any]]:
    """The rows of the gateway whose admin listener is there."""
    async with Remote(url) as remote:
        found = await remote.get("/admin/backends")
    return list(found["backends"])


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """What fits in a cell, in the gateway's order; nested records are for --json, but for the breaker's state."""
    columns: dict[str, None] = {}
    for row in rows:
        columns |= {name: None for name, value in row.items() if not isinstance(_flat(value), dict | list)}
    return list(columns)


def _flat(value: Any) -> Any:
    return value["state"] if isinstance(value, dict) and "state" in value else value

"""`equipoise backends ls`"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from equipoise.cli.output import document, table
from equipoise.cli.remote import ADMIN, Remote


def ls(*, admin_url: str | None = None, json: bool = False) -> None:
    """List the backends of a running gateway and how they are.

    Parameters
    ----------
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    rows = asyncio.run(_backends(admin_url or os.environ.get("EQUIPOISE_ADMIN_URL") or ADMIN))
    if json:
        document(rows)
    else:
        columns = _columns(rows)
        table([column.replace("_", " ") for column in columns], [[_flat(row.get(c)) for c in columns] for row in rows])


async def _backends(url: str) -> list[dict[str, Any]]:
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

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
    backends = asyncio.run(_backends(admin_url or os.environ.get("EQUIPOISE_ADMIN_URL") or ADMIN))
    if json:
        document(backends)
    else:
        columns = _columns(backends)
        table(["backend", *columns], [[name, *(row.get(c) for c in columns)] for name, row in backends.items()])


async def _backends(url: str) -> dict[str, dict[str, Any]]:
    async with Remote(url) as remote:
        found = await remote.get("/admin/backends")
    return dict(found["backends"])


def _columns(backends: dict[str, dict[str, Any]]) -> list[str]:
    """What fits in a cell, in the gateway's order; nested records are for --json."""
    columns: dict[str, None] = {}
    for row in backends.values():
        columns |= {name: None for name, value in row.items() if not isinstance(value, dict | list)}
    return list(columns)

"""`equipoise cache ls|purge`: what a running gateway keeps of answers, and letting go of it."""

from __future__ import annotations

import asyncio
from typing import Any

from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import Output, as_documents, remark, say, table
from equipoise.cli.remote import Remote
from equipoise.cli.steering import post
from equipoise.gateway.purging import LIST, PURGE

COLUMNS = ("key", "tenant", "route", "backend", "age", "hits", "saved", "bytes", "stream")
NONE = "no answer is kept; `cache: true` on a route keeps its answers"


def ls(*, admin_url: str | None = None, output: Output = None, json: bool = False) -> None:
    """List the answers a running gateway keeps, those asked for last first; their words are not shown.

    Parameters
    ----------
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    told = asyncio.run(_got(admin_address(admin_url)))
    if as_documents(told, output, json):
        return
    if not told["entries"]:
        say(NONE)
        return
    table(COLUMNS, [_row(entry) for entry in told["entries"]])
    more = told["answers"] - len(told["entries"])
    beyond = f" ({more} more are not shown)" if more else ""
    remark(f"{told['answers']} answers{beyond}, {told['bytes']} of {told['max_bytes']} bytes")


def purge(
    *,
    route: str | None = None,
    tenant: str | None = None,
    corpus: str | None = None,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Let go of kept answers, at once: of a route, a tenant, a corpus, or all. Answers under way now are not kept either.

    Where gateways share a Redis (`cache.redis`) those of all of them go; the others hear of it within a second.

    Parameters
    ----------
    route: str
        Only those of this route.
    tenant: str
        Only those of this tenant.
    corpus: str
        Only those that backends of this corpus gave.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    told = post(admin_url, PURGE, {"route": route, "tenant": tenant, "corpus": corpus})
    if as_documents(told, output, json):
        return
    shared = f", and {told['shared']} that gateways share" if "shared" in told else ""
    say(f"kept answers let go: {told['answers']}{shared}")
    if told.get("pending"):
        remark("Redis does not answer: what gateways share, and what others hold, goes when it does")


def _row(entry: dict[str, Any]) -> list[Any]:
    age = f"{entry['age_seconds']:.0f} s"
    saved = f"${entry['saved_usd']}"
    who = [entry[name] for name in ("key", "tenant", "route", "backend")]
    return [*who, age, entry["hits"], saved, entry["bytes"], "yes" if entry["stream"] else "no"]


async def _got(url: str) -> dict[str, Any]:
    async with Remote(url) as remote:
        return dict(await remote.get(LIST))

"""`equipoise budget ls|set|reset`: what may be spent, what was, and another word of the operator's."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from equipoise.cli.exits import REFUSED, Failure
from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import Output, as_documents, say, table
from equipoise.cli.remote import Remote
from equipoise.cli.steering import post
from equipoise.gateway.budgeting import LIST, RESET, SET

COLUMNS = ("budget", "unit", "spent", "limit", "share", "promised", "held", "unknown", "renews", "used up")
NONE = "there are no budgets; `budgets:` in the configuration or DAILY_COST_BUDGET sets one"


def ls(*, admin_url: str | None = None, output: Output = None, json: bool = False) -> None:
    """List the budgets of a running gateway: spent of how much, held by gateways, lost with dead ones, until when.

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
    if told["budgets"]:
        table(COLUMNS, [row_of(row) for row in told["budgets"]])
    else:
        say(NONE)
    say(_efficiency(told["cost_efficiency"]))


def set_limit(
    name: str,
    amount: str,
    /,
    *,
    dry_run: bool = False,
    yes: bool = False,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Change a budget's limit for all gateways that share it, until the configured one is changed.

    Parameters
    ----------
    name: str
        The budget.
    amount: str
        The new limit in its unit (dollars, requests, tokens), or `configured` for the one in the file.
    dry_run: bool
        Only say what would come of it.
    yes: bool
        Do not ask.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    said = None if amount == "configured" else amount
    body = {"name": name, "amount": said}
    told = _done(admin_url, SET, body, f"set the budget {name} to {amount}", dry_run=dry_run, yes=yes)
    if not as_documents(told, output, json):
        say(f"{name}: the limit {'would be' if dry_run else 'is'} {told['limit']}")


def reset(
    name: str,
    /,
    *,
    unknown: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Forget what was spent from a budget; its window begins anew.

    Parameters
    ----------
    name: str
        The budget, with all its accounts.
    unknown: bool
        Only give back what gateways that died held.
    dry_run: bool
        Only say what would come of it.
    yes: bool
        Do not ask.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    body = {"name": name, "unknown": unknown}
    told = _done(admin_url, RESET, body, f"reset the budget {name}", dry_run=dry_run, yes=yes)
    if not as_documents(told, output, json):
        say(f"{name}: {told['forgotten']} {'would be' if dry_run else 'is'} forgotten")


def row_of(row: dict[str, Any], now: float | None = None) -> list[Any]:
    """One account as the table shows it."""
    limit = f"{row['limit']}*" if row["limit"] != row["configured_limit"] else row["limit"]
    times = [_until(row[name], time.time() if now is None else now) for name in ("renews_at", "exhausted_at")]
    share = f"{row['share']:.1%}"
    return [
        row["budget"],
        row["unit"],
        row["spent"],
        limit,
        share,
        row["reserved"],
        row["held"],
        row["unknown"],
        *times,
    ]


def _efficiency(of: dict[str, Any]) -> str:
    hours = f"{of['window_hours']:g} h"
    if of["ratio"] is None:
        return f"cost efficiency over {hours}: nothing was paid yet (target {of['target']:.0%})"
    word = "meets" if of["ratio"] >= of["target"] else "misses"
    return f"cost efficiency over {hours}: {of['ratio']:.1%}, {word} the target of {of['target']:.0%}"


def _until(at: float | None, now: float) -> str | None:
    """A moment as people say it: how long from now."""
    if at is None:
        return None
    seconds = max(0, round(at - now))
    if seconds < 120:
        return f"in {seconds} s"
    return f"in {seconds // 60} min" if seconds < 7200 else f"in {seconds // 3600} h"


def _done(url: str | None, path: str, body: dict[str, Any], what: str, *, dry_run: bool, yes: bool) -> dict[str, Any]:
    if not dry_run and not yes and not _agreed(what):
        raise Failure(
            f"not done: {what}", REFUSED, "--yes does it without asking, --dry-run only says what would come of it"
        )
    return post(url, path, body | {"dry_run": dry_run})


def _agreed(what: str) -> bool:
    return sys.stdin.isatty() and input(f"{what}? [y/N] ").strip().lower() in ("y", "yes")


async def _got(url: str) -> dict[str, Any]:
    async with Remote(url) as remote:
        return dict(await remote.get(LIST))

"""`equipoise top`: a running gateway at a glance, again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from equipoise.cli.exits import OK, UNREACHABLE, USAGE, Failure
from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import document, harmless, say
from equipoise.cli.remote import Remote
from equipoise.gateway.alerting import ALERTS
from equipoise.gateway.budgeting import LIST
from equipoise.gateway.people import BACKENDS

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

Document = dict[str, Any]
Seconds = Annotated[float, Parameter(validator=validators.Number(gte=0.5, lte=3600))]
SHAPES = {
    "healthy": "●",
    "closed": "●",
    "degraded": "▲",
    "half_open": "▲",
    "drained": "▼",
    "open": "■",
    "unhealthy": "■",
}
COLOURS = {"●": "green", "▲": "yellow", "▼": "yellow", "■": "red"}
COLUMNS = ("backend", "state", "busy", "per s", "errors", "takes", "first", "quality", "cost")
TEXTS, WIDE = ("backend", "state"), 100
"""What stands to the left; and how wide a file is."""
MOST_ALERTS, MOST_BUDGETS = 5, 5


def top(*, every: Seconds = 2.0, once: bool = False, json: bool = False, admin_url: str | None = None) -> int:
    """Watch backends, budgets and alerts of a running gateway until Ctrl-C.

    Parameters
    ----------
    every: float
        Seconds between two looks.
    once: bool
        Look once and print it; what happens a second is then not known.
    json: bool
        Print one JSON document a look, one a line, or a single one with --once.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    """
    return asyncio.run(_watched(admin_address(admin_url), every, once=once, json=json))


async def _watched(url: str, every: float, *, once: bool, json: bool) -> int:
    async with Remote(url) as remote:
        found = await looked(remote, None)
        if once:
            document(found) if json else _print(found)
            return OK
        if json:
            return await _lines(remote, every, found)
        return await _live(remote, every, found)


async def looked(remote: Remote, before: Document | None) -> Document:
    """One look: backends, budgets, alerts, and with a look before it what happened a second between the two."""
    status = await remote.get(BACKENDS)
    budgets, alerts = await _asked(remote, LIST, "budgets"), await _asked(remote, ALERTS, "active")
    found: Document = {"wall": time.time(), "url": remote.url, **status, "budgets": budgets, "alerts": alerts}
    return rates(found, before)


async def _asked(remote: Remote, path: str, name: str) -> list[Document]:
    """A part of the picture that a gateway may not have, or may not show this key."""
    try:
        return list((await remote.get(path))[name])
    except Failure as failure:
        if failure.code in (UNREACHABLE, USAGE):
            raise
        return []


def rates(found: Document, before: Document | None) -> Document:
    """The same with `per_second` and `error_share` of each backend since the look before; None where that is not known."""
    former = {_name(row): row for row in before["backends"]} if before else {}
    seconds = found["wall"] - before["wall"] if before else 0.0
    rows = [{**row, **_rate(row, former.get(_name(row)), seconds)} for row in found["backends"]]
    return {**found, "backends": rows}


def _name(row: Mapping[str, Any]) -> str:
    """A backend's name; a canary's candidate knows the same ones by itself."""
    return f"{row['id']} (candidate)" if row.get("side") == "candidate" else str(row["id"])


def _rate(row: Mapping[str, Any], former: Mapping[str, Any] | None, seconds: float) -> Document:
    if former is None or seconds <= 0 or row["requests"] < former["requests"]:
        return {"per_second": None, "error_share": None}
    requests = row["requests"] - former["requests"]
    failed = sum(row[name] - former[name] for name in ("errors", "no_answers"))
    return {"per_second": requests / seconds, "error_share": failed / requests if requests else None}


async def _lines(remote: Remote, every: float, found: Document) -> int:
    from json import dumps

    while True:
        say(dumps(found, ensure_ascii=False))
        await asyncio.sleep(every)
        found = await looked(remote, found)


async def _live(remote: Remote, every: float, found: Document) -> int:
    """Redraw in place; a gateway that goes away is said so and waited for."""
    from rich.live import Live

    screen = console()
    with Live(drawn(found), console=screen, screen=screen.is_terminal, auto_refresh=False) as live:
        show: Callable[[RenderableType], None] = lambda picture: live.update(picture, refresh=True)  # noqa: E731
        while True:
            show(drawn(found))
            await asyncio.sleep(every)
            try:
                found = await looked(remote, found)
            except Failure as failure:
                if failure.code != UNREACHABLE:
                    raise
                show(drawn(found, trouble=str(failure.args[0])))


def _print(found: Document) -> None:
    console().print(drawn(found))


def console() -> Console:
    """Standard output; where that is no terminal, wide enough for everything."""
    from rich.console import Console

    it = Console()
    return it if it.is_terminal else Console(width=max(WIDE, it.width))


def drawn(found: Document, *, trouble: str = "") -> RenderableType:
    """The picture: a line of sums, backends, budgets, alerts."""
    from rich.console import Group
    from rich.text import Text

    head = Text(_head(found))
    parts: list[RenderableType] = [head, _backends(found["backends"])]
    if found["budgets"]:
        parts.append(_budgets(found["budgets"]))
    parts += [
        Text(f"■ {harmless(_name(row))}: {harmless(row['why_not'])}", no_wrap=True, overflow="ellipsis")
        for row in found["backends"]
        if row["why_not"]
    ]
    parts += [
        Text(f"▲ {alert['severity']}: {harmless(alert['message'])}", style="red")
        for alert in found["alerts"][:MOST_ALERTS]
    ]
    if trouble:
        parts.append(Text(f"■ {harmless(trouble)}", style="bold red"))
    return Group(*parts)


def _head(found: Document) -> str:
    able = sum(row["why_not"] is None for row in found["backends"])
    told = time.strftime("%H:%M:%S", time.localtime(found["wall"]))
    waiting = f", {found['waiting']} waiting" if found.get("waiting") else ""
    return f"{told}  {found['url']}  {able} of {len(found['backends'])} backends able, {found['in_flight']} in flight{waiting}"


def _backends(rows: list[Document]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in TEXTS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*_row(row))
    return table


def _row(row: Document) -> list[RenderableType]:
    breaker = row["breaker"]["state"]
    state = "drained" if row["draining"] else row["status"] if breaker == "closed" else breaker
    return [
        harmless(_name(row)), _state(state), f"{row['in_flight']}/{row['limit']:g}", _number(row["per_second"], "{:.1f}"),
        _number(row["error_share"], "{:.0%}"), _number(row["response_time"] or None, "{:.2f} s"),
        _number(row["first_token"] or None, "{:.2f} s"), f"{row['quality']:.2f}", f"${float(row['cost_usd']):.4f}",
    ]  # fmt: skip


def _state(state: str) -> RenderableType:
    from rich.text import Text

    shape = SHAPES.get(state, "○")
    return Text(f"{shape} {state.replace('_', '-')}", style=COLOURS.get(shape, ""))


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _budgets(rows: list[Document]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("budget", "spent", "of", "share", ""):
        table.add_column(name, justify="left" if name in ("budget", "") else "right")
    for row in sorted(rows, key=lambda row: -row["share"])[:MOST_BUDGETS]:
        full = min(20, round(20 * row["share"]))
        table.add_row(
            harmless(row["budget"]),
            _amount(row, "spent"),
            _amount(row, "limit"),
            f"{row['share']:.0%}",
            "█" * full + "░" * (20 - full),
        )
    return table


def _amount(row: Document, name: str) -> str:
    return f"${float(row[name]):.2f}" if row["unit"] == "usd" else f"{row[name]} {row['unit']}"

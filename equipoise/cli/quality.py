"""`equipoise quality report`: what the answers were worth, and what a dollar of them buys."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

import msgspec

from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.output import Output, as_documents, remark, table
from equipoise.cli.remote import ADMIN, Remote
from equipoise.gateway.quality import QUALITY
from equipoise.scoring.report import COLUMNS, Line, rows

_SPAN = re.compile(r"^(\d+(?:\.\d+)?)([mhdw])$")
HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0, "w": 168.0}


def report(
    *,
    since: str = "7d",
    kind: str | None = None,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Quality, cost and quality per dollar by backend and kind of question, with 95 % intervals.

    Quality is what people said of an answer, else what the judge said, else what the rules (calibrated by both) make of
    it. Where the data do not bear an estimate there is none, and the note says what is missing.

    Parameters
    ----------
    since: str
        How far to look back: 90m, 24h, 7d, 4w.
    kind: str
        Only this kind of question; `all` shows each backend's whole.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document, with the intervals.
    """
    found = asyncio.run(_report(admin_url or os.environ.get("EQUIPOISE_ADMIN_URL") or ADMIN, hours_of(since)))
    lines = [line for line in found["lines"] if kind is None or line["kind"] == kind]
    if not as_documents({**found, "lines": lines}, output, json):
        table(COLUMNS, rows(msgspec.convert(lines, list[Line])))
        _remarks(found["scoring"])


async def _report(url: str, hours: float) -> dict[str, Any]:
    async with Remote(url) as remote:
        found: dict[str, Any] = await remote.get(f"{QUALITY}?hours={hours:.6f}")
    return found


def hours_of(span: str) -> float:
    """Hours of a span such as 7d. Raises Failure (2)."""
    found = _SPAN.match(span)
    if found is None:
        raise Failure(f"--since {span}: no span of time", USAGE, "for example 90m, 24h, 7d, 4w")
    return float(found[1]) * HOURS[found[2]]


def _remarks(scoring: dict[str, Any]) -> None:
    if scoring.get("dropped"):
        remark(f"{scoring['dropped']} answers could not be scored: the queue was full")
    if not scoring.get("judge"):
        remark("no judge is configured: without one, and without feedback, the rules only find fault")

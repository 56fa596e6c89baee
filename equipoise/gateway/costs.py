"""The cost report over the admin listener.

GET /admin/costs?since=7d&by=day,tenant&format=csv   what was spent, against two alternatives; 400 for what makes no
                                                     sense, 404 without a ledger
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from equipoise.gateway.problems import Problem
from equipoise.gateway.records import readable
from equipoise.http import Request, Response
from equipoise.stores import Ledger
from equipoise.stores.reports import Wanted
from equipoise.stores.savings import BY, Alternative, report
from equipoise.stores.times import moment

COSTS = "/admin/costs"
NAMES = ("since", "until", "by", "format")
CSV = (b"content-type", b"text/csv; charset=utf-8")


def operations(
    ledger: Ledger | None, alternatives: Callable[[], Mapping[str, Alternative]], default: Callable[[], str]
) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[Any]]]:
    """Method and path to what is done there; prices and the default are asked for at each report."""

    async def costs(request: Request) -> dict[str, Any] | Response:
        if ledger is None:
            raise Problem(404, "no_ledger", "No ledger is kept.")
        said = _said(request.query)
        wanted, by = _wanted(said), _groups(said.get("by", "day"))
        told = await readable(
            ledger.query(
                partial(report, wanted=wanted, alternatives=alternatives(), default=default(), by=by),
            )
        )
        return Response(200, (CSV,), written(told)) if said.get("format") == "csv" else told

    return {("GET", COSTS): costs}


def written(told: Mapping[str, Any]) -> bytes:
    """The rows of a report as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=[*told["by"], *(name for name in told["total"])])
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in told["rows"])
    return stream.getvalue().encode()


def _harmless(value: Any) -> Any:
    """Tags and tenants are strangers' words: none is to be a spreadsheet's formula. Amounts are ours."""
    negative = isinstance(value, str) and value[:1] == "-" and value[1:].replace(".", "", 1).isdigit()
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) and not negative
        else value
    )


def _said(query: str) -> dict[str, str]:
    said = dict(parse_qsl(query))
    if unknown := sorted(said.keys() - set(NAMES)):
        raise _bad(f"There is no parameter {', '.join(unknown)[:80]}; known: {', '.join(NAMES)}")
    if said.get("format", "json") not in ("json", "csv"):
        raise _bad("format is json or csv")
    return said


def _wanted(said: Mapping[str, str]) -> Wanted:
    now = time.time()
    try:
        since = moment(said.get("since", "7d"), now)
        return Wanted(since=since, until=moment(said["until"], now) if "until" in said else 1e18)
    except ValueError as error:
        raise _bad(str(error)) from None


def _groups(said: str) -> tuple[str, ...]:
    names = tuple(name for name in said.split(",") if name)
    if unknown := [name for name in names if name not in BY]:
        raise _bad(f"Costs cannot be grouped by {', '.join(unknown)[:80]}; known: {', '.join(BY)}")
    return names


def _bad(text: str) -> Problem:
    return Problem(400, "invalid_request_error", f"{text}.", should_retry=False)

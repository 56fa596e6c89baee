"""`equipoise learning show`: what is believed of each backend, beside the learned weights of the specification."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import Output, as_documents, remark, say, table
from equipoise.cli.remote import Remote
from equipoise.core.model import dollars
from equipoise.gateway.learning import LEARNING

BELIEVED = ("kind", "backend", "believed quality", "scored", "learned weight", "performance", "scored in window")
ENOUGH = 10
"""Scored answers of a backend below which its believed quality is mostly what the operator said of it."""


def show(*, admin_url: str | None = None, output: Output = None, json: bool = False) -> None:
    """Show what a running gateway has learned: by kind of question and backend, with 95 % intervals.

    Believed quality is what decides; learned weight and performance are the specification's moving average.

    Parameters
    ----------
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    told = asyncio.run(_asked(admin_address(admin_url)))
    if not as_documents(told, output, json):
        _print(told)


async def _asked(url: str) -> dict[str, Any]:
    async with Remote(url) as remote:
        found: dict[str, Any] = await remote.get(LEARNING)
    return found


def _print(told: Mapping[str, Any]) -> None:
    policies, weights = told["policies"], told["learned_weights"]
    for name, of in policies.items():
        say(f"{name}: {_state(of)}")
        table(BELIEVED, list(_rows(of["believed"], weights)))
    if not policies:
        remark("no route learns: give one `strategy: adaptive_learning`")
        table(BELIEVED, list(_rows({}, weights)))
    if told["copies"]:
        remark(_copies(told["copies"]))
    if told["trouble"]:
        remark(told["trouble"])


def _copies(of: Mapping[str, int]) -> str:
    dropped = of["dropped_busy"] + of["dropped_cost"]
    spent = dollars(of["spent_last_hour"])
    return (
        f"copies for labels: {of['answered']} answered, {of['failed']} failed, {dropped} dropped, ${spent} in an hour"
    )


def _state(of: Mapping[str, Any]) -> str:
    """One line: who decides, how it explores, and whether learning is worth it."""
    who = "learning decides" if of.get("deciding", True) else "health_aware stands in"
    against = of.get("against_health_aware", {})
    gain = "not enough data to compare it with health_aware"
    if against.get("answers", 0) and against["at_most"] - against["at_least"] < 2.0:
        gain = f"{against['gain']:+.3f} against health_aware ({against['at_least']:+.3f} to {against['at_most']:+.3f})"
    trouble = f"; {of['trouble']}" if of.get("trouble") else ""
    return f"{who}, explore {of['explore']}, {gain}{trouble}"


def _rows(
    believed: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Any, ...]]:
    for kind in sorted({*believed, *weights}):
        own, specified = believed.get(kind, {}), weights.get(kind, {})
        for name in sorted({*own, *specified}):
            yield kind, name, *_posterior(own.get(name)), *_weight(specified.get(name))


def _posterior(row: Mapping[str, Any] | None) -> tuple[Any, Any]:
    if row is None:
        return None, None
    told = f"{row['mean']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    return told if row["answers"] >= ENOUGH else f"{told}, not enough data", row["answers"]


def _weight(row: Mapping[str, Any] | None) -> tuple[Any, Any, Any]:
    if row is None:
        return None, None, None
    known = row["performance"] is not None
    told = f"{row['performance']:.2f} ({row['low']:.2f} to {row['high']:.2f})" if known else "not enough data"
    enough = not known or row["answers"] >= ENOUGH
    return f"{row['weight']:.3f}", told if enough else f"{told}, not enough data", row["answers"]

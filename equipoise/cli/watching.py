"""`equipoise backends watch`: how a gateway's backends are over a while, as samples and a summary."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from equipoise.cli.exits import OK, PROBLEMS, Failure
from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import Output, as_documents, say, tell
from equipoise.cli.remote import Remote
from equipoise.gateway.people import BACKENDS

Document = dict[str, Any]
BAR = 30
MOST_SAMPLES = 100_000


def watch(
    *,
    duration: float = 60.0,
    interval: float = 5.0,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Look at the backends of a running gateway again and again; exit code 1 when once nobody could be asked.

    Parameters
    ----------
    duration: float
        Seconds.
    interval: float
        Seconds between two looks.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document with every sample.
    """
    found = asyncio.run(watched(admin_address(admin_url), duration, interval, _progress))
    if not as_documents(found, output, json):
        _summary(found)
    return OK if always_somebody(found) else PROBLEMS


async def watched(
    url: str, seconds: float, interval: float, seen: Callable[[Document, float], None] = lambda sample, share: None
) -> Document:
    """Samples over so many seconds, at least one, and their summary; `seen` is told each with the share that is over.

    A gateway that goes away ends it early, and the summary says so. Raises Failure (3) when none answers at first.
    """
    began, samples, completed = time.monotonic(), list[Document](), True
    started = datetime.now(UTC).isoformat()
    async with Remote(url) as remote:
        while len(samples) < MOST_SAMPLES:
            try:
                samples.append(_sample(await remote.get(BACKENDS)))
            except Failure:
                if not samples:
                    raise
                completed = False
                break
            over = time.monotonic() - began
            seen(samples[-1], 1.0 if seconds <= 0 else min(1.0, over / seconds))
            if over >= seconds:
                break
            await asyncio.sleep(min(interval, seconds - over))
    return {
        "start_time": started,
        "duration_seconds": round(time.monotonic() - began, 3),
        "samples": samples,
        "summary": {
            "average_available_backends": sum(one["available_backends"] for one in samples) / len(samples),
            "total_samples": len(samples),
            "monitoring_completed": completed,
        },
    }


def always_somebody(found: Document) -> bool:
    """Could somebody be asked at every look, and did the looking go to its end?"""
    return bool(found["summary"]["monitoring_completed"]) and all(one["available_backends"] for one in found["samples"])


def _sample(status: Document) -> Document:
    rows = status["backends"]
    away = {row["id"]: row["why_not"] for row in rows if row["why_not"] is not None}
    return {
        "timestamp": datetime.now(UTC).isoformat(),
        "available_backends": len(rows) - len(away),
        "total_backends": len(rows),
        "unavailable": away,
        "in_flight": status["in_flight"],
    }


def _progress(sample: Document, share: float) -> None:
    done = round(share * BAR)
    line = (
        f"[{'#' * done}{'.' * (BAR - done)}] {share:4.0%}  {sample['available_backends']} of {sample['total_backends']}"
    )
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line} available" + ("\n" if share >= 1.0 else ""))
        sys.stderr.flush()
    else:
        tell(f"{line} available")


def _summary(found: Document) -> None:
    summary, samples = found["summary"], found["samples"]
    say(f"{summary['total_samples']} looks in {found['duration_seconds']:g} s")
    say(f"available on average: {summary['average_available_backends']:.2f} of {samples[-1]['total_backends']}")
    for name, why in samples[-1]["unavailable"].items():
        say(f"  {name}: {why}")
    if not summary["monitoring_completed"]:
        say("broken off: the gateway stopped answering")

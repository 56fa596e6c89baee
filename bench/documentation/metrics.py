"""Every metric, from a scrape of a gateway that did nothing yet."""

from __future__ import annotations

from equipoise.telemetry.prometheus import Metrics, rendered
from equipoise.telemetry.totals import Snapshot, WorkerCounts

HEAD = """\
# Metrics

`/metrics` on the public listener, in Prometheus' text form. No label holds a question, a key or an unbounded name.

| metric | kind | |
|---|---|---|
"""


def metrics() -> str:
    """The page."""
    kinds, rows = dict[str, str](), []
    lines = rendered(_snapshot(), {}).decode().splitlines()
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            kinds[name] = kind
    for line in lines:
        if line.startswith("# HELP "):
            _, _, name, text = line.split(" ", 3)
            rows.append(f"| `{name}` | {kinds[name]} | {text} |")
    return HEAD + "\n".join(sorted(rows))


def _snapshot() -> Snapshot:
    """With what is only there where several processes share a port."""
    found = Metrics().snapshot()
    found.workers = WorkerCounts(2, 2, 0)
    return found

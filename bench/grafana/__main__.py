"""Write the dashboards; with --check, only say which are stale and exit 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from bench.grafana.pages import PAGES

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


def made() -> dict[Path, str]:
    """File -> text."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    return {FOLDER / f"{name}.json": encoder.encode(make().build()) + "\n" for name, make in PAGES.items()}


def stale() -> list[Path]:
    """The files that differ from what the code says now."""
    return [path for path, text in made().items() if not path.exists() or path.read_text("utf-8") != text]


def expressions(dashboard: dict[str, object]) -> list[tuple[str, str]]:
    """Title and query of every panel, those in rows included."""
    found: list[tuple[str, str]] = []
    panels = dashboard.get("panels")
    for panel in panels if isinstance(panels, list) else []:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
        found += expressions(panel)
    return found


def plain(expr: str, window: str = "1m") -> str:
    """The query with Grafana's variables filled in."""
    return expr.replace("$__rate_interval", window).replace("$backend", ".*")


def main() -> int:
    """The exit code."""
    if "--check" in sys.argv[1:]:
        for path in stale():
            print(f"stale: {path.name}")
        return 1 if stale() else 0
    for path, text in made().items():
        path.write_text(text, "utf-8")
        print(f"wrote {path.name}: {len(expressions(json.loads(text)))} queries")
    return 0


if __name__ == "__main__":
    sys.exit(main())

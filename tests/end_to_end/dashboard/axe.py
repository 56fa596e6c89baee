"""axe-core, the usual checker of accessibility: from npm, under `.e2e/`, never in the repository (MPL-2.0)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.dashboard.browser import Tab
from tests.end_to_end.http.servers import command

VERSION = "4.14.1"
PLACE = Path(__file__).parents[3] / ".e2e" / "axe"
FILE = PLACE / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def install(place: Path = PLACE) -> None:
    """Fetch it unless it is there. Raises subprocess.CalledProcessError."""
    if FILE.exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    arguments = [
        command("npm"),
        "install",
        "--prefix",
        str(place),
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        f"axe-core@{VERSION}",
    ]
    subprocess.run(arguments, check=True, capture_output=True)


async def complaints(tab: Tab) -> list[str]:
    """What it finds wrong on the page that is open: rule, and where."""
    if not FILE.exists():
        pytest.skip("axe-core is not installed: python -m tests.end_to_end.install")
    await tab.evaluate(FILE.read_text("utf-8") + ";0")
    found: dict[str, Any] = await tab.evaluate(
        f"axe.run(document, {{runOnly: {list(RULES)}}}).then(({{violations, passes}}) => ({{violations, passes: passes.length}}))"
    )
    assert found["passes"] > 10
    return [f"{one['id']}: {[node['html'][:150] for node in one['nodes'][:3]]}" for one in found["violations"]]

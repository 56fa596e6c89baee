"""The pictures of the documentation, from a running gateway.

EQUIPOISE_ADMIN_KEY=... python -m tests.end_to_end.dashboard.pictures http://127.0.0.1:4001 docs/images
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.dashboard.browser import Tab, chromium

SHOTS = {
    "overview-light": ("", {}),
    "overview-dark": ("", {"dark": True}),
    "overview-phone": ("", {"phone": True, "width": 390, "height": 844}),
    "backends-light": ("/backends", {}),
    "requests-light": ("/requests", {}),
    "cost-light": ("/cost", {}),
    "reliability-dark": ("/reliability?range=15m", {"dark": True}),
    "learning-light": ("/learning", {}),
}
TALLEST = {"overview-light": 1500, "overview-phone": 1700}


async def log_in(tab: Tab, url: str, key: str) -> None:
    """By the form, as people do."""
    await tab.go(f"{url}/dashboard/login")
    await tab.evaluate(f"document.querySelector('input[name=key]').value = {key!r}")
    await tab.press("document.querySelector('form.login button').click()")


async def take(url: str, folder: Path, key: str) -> None:
    """Every picture."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        async with chromium(Path(place)) as tab:
            await log_in(tab, url, key)
            for name, (path, how) in SHOTS.items():
                await tab.look(**how)  # type: ignore[arg-type]
                await tab.go(f"{url}/dashboard{path}")
                await tab.picture(folder / f"{name}.png", most=TALLEST.get(name, 900))


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1], Path(sys.argv[2]), os.environ.get("EQUIPOISE_ADMIN_KEY", "")))

"""The extra `semantic`, in a folder of its own: the rest of the suite runs without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLACE = Path(__file__).parents[3] / ".e2e" / "semantic"
REQUIREMENTS = Path(__file__).parents[3] / "requirements" / "semantic.txt"


def install() -> None:
    """Put the listed packages there, unless they are. Raises CalledProcessError."""
    if (PLACE / "wordllama").exists():
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([*command, "-r", str(REQUIREMENTS), "--target", str(PLACE)], check=True)

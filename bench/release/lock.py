"""The lock as data: names, versions, hashes, markers and who wanted what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "requirements" / "runtime.txt"
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?:\s*;\s*([^\\]+?))?\s*\\?$")
OURSELVES = "equipoise (pyproject.toml)"


class Pinned(NamedTuple):
    """One package of one version; `via` are the names of those that want it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str
    via: tuple[str, ...]


def locked(path: Path = RUNTIME) -> list[Pinned]:
    """Everything a hashed requirements file pins, in its order."""
    found: list[Pinned] = []
    for line in path.read_text("utf-8").splitlines():
        if begins := PINNED.match(line):
            found.append(Pinned(begins[1], begins[2], (), (begins[3] or "").strip(), ()))
        elif hashed := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
            found[-1] = found[-1]._replace(hashes=(*found[-1].hashes, hashed[1]))
        elif said := re.match(r"^    #\s+(?:via\s*)?(.*\S)", line):
            found[-1] = found[-1]._replace(via=(*found[-1].via, said[1]))
    return found

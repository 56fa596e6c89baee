"""How much of the machine is in use, from the operating system itself."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
_MEMORY = Path("/proc/meminfo")


class Machine:
    """Shares in [0, 1]: `cpu` of one core used by this process since the last look (one core is all that an event loop
    can have), `memory` of the container or machine, `disk` under the state. What cannot be known is left out."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._cpu, self._at = time.process_time(), time.monotonic()

    def shares(self) -> dict[str, float]:
        """Now. Blocks for as long as the file system does: call it in a thread."""
        found = {"cpu": self._busy()}
        with suppress(OSError, ValueError, KeyError):
            found["memory"] = _memory()
        with suppress(OSError):
            found["disk"] = _disk(self._state)
        return found

    def _busy(self) -> float:
        cpu, at = time.process_time(), time.monotonic()
        share = (cpu - self._cpu) / max(at - self._at, 1e-3)
        self._cpu, self._at = cpu, at
        return min(1.0, share)


def _memory() -> float:
    if _LIMIT.exists() and (limit := _LIMIT.read_text().strip()).isdigit():
        return int(_USED.read_text()) / int(limit)
    lines = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
    total, free = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return 1.0 - free / total


def _disk(state: Path) -> float:
    """Of the file system that holds the state, or will."""
    place = next(folder for folder in (state, *state.parents) if folder.exists())
    usage = shutil.disk_usage(place)
    return usage.used / (usage.used + usage.free)

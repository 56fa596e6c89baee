"""A name that only one process at a time goes by: others that want it get it with a number behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOST = 64


class HeldName:
    """Holds the first that is free of `wanted`, `wanted-2`, ...; the lock is the kernel's and ends with the process.

    Raises OSError when the folder cannot be written, or when all MOST names are taken. On Windows nothing is locked.
    """

    def __init__(self, folder: Path, wanted: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = -1
        for number in range(1, MOST + 1):
            self.name = wanted if number == 1 else f"{wanted}-{number}"
            self._descriptor = _locked(folder / f"{self.name}.lock")
            if self._descriptor >= 0 or sys.platform == "win32":
                return
        raise OSError(f"{MOST} processes go by the name {wanted} already")

    def release(self) -> None:
        """Let another have it; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _locked(path: Path) -> int:
    """A descriptor that holds the file's lock, -1 where another does."""
    if sys.platform == "win32":
        return -1
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor

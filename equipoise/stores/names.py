"""A name that only one process at a time goes by: others that want it get it with a number behind."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

MOST = 64


def lasting_name(folder: Path) -> str:
    """A name nobody else has, the same whenever this folder is asked. Raises OSError where nothing can be written."""
    path = folder / "host-name"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        fresh = folder / f"host-name.{secrets.token_hex(6)}"
        fresh.write_text(secrets.token_hex(6))
        try:
            os.link(fresh, path)  # whole or not at all: another process may ask in the same moment
        finally:
            fresh.unlink()
    return path.read_text()


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

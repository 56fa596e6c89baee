"""Files that belong to a process as long as it lives: it holds a lock, and what it leaves behind is taken by another."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path


class Belongings:
    """A file of so many zeros, in memory that the kernel owns: what is written there no kill takes away.

    Raises OSError where there can be none, on a full disk too.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            _fill(self._descriptor, size)  # after the lock: whoever finds it empty leaves it alone
            self.memory = mmap.mmap(self._descriptor, size)
        except OSError:
            self.close()
            raise

    def abandon(self) -> None:
        """Let go of it, as the end of the process does. What is written to `memory` from now on is nobody's."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def close(self) -> None:
        """Remove it: there is nothing to take over."""
        self.path.unlink(missing_ok=True)
        self.abandon()


def claimed(path: Path) -> bytes:
    """What is in the file of a process that is gone; the file goes too, so that nobody takes it twice.

    Empty while its owner lives, and where another was faster.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return b""
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return b""
        data = file.read() if os.fstat(file.fileno()).st_nlink else b""
        if data:
            path.unlink()
        return data


def _fill(descriptor: int, size: int) -> None:
    """Zeros that have their place on the disk: to touch a hole in a file on a full one would end the process."""
    left = size
    while left:
        left -= os.write(descriptor, bytes(left))
